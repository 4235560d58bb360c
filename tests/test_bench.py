"""Every benchmark starts and says its options, and names what is there; peers written from papers compute what those say."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anew.data.formats.sound import audio
from anew.data.modalities.audio import AudioConfig
from anew.data.types import DataBudget, FileSlice, Item
from anew.evaluation.figure_titles import TITLES
from anew.workflows.list_settings import list_settings

BENCH = Path(__file__).parents[1] / "bench"
PACKAGE = BENCH.parent / "src" / "anew"
OF_OTHERS = {"is_host"}  # torchrun's


@pytest.mark.parametrize("name", sorted(p.name for p in BENCH.glob("[a-z]*.py")))
def test_help_names_the_options(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # In this process: a start of each, with PyTorch, would take half a minute together.
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(BENCH / name), run_name="__main__")
    assert ended.value.code == 0
    assert "--cores" in capsys.readouterr().out


@functools.cache
def texts() -> frozenset[str]:
    """The texts in the benchmarks; of one with values in it, what stands before the first of them."""
    return frozenset(_texts())


def _texts() -> Iterator[str]:
    for path in BENCH.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else node
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def test_settings_that_are_given_are_there() -> None:
    settings = {match[1] for text in texts() if (match := re.fullmatch(r"([a-z_]+)=(?!=)\S*", text))}
    assert {"evaluate_samples", "train_seconds"} < settings
    assert settings - {setting.name for setting in list_settings()} == OF_OTHERS


def test_a_setting_of_the_command_line_replaces_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both were passed on, and `anew train` refused a setting that was given twice."""
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    words = runpy.run_path(str(BENCH / "_common.py"))["setting_words"]
    assert words(["previews=2"], ["previews=0", "timelapse=false"]) == [
        "--set",
        "timelapse=false",
        "--set",
        "previews=2",
    ]
    assert words(["a=1", "a=2"]) == ["--set", "a=1", "--set", "a=2"]  # refused, as it should be


def test_figures_that_are_read_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    regret, sequences = (runpy.run_path(str(BENCH / name)) for name in ("regret.py", "sequences.py"))
    names = {regret["DISTANCE"], regret["AUC"], *sequences["SHOWN"]}
    assert names | {text for text in texts() if re.fullmatch(r"bits_per_[a-z_]*[a-z]", text)} <= TITLES.keys()


def test_routes_of_the_studio_and_the_server_are_there() -> None:
    paths = {text.partition("?")[0].rstrip("/") for text in texts() if text.startswith(("/api/", "/v1/"))} - {"/api"}
    files = [path for package in ("studio_app", "server") for path in PACKAGE.glob(f"{package}/*.py")]
    routes = "".join(path.read_text(encoding="utf-8") for path in files)
    # Routes of playing are written without the place that they are mounted at.
    assert [path for path in paths if f'"{path.removeprefix("/api/play") or path}' not in routes] == []


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """The names of a peer's script."""
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    torch.manual_seed(0)
    return lambda name: runpy.run_path(str(BENCH / f"_peer_{name}.py"))


def test_wavenet_draws_by_queues_what_its_network_says(peer: Callable[[str], dict[str, Any]]) -> None:
    wavenet = peer("wavenet")
    net = wavenet["WaveNet"](width=4, skip=5, blocks=2, doublings=3, classes=2)
    for parameter in net.parameters():  # the weights of the classes begin at zero
        torch.nn.init.normal_(parameter, 0.0, 0.5)
    levels, labels = torch.randint(256, (2, 24)), torch.tensor([0, 1])
    with torch.no_grad():
        cache, steps = wavenet["Cache"](net, labels), []
        for column in levels.T:
            steps.append(cache.logits())
            cache.push(column)
        torch.testing.assert_close(torch.stack(steps, 2), net(levels, labels))


def test_mu_law_levels_survive_decoding(peer: Callable[[str], dict[str, Any]]) -> None:
    wavenet, levels = peer("wavenet"), torch.arange(1, 256)
    assert torch.equal(wavenet["encoded"](wavenet["decoded"](levels)), levels)
    assert wavenet["decoded"](levels)[[0, 127, 254]].tolist() == pytest.approx([-1.0, 0.0, 1.0])


def test_nanochat_sees_no_later_token(peer: Callable[[str], dict[str, Any]]) -> None:
    model = peer("nanochat")["Model"](vocabulary=11, depth=2)
    for (
        parameter
    ) in model.parameters():  # the last matrices of a layer, and the share of the token before, begin at zero
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    tokens = torch.randint(11, (1, 12))
    changed = tokens.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 11
    with torch.no_grad():
        differs = (model(tokens) - model(changed)).abs().amax((0, 2)) > 1e-6
    assert differs.tolist() == [False] * 7 + [True] * 5


@pytest.mark.parametrize("shape", [(2, 24, 6), (2, 6, 24), (1, 8, 8)])
def test_muon_steps_are_nearly_orthogonal(peer: Callable[[str], dict[str, Any]], shape: tuple[int, int, int]) -> None:
    values = torch.linalg.svdvals(peer("nanochat")["orthogonal"](torch.randn(shape)))
    assert float(values.min()) > 0.7 and float(values.max()) < 1.3


@pytest.mark.parametrize("form", ["complex", "raw"])
def test_other_forms_of_sound_lose_nothing(form: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    random = np.random.default_rng(0)
    for number in range(4):
        samples = random.uniform(-0.5, 0.5, 16_000)
        (tmp_path / f"{number}.wav").write_bytes(audio.to_file(samples.astype(np.float32), 8_000, "wav"))
    items = [Item(path.name, FileSlice(path)) for path in sorted(tmp_path.iterdir())]
    # By its name, by which the processes that decode find it, too.
    modality_class = importlib.import_module("_audio_forms").FORMS[form]
    modality, budget = modality_class(AudioConfig()), DataBudget(60.0, 4, 0)
    modality.inspect(items, budget)
    modality.fit(items, budget, ())
    rows = np.stack([modality.encode(item) for item in items])
    grids = modality.batch(rows, None, None).x
    for sound, back in zip(modality.to_items(rows), modality.decode(grids), strict=True):
        inner = slice(256, min(len(sound), len(back)) - 256)  # ends of windows are not kept
        correlation = np.corrcoef(sound[: len(back)][inner], back[inner])[0, 1]
        assert correlation > 0.99
    restored = modality_class(AudioConfig())
    restored.restore(modality.state(), tmp_path)
    assert torch.equal(restored.batch(rows, None, None).x, grids) and restored.spec.shape == modality.spec.shape


def test_reference_of_verdicts_sees_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    media = runpy.run_path(str(BENCH / "_verdict_media.py"))
    for shape in ((8, 16, 16), (8, 16, 16, 4)):
        features = media["image_features"](list(torch.randint(256, shape, dtype=torch.uint8).numpy()))
        assert len(features) == 8 and torch.isfinite(torch.from_numpy(features)).all()
