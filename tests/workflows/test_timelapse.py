"""The timelapse of a training: small frames of true values, within its share of the time, and off when it is not wanted."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

import anew
from anew.core.specs import Batch
from anew.errors import RunError
from anew.runs import snapshots
from anew.runs import timelapse as frames_of_run
from anew.runs.folder import RunFolder
from anew.sampling.model import Model
from anew.workflows import timelapse
from anew.workflows.timelapse_scenes import REAL_ROWS
from processes import together
from samples import TINY, names, shapes, tones

SMALL = {"width": 8, "batch_size": 8, "previews": 0}


def opened(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["facts"])  # noqa: SIM118


def with_timelapse(data: Path, run: Path, **options: Any) -> Path:
    """A short run with a frame after each step."""
    with (
        mock.patch.multiple(timelapse, INTERVAL_SECONDS=0.0, MIN_SECONDS=0.0, TIMELAPSE_SHARE=1e9, FRAME_SHARE=1e9),
        mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None),
    ):
        anew.train(data, run, **options)
    return run


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("timelapse")
    return with_timelapse(shapes(place / "shapes", 80), place / "gan", steps=3, family="gan", settings=SMALL)


def test_an_earlier_run_has_its_timelapse_under_another_name(gan: Path, tmp_path: Path) -> None:
    """Folder and setting were called `film`."""
    run = tmp_path / "run"
    shutil.copytree(gan, run)
    (run / "timelapse").rename(run / "film")
    config = json.loads((run / "config.json").read_text())
    config["train"]["film"] = config["train"].pop("timelapse")
    config["request"]["settings"]["train.film"] = "true"
    (run / "config.json").write_text(json.dumps(config))
    assert frames_of_run.FRAMES.steps(run) == [2, 3] and frames_of_run.scene_facts(run)["scene"] == "map"
    record = RunFolder.open(run).record()
    assert record.train["timelapse"] is True and record.request.settings["train.timelapse"] == "true"


def test_a_frame_shows_items_and_the_discriminator(gan: Path) -> None:
    steps = frames_of_run.FRAMES.steps(gan)
    assert steps == [2, 3]  # after the first step the scene
    scene, facts = opened(gan / "timelapse" / frames_of_run.SCENE)
    assert facts["scene"] == "map" and 0 < facts["share"] <= 1
    arrays, facts = opened(frames_of_run.FRAMES.path(gan, 3))
    assert facts["step"] == 3 and facts["generated"] == len(arrays["generated"]) >= 16
    assert len(scene["real"]) == len(arrays["real_belief"]) and arrays["generated"].shape == arrays["push"].shape
    assert arrays["field"].shape == (256,) and bytes(arrays["generated_sheet"].numpy()[:2]) == b"\xff\xd8"
    assert all(frames_of_run.FRAMES.path(gan, step).stat().st_size < 100_000 for step in steps)


def test_belief_in_the_last_frame_is_the_discriminators(gan: Path) -> None:
    model = anew.load(gan)
    arrays, _ = opened(frames_of_run.FRAMES.path(gan, 3))
    spec = model.family.spec
    job = SimpleNamespace(
        data=anew.data.dataset.Dataset.reopen(model.record.data, gan, None)  # type: ignore[attr-defined]
    )
    batch = job.data.batch(0, REAL_ROWS, 0, len(arrays["real_belief"]), len(arrays["real_belief"]))
    labels = batch.labels if spec.classes else None
    assert torch.allclose(model.family.discriminator_logits(batch.x, labels), arrays["real_belief"], atol=1e-4)


@pytest.mark.parametrize(
    ("family", "names_of_arrays"), [("vae", {"restored_sheet"}), ("diffusion", {"sigmas", "errors"})]
)
def test_what_other_families_show(family: str, names_of_arrays: set[str], gan: Path, tmp_path: Path) -> None:
    run = with_timelapse(gan.parent / "shapes", tmp_path / family, steps=2, family=family, settings=SMALL)
    arrays, facts = opened(frames_of_run.FRAMES.path(run, 2))
    assert names_of_arrays <= arrays.keys() and "field" not in arrays
    if family == "diffusion":
        assert (arrays["sigmas"].diff() < 0).all() and len(arrays["errors"]) == 8
    else:
        assert facts["error"] > 0


def test_a_text_is_read_again(tmp_path: Path) -> None:
    run = with_timelapse(
        names(tmp_path / "names.txt", 300), tmp_path / "run", steps=2, settings={**TINY, "previews": 0}
    )
    _, facts = opened(run / "timelapse" / frames_of_run.SCENE)
    arrays, frame = opened(frames_of_run.FRAMES.path(run, 2))
    assert facts["scene"] == "text" and len(facts["tokens"]) == len(arrays["token_bits"]) + 1
    heads, rows, columns = arrays["attention"].shape
    assert rows == columns == len(arrays["token_bits"]) and heads % frame["heads"] == 0
    assert frame["bits"] == pytest.approx(float(arrays["token_bits"].mean()), rel=1e-5)


def test_sound_is_shown_as_its_spectrogram(tmp_path: Path) -> None:
    run = with_timelapse(tones(tmp_path / "tones", 40), tmp_path / "run", steps=2, family="diffusion", settings=SMALL)
    arrays, _ = opened(run / "timelapse" / frames_of_run.SCENE)
    sheet = np.asarray(Image.open(io.BytesIO(bytes(arrays["real_sheet"].numpy()))).convert("RGB")).astype(int)
    thumb = sheet[:16, :16]
    assert np.abs(thumb[..., 0] - thumb[..., 1]).max() > 30  # not grey
    assert thumb[-4:].mean() > thumb[:4].mean()  # low tones below


LATENT = {"space": "latent", "vae.width": 8, "vae.latent_channels": 2, "diffusion.width": 8, "previews": 0}
CODED = {"fsq.width": 8, "levels": "3,3", "num_clusters": 4, "layers": 1, "transformer.width": 16, "heads": 1, "mlp_size": 32,
         "previews": 0}  # fmt: skip


@pytest.mark.slow
def test_latents_are_shown_as_items(gan: Path, tmp_path: Path) -> None:
    with mock.patch.multiple(timelapse, WEIGHTS_SHARE=1e9), mock.patch.object(snapshots, "SPACING", 0.0):
        run = with_timelapse(gan.parent / "shapes", tmp_path / "run", steps=4, family="diffusion", settings=LATENT)
    assert anew.look(run).family == "diffusion on latents of vae"
    scene, facts = opened(run / "timelapse" / frames_of_run.SCENE)
    arrays, frame = opened(frames_of_run.FRAMES.path(run, 4))
    assert facts["shown"] == len(scene["real"]) and frame["shown"] == frame["generated"] == len(arrays["generated"])
    sheet = Image.open(io.BytesIO(bytes(arrays["generated_sheet"].numpy())))
    assert sheet.width == facts["thumb"] * facts["columns"] and np.asarray(sheet).std() > 0
    learned = anew.load(run).family.named_parameters()
    # The generator's weights: its codec does not change
    assert snapshots.read(run, 2).keys() == {name for name, _ in learned}
    assert anew.load(run).codec is not None and Model(RunFolder.open(run), step=2).codec is not None


@pytest.mark.slow
def test_codes_are_read_again(gan: Path, tmp_path: Path) -> None:
    with mock.patch.multiple(timelapse, WEIGHTS_SHARE=1e9), mock.patch.object(snapshots, "SPACING", 0.0):
        run = with_timelapse(gan.parent / "shapes", tmp_path / "run", steps=4, family="transformer", settings=CODED)
    assert snapshots.snapshots(run) == []  # no view would ask them
    assert anew.look(run).family == "transformer on codes of fsq"
    scene, facts = opened(run / "timelapse" / frames_of_run.SCENE)
    arrays, frame = opened(frames_of_run.FRAMES.path(run, 4))
    assert facts["scene"] == "codes" and len(scene["ids"]) == len(arrays["token_bits"]) >= math.prod(facts["shape"])
    assert bytes(scene["picture"].numpy()[:4]) == b"\x89PNG" and frame["generated"] == 4 and "generated_sheet" in arrays
    assert frame["bits"] == pytest.approx(float(arrays["token_bits"].mean()), rel=1e-5)


def test_off_means_off(gan: Path, tmp_path: Path) -> None:
    run = with_timelapse(
        gan.parent / "shapes", tmp_path / "run", steps=1, family="vae", settings={**SMALL, "timelapse": False}
    )
    assert not (run / "timelapse").exists()


def test_it_stays_within_its_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Frames of half a second each in a training of 100 s: the clock is the test's own."""
    now = [0.0]
    monkeypatch.setattr(timelapse.time, "monotonic", lambda: now[0])
    job = SimpleNamespace(
        train_config=SimpleNamespace(timelapse=True), world=SimpleNamespace(is_main=True), plan=SimpleNamespace(train_s=100.0),
        folder=SimpleNamespace(path=tmp_path),
    )  # fmt: skip
    scene = timelapse.Timelapse(job, SimpleNamespace(shard=False, step=0, averaged=lambda: nullcontext(object())))  # type: ignore[arg-type]
    seconds = []

    def add(family: Any, result: Any, begun: float) -> None:
        seconds.append(begun)
        now[0] += 0.5

    monkeypatch.setattr(scene, "_add", add)
    while now[0] < 100:
        now[0] += 0.1
        scene(SimpleNamespace(step=1, progress=now[0] / 100))  # type: ignore[arg-type]
    assert scene.cost <= 0.02 * 100 and len(seconds) >= 3 and seconds[0] < 15


def test_old_frames_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_of_run, "MAX_FRAMES", 8)
    for step in range(1, 30):
        frames_of_run.write(tmp_path, frames_of_run.FRAMES.path(tmp_path, step).name, b"x")
    steps = frames_of_run.FRAMES.steps(tmp_path)
    assert len(steps) <= 8 and steps[0] == 1 and steps[-1] == 29
    frames_of_run.FRAMES.remove_after(tmp_path, 20)
    assert max(frames_of_run.FRAMES.steps(tmp_path)) <= 20


def test_weights_are_kept_on_the_way_and_change_nothing(gan: Path, tmp_path: Path) -> None:
    """A few sets in half precision, the last of them the weights of the last step; the training is the same without."""
    with mock.patch.multiple(timelapse, WEIGHTS_SHARE=1e9), mock.patch.object(snapshots, "SPACING", 0.0):
        run = with_timelapse(gan.parent / "shapes", tmp_path / "run", steps=3, family="diffusion", settings=SMALL)
    weights = snapshots.snapshots(run)
    assert [snapshot.step for snapshot in weights] == [2, 3] and 0 < weights[0].seconds < weights[1].seconds
    newest, last = anew.load(run).family.state_dict(), snapshots.read(run, 3)
    learned = dict(anew.load(run).family.named_parameters())
    assert last.keys() == learned.keys() and all(tensor.dtype == torch.float16 for tensor in last.values())
    assert all(torch.allclose(tensor.float(), newest[name], rtol=1e-3, atol=1e-6) for name, tensor in last.items())
    assert any(not torch.equal(tensor, last[name]) for name, tensor in snapshots.read(run, 2).items())
    off = {**SMALL, "timelapse": False}
    without = with_timelapse(gan.parent / "shapes", tmp_path / "off", steps=3, family="diffusion", settings=off)
    assert (without / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert not (without / "timelapse").exists()
    model = Model(RunFolder.open(run), step=2)
    assert model.checkpoint_step == 2 and "These are the weights of step 2," in model.notes[-1]
    earlier = model.family.state_dict()
    assert torch.equal(earlier["mixture_means"], newest["mixture_means"])  # what has a closed form is the newest
    with pytest.raises(RunError, match="the weights of step 7 are not kept in this run; kept: 2, 3"):
        Model(RunFolder.open(run), step=7)


def test_earlier_weights_of_a_vae_come_with_a_prior_of_their_own(gan: Path, tmp_path: Path) -> None:
    with mock.patch.multiple(timelapse, WEIGHTS_SHARE=1e9), mock.patch.object(snapshots, "SPACING", 0.0):
        run = with_timelapse(gan.parent / "shapes", tmp_path / "run", steps=3, family="vae", settings=SMALL)
    final = anew.load(run).family.state_dict()
    earlier = snapshots.read(run, snapshots.snapshots(run)[0].step)
    assert {name for name in earlier if name.startswith("prior.")} >= {"prior.means", "prior.factors"}
    assert not torch.allclose(earlier["prior.means"].float(), final["prior.means"], atol=1e-2)
    finished = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").unlink()  # as after an interruption: samples come from the newest checkpoint
    unfinished = anew.load(run).family.state_dict()
    newest = snapshots.read(run, snapshots.snapshots(run)[-1].step)
    assert torch.allclose(unfinished["prior.means"], newest["prior.means"].float())
    off = {**SMALL, "timelapse": False}
    without = with_timelapse(gan.parent / "shapes", tmp_path / "off", steps=3, family="vae", settings=off)
    assert (without / "model.safetensors").read_bytes() == finished


def test_a_resumed_training_forgets_later_weights_and_goes_on_with_its_clock(gan: Path, tmp_path: Path) -> None:
    with mock.patch.multiple(timelapse, WEIGHTS_SHARE=1e9), mock.patch.object(snapshots, "SPACING", 0.0):
        run = with_timelapse(gan.parent / "shapes", tmp_path / "run", steps=3, family="vae", settings=SMALL)
        log = run / "events.jsonl"
        log.write_text(re.sub(r'"seconds": ?([0-9.]+)', r'"seconds": 10\1', log.read_text()))  # some hundred more
        snapshots.keep(run, {"later": torch.zeros(2)}, 99, 99.0)
        with (
            mock.patch.multiple(timelapse, INTERVAL_SECONDS=0.0, MIN_SECONDS=0.0, TIMELAPSE_SHARE=1e9, FRAME_SHARE=1e9),
            mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None),
        ):
            anew.resume(run, steps=6)
    weights = snapshots.snapshots(run)
    assert weights[0].step == 2 and weights[0].seconds < 10 and weights[-1].step == 6
    seconds = [snapshot.seconds for snapshot in weights]
    assert seconds == sorted(seconds) and seconds[1] >= 100


def test_old_weights_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most so many, spread over the logarithm of time, and no more bytes than allowed."""
    weights = {"a": torch.full((100,), 1 / 3), "b": torch.tensor([1e6])}
    for step in range(1, 31):
        snapshots.keep(tmp_path, weights, step, 2.0 * 1.3**step)
    stored = snapshots.snapshots(tmp_path)
    assert len(stored) == snapshots.MAX_SNAPSHOTS and stored[0].step == 1 and stored[-1].step == 30
    gaps = np.diff([math.log(snapshot.seconds) for snapshot in stored])
    assert gaps.max() <= 4 * gaps.min()
    last_weights = snapshots.read(tmp_path, 30)
    assert last_weights["a"].dtype == torch.float16 and last_weights["b"].dtype == torch.bfloat16  # no infinity
    monkeypatch.setattr(snapshots, "MAX_BYTES", 0)
    snapshots.keep(tmp_path, weights, 31, 1e6)
    assert [snapshot.step for snapshot in snapshots.snapshots(tmp_path)] == [1, 31]  # as many bytes as the weights have
    snapshots.WEIGHTS.path(tmp_path, 31).write_bytes(b"no weights")
    assert [snapshot.step for snapshot in snapshots.snapshots(tmp_path)] == [1]


SHARDED = """
from pathlib import Path
from unittest import mock
import anew
from anew.workflows import timelapse
from samples import TINY
place = Path({place!r})
patched = mock.patch.multiple(timelapse, INTERVAL_SECONDS=0.0, MIN_SECONDS=0.0, TIMELAPSE_SHARE=1e9, STEPS_BETWEEN_SYNCS=1)
with patched, mock.patch("anew.workflows.train.evaluate_run", lambda *arguments, **keywords: None):
    anew.train(place / "names.txt", place / "run", steps=3, settings={{**TINY, "previews": 0, "parallel": "fsdp"}})
"""


@pytest.mark.slow
def test_weights_that_are_sharded_are_gathered_for_a_frame(tmp_path: Path) -> None:
    names(tmp_path / "names.txt", 300)
    ended = together(SHARDED.format(place=str(tmp_path)))
    assert [process.code for process in ended] == [0, 0], ended[0].err
    assert frames_of_run.FRAMES.steps(tmp_path / "run") == [2, 3]
    arrays, _ = opened(frames_of_run.FRAMES.path(tmp_path / "run", 3))
    scene, _ = opened(tmp_path / "run" / "timelapse" / frames_of_run.SCENE)
    model = anew.load(tmp_path / "run")
    bits = -model.family.network_log_probs(Batch(scene["ids"][None].long()))[0] / math.log(2)  # type: ignore[attr-defined]
    assert torch.allclose(bits, arrays["token_bits"], atol=1e-4)
