"""A family on the latents of a codec: one run folder, resumable to the bit, and items on the outside."""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import anew
from anew.core.processes.world import World
from anew.core.reporter import SilentReporter
from anew.core.specs import Batch, Grid
from anew.data.dataset import Dataset
from anew.data.latent_dataset import LatentDataset, LatentModality
from anew.data.types import DataBudget
from anew.errors import ConfigError, DataError
from anew.families.diffusion.family import Diffusion
from anew.families.vae.family import Vae
from anew.planning.context import RunContext, TrainingTask
from anew.planning.train_config import TrainConfig
from anew.runs.record import Request
from anew.workflows.codec_stage import _stage_request
from samples import clips, prose, shapes, trained

SMALL = {
    "space": "latent",
    "vae.width": "8",
    "vae.latent_channels": "2",
    "diffusion.width": "8",
    "evaluate_samples": "24",
}


CODED = {
    "fsq.width": "8", "levels": "3,3", "num_clusters": "4", "layers": "1", "transformer.width": "16", "heads": "1", "mlp_size": "32",
    "evaluate_samples": "24",
}  # fmt: skip


class Halves:
    """A codec that adds up neighbours; `calls` counts the items that it was given."""

    def __init__(self) -> None:
        self.calls = 0

    @property
    def latent(self) -> Grid:
        return Grid((1, 6, 6), "CHW", 0, 1.0, bounded=False)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += len(x)
        return torch.nn.functional.avg_pool2d(x[:, :1], 2)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        self.calls += len(z)
        return z.repeat_interleave(2, 2).repeat_interleave(2, 3).expand(-1, 3, -1, -1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes(tmp_path_factory.mktemp("spaces") / "shapes")


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("run") / "r"
    trained(folder, target, steps=8, family="diffusion", settings=SMALL)
    return target


@pytest.fixture(scope="module")
def coded(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("coded") / "r"
    anew.train(folder, target, steps=8, family="transformer", settings=CODED)
    return target


def opened(folder: Path) -> Dataset:
    data = Dataset.open(folder)
    data.fit(DataBudget(None, data.scan.items, data.scan.bytes))
    return data


def test_batches_are_codes_and_what_is_looked_at_stays(folder: Path) -> None:
    plain = opened(folder)
    data = LatentDataset(plain, Halves())
    whole = plain.batch(0, "main", 0, 8, 8)
    batch = data.batch(0, "main", 0, 8, 8)
    assert isinstance(batch, Batch)
    assert torch.equal(batch.x, Halves().encode(whole.x))
    assert data.spec == replace(Halves().latent, classes=2)
    assert all(np.array_equal(a, b) for a, b in zip(data.items("test", 5), plain.items("test", 5), strict=True))
    assert sum(len(b) for b in data.one_pass("train")) == plain.train_items
    assert data.state() == plain.state()
    assert np.array_equal(data.stored_rows("test", 5), plain.stored_rows("test", 5))
    for name in ("scan", "train_items", "are_draws", "own_held_out_parts", "division_notes", "table_notes"):
        assert getattr(data, name) == getattr(plain, name), name
    assert data.opened_part("test") == plain.opened_part("test") and data.part_size("test") == plain.part_size("test")
    with pytest.raises(DataError, match="opened with `open_like`"):
        data.records()


def test_an_item_is_encoded_once_and_alike_in_any_company(folder: Path) -> None:
    codec = Halves()
    data = LatentDataset(opened(folder), codec)
    first = data.batch(0, "main", 0, 8, 8)
    calls = codec.calls
    again = data.batch(0, "main", 0, 8, 8)
    assert codec.calls == calls
    assert torch.equal(first.x, again.x)
    fresh = LatentDataset(opened(folder), Halves()).batch(0, "main", 4, 2, 8)
    assert torch.equal(fresh.x, first.x[4:6])


def test_codes_are_decoded_once_for_items_and_files(folder: Path) -> None:
    codec = Halves()
    modality = LatentModality(opened(folder).modality, codec)
    z = torch.zeros(3, 1, 6, 6)
    items = modality.decode(z)
    files = [modality.save_item(item) for item in items]
    assert len(items) == len(files) == 3
    assert codec.calls == 3
    assert modality.name == "image"
    with pytest.raises(ConfigError, match="no prompt"):
        modality.condition_from_prompt("x")


def test_a_run_holds_its_codec_and_gives_items(run: Path) -> None:
    assert (run / "codec.safetensors").exists()
    assert not (run / "codec").exists()
    config = json.loads((run / "config.json").read_text())
    assert config["spec"]["bounded"] is False
    model = anew.load(run)
    generated = model.sample(3, seed=1)
    real = anew.load(run).modality.base.spec
    assert generated[0].shape[:2] == tuple(real.shape[1:])
    assert np.array_equal(generated[2], model.sample(1, seed=1, first_index=2)[0])
    mask = np.zeros(generated[0].shape[:2], bool)
    mask[: len(mask) // 2] = True
    filled = model.sample(1, seed=4, condition=(generated[0], mask))[0]
    assert np.array_equal(filled[mask], generated[0][mask]) and not np.array_equal(filled, generated[0])


def test_images_go_into_latents_and_back(run: Path, folder: Path) -> None:
    model = anew.load(run)
    files = sorted(folder.rglob("*.png"))[:3]
    z = model.encode(files)
    assert z.shape[0] == 3
    assert len(model.decode(z)) == 3
    assert torch.equal(model.encode([files[1].read_bytes()])[0], z[1])


def test_a_family_without_a_space_refuses(run: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="discrete"):
        anew.train(prose(tmp_path / "a.txt"), tmp_path / "t", steps=2, settings={"space": "latent"})
    with pytest.raises(ConfigError, match="latents of its own"):
        anew.train(folder, tmp_path / "v", steps=2, family="vae", settings={"space": "latent"})
    with pytest.raises(ConfigError, match=r"vae\.width"):
        settings = {"space": "pixel", "vae.width": "8"}
        anew.train(folder, tmp_path / "p", steps=2, family="diffusion", settings=settings)


def test_a_family_of_tokens_works_on_codes_of_images(coded: Path, folder: Path) -> None:
    config = json.loads((coded / "config.json").read_text())
    assert config["spec"]["kind"] == "tokens" and config["spec"]["shape"] == [6, 6] and config["spec"]["classes"] == 2
    assert config["codec"]["family"]["name"] == "fsq" and config["codec"]["family"]["config"]["levels"] == [3, 3]
    model = anew.load(coded)
    generated = model.sample(3, seed=1)
    assert generated[0].shape == (12, 12) and generated.artifacts[0].suffix == ".png"
    assert np.array_equal(generated[2], model.sample(1, seed=1, first_index=2)[0])
    assert model.sample(2, label="disc").labels == ["disc", "disc"]
    drafts = list(model.stream(1, seed=1))
    assert len(drafts) == 37 and all(d[0].shape == (12, 12) for d in drafts)
    assert np.array_equal(drafts[-1][0], generated[0])
    figures = json.loads((coded / "report" / "report.json").read_text())
    assert "frechet_distance" in json.dumps(figures) and not any(
        s["name"].startswith("bits") for s in figures["scores"]
    )


def test_codes_of_images_are_read_and_written(coded: Path, folder: Path) -> None:
    model = anew.load(coded)
    files = sorted(folder.rglob("*.png"))[:3]
    z = model.encode(files)
    assert z.shape == (3, 37) and z.dtype == torch.int64
    assert torch.equal(model.encode([files[1]])[0], z[1])
    assert len(model.decode(z)) == 3
    for invalid in (z + 13, z - 13, z.float(), z[:, :5]):
        with pytest.raises(ConfigError, match=r"fit this run|of this run must be"):
            model.decode(invalid)


def test_what_codes_cannot_do_is_refused(coded: Path, folder: Path, tmp_path: Path) -> None:
    model = anew.load(coded)
    with pytest.raises(ConfigError, match="no continuous space"):
        model.walk(8)
    with pytest.raises(ConfigError, match="no prompt"):
        model.sample(1, prompt="x")
    with pytest.raises(ConfigError, match="no text to stop at"):
        model.sample(1, stop="x")
    with pytest.raises(ConfigError, match="score a run of vae"):
        model.score(folder)
    with pytest.raises(ConfigError, match="give a family that works on its codes: transformer"):
        anew.train(folder, tmp_path / "a", steps=2, family="fsq")
    with pytest.raises(ConfigError, match="works on codes only"):
        anew.train(folder, tmp_path / "b", steps=2, family="transformer", settings={"space": "pixel"})
    with pytest.raises(ConfigError, match=r"vae\.width"):
        anew.train(folder, tmp_path / "c", steps=2, family="transformer", settings={"vae.width": "8"})
    assert not (tmp_path / "c" / "codec").exists()
    with pytest.raises(ConfigError, match=r"levels.*5,1"):
        anew.train(folder, tmp_path / "d", steps=2, family="transformer", settings={"levels": "5,1"})


@pytest.mark.parametrize("family_name", ["run", "coded"])
def test_a_plan_is_replayed_with_its_codec(
    family_name: str, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(family_name)
    trained(folder, tmp_path / "again", plan=run)
    for name in ("codec.safetensors", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes(), name


STAGED = {"diffusion": SMALL, "transformer": CODED}


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of a family that nothing disturbed."""

    @functools.cache
    def of(family: str) -> Path:
        target = tmp_path_factory.mktemp(family) / "r"
        command(*words(folder, family), "--run", target)
        return target

    return of


def words(folder: Path, family: str) -> list[Any]:
    settings = {**STAGED[family], "checkpoint_seconds": "0.05", "evaluate_samples": "1"}
    return [
        "train",
        folder,
        "--family",
        family,
        "--steps",
        "12",
        *[w for k in settings for w in ("--set", f"{k}={settings[k]}")],
    ]


def line(*more: Any) -> list[str]:
    return [sys.executable, "-m", "anew", *map(str, more)]


def command(*more: Any) -> None:
    completed = subprocess.run(line(*more), env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "family"), list(itertools.product(("codec", "generator"), STAGED)))
def test_a_kill_in_either_stage_costs_nothing(
    stage: str, family: str, whole: Callable[[str], Path], folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "killed"
    saved = (target / "codec" if stage == "codec" else target) / "checkpoints"
    quiet = subprocess.DEVNULL
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        line(*words(folder, family), "--run", target), env=env, stdout=quiet, stderr=quiet
    ) as process:
        while not any(saved.glob("step-*/manifest.json")) and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert (target / "codec").exists() is (stage == "codec")
    command("resume", target)
    for name in ("codec.safetensors", "model.safetensors"):
        assert (target / name).read_bytes() == (whole(family) / name).read_bytes(), name


def test_codes_of_clips_of_several_lengths_are_learned(tmp_path: Path) -> None:
    data = clips(tmp_path / "data", 40)
    settings = {**CODED, "size": 16, "evaluate_samples": 4}
    model = anew.train(data, tmp_path / "run", family="transformer", steps=2, settings=settings)
    assert model.sample(2)
    assert list((tmp_path / "run" / "samples").rglob("*.gif"))


def stage(settings: dict[str, str], train_seconds: float = 0.0) -> Request:
    """What a codec is asked for in a run of diffusion with these settings."""
    request = Request(data="x", steps=None if train_seconds else 5, settings=settings)
    context = RunContext(SilentReporter(), 0.0, World())
    image = SimpleNamespace(modality=SimpleNamespace(name="image"))
    task: Any = TrainingTask(request, TrainConfig(train_seconds=train_seconds), context, image)  # type: ignore[type-var]
    return _stage_request(task, Diffusion, "vae")


def test_settings_of_the_second_stage_alone_do_not_reach_the_codec() -> None:
    request = stage({"model_size": "3", "train.model_size": "3", "space": "latent", "vae.width": "8", "image.size": "16",
                     "diffusion.width": "8", "checkpoint_seconds": "1", "tensorboard": "true"})  # fmt: skip
    settings = {name: value for name, value in request.settings.items() if name in ("vae.width", "image.size")}
    assert settings == {"vae.width": "8", "image.size": "16"}
    assert not {"model_size", "train.model_size", "space", "tensorboard", "diffusion.width"} & set(request.settings)
    assert request.settings["train.space"] == "pixel" and request.settings["checkpoint_seconds"] == "1"
    assert (request.family, request.steps, request.budget) == ("vae", 5, None)


def test_precision_is_that_of_both_stages() -> None:
    """A run that was asked to be in fp32 had a codec in bf16."""
    assert stage({"precision": "fp32"}).settings["precision"] == "fp32"
    assert "precision" not in stage({"diffusion.precision": "fp32"}).settings
    assert not {"muon_lr", "width"} & set(stage({"muon_lr": "0.01", "width": "8"}).settings)


def test_a_codec_gets_its_share_of_the_training_time() -> None:
    share = Vae.codec_time_share
    assert float(stage({}, train_seconds=10.0).settings["train.train_seconds"]) == pytest.approx(10.0 * share)
