"""Every benchmark starts and says its options; peers written from papers compute what those say."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

BENCH = Path(__file__).parents[1] / "bench"


@pytest.mark.parametrize("name", sorted(p.name for p in BENCH.glob("[a-z]*.py")))
def test_help_names_the_options(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # In this process: a start of each, with PyTorch, would take half a minute together.
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(BENCH / name), run_name="__main__")
    assert ended.value.code == 0
    assert "--cores" in capsys.readouterr().out


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


def test_reference_of_verdicts_sees_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    media = runpy.run_path(str(BENCH / "_verdict_media.py"))
    for shape in ((8, 16, 16), (8, 16, 16, 4)):
        features = media["image_features"](list(torch.randint(256, shape, dtype=torch.uint8).numpy()))
        assert len(features) == 8 and torch.isfinite(torch.from_numpy(features)).all()
