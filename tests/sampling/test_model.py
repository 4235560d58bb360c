"""A loaded run from Python: sample, stream, fill in, score, show in a notebook."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import anew
from anew.cli.summary import score_lines
from anew.core.specs import SampleRequest
from anew.sampling import drawing
from anew.sampling.model import LateModel, Model
from samples import TINY, prose, shapes, trained


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("images")
    settings = {"evaluate_samples": 8, "width": 8, "batch_size": 16}
    return trained(shapes(folder / "data"), folder / "run", steps=6, settings=settings)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("text")
    return trained(prose(folder / "book.txt"), folder / "run", steps=10, settings={"evaluate_samples": 8, **TINY})


def test_the_verb_stays_a_verb(images: anew.Model) -> None:
    import anew.evaluation
    import anew.training

    assert callable(anew.train)
    assert callable(anew.evaluate)


def test_a_loaded_run_draws_what_the_trained_model_draws(images: anew.Model) -> None:
    again = anew.load(images.folder.path)
    for first, second in zip(images.sample(4, seed=2), again.sample(4, seed=2), strict=True):
        assert np.array_equal(first, second)


def test_sample_i_depends_on_the_seed_and_i_alone(images: anew.Model) -> None:
    whole, part = images.sample(6, seed=2), images.sample(2, seed=2, first_index=4)
    for first, second in zip(whole[4:], part, strict=True):
        assert np.abs(first.astype(int) - second.astype(int)).max() <= 3  # another batch size may round otherwise


def test_what_is_known_is_kept(images: anew.Model) -> None:
    image = np.zeros((12, 12), np.uint8)
    image[2:5] = 200
    mask = np.zeros((12, 12), bool)
    mask[:6] = True
    for sample in images.sample(3, condition=(image, mask)):
        assert np.abs(sample[:6].astype(int) - image[:6].astype(int)).max() <= 1
        assert sample.shape == (12, 12)
    (draft,) = list(images.stream(1, seed=5, condition=(image, mask)))[-1]
    assert np.array_equal(draft, images.sample(1, seed=5, condition=(image, mask))[0])
    with pytest.raises(anew.ConfigError, match=r"the mask has the size \(3, 3\)"):
        images.sample(1, condition=(image, mask[:3, :3]))


def test_a_model_is_loaded_once_for_all_threads(images: anew.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Model.__init__
    calls: list[object] = []

    def load(model: Model, *arguments: Any, **keywords: Any) -> None:
        calls.append(model)
        time.sleep(0.05)
        loaded(model, *arguments, **keywords)

    monkeypatch.setattr(Model, "__init__", load)
    model = LateModel(images.folder, "cpu")
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: type(model.family), range(4))) == {type(images.family)}
    assert len(calls) == 1
    with pytest.raises(AttributeError, match="no_such_thing"):
        model.no_such_thing  # noqa: B018


def test_values_that_are_not_finite_are_no_items(images: anew.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(request: SampleRequest, seed: int) -> Iterator[Tensor]:
        yield torch.full((request.n, *images.spec.shape), torch.nan)

    monkeypatch.setattr(images.family, "sample", sample)
    with pytest.raises(anew.RunError, match="not finite numbers"):
        images.sample(2)
    with pytest.raises(anew.RunError, match="not finite numbers"):
        list(images.stream(1))


def test_drafts_end_in_the_sample(text: anew.Model, images: anew.Model) -> None:
    drafts = list(images.stream(2, seed=3))
    assert len(drafts) > 2
    assert np.array_equal(drafts[-1][1], images.sample(2, seed=3)[1])
    texts = [d[0] for d in text.stream(1, seed=3, prompt="The ", max_tokens=12)]
    assert texts[-1] == text.sample(1, seed=3, prompt="The ", max_tokens=12)[0]
    assert len(texts) >= 12
    assert all(t.startswith("The ") for t in texts)


def test_score_counts_every_character_and_tells_the_parts_apart(text: anew.Model, tmp_path: Path) -> None:
    other = prose(tmp_path / "other.txt", 50, seed=5)
    scores = text.score(other)
    printed = "".join(part for line in score_lines(scores) for part, _ in line)
    assert "by the network alone" in printed and "without what was counted in the training data" in printed
    output = scores.to_json()
    assert output["characters"] == len(other.read_text())
    assert output["bits_per_character"] < output["bits_per_character_network"]  # the counts help after ten steps
    assert output["bits"] == pytest.approx(output["bits_per_character"] * output["characters"])
    assert output["bound"] == "exact" and output["skipped"] == 0 and output["notes"] == []


def test_images_have_no_bits(images: anew.Model, tmp_path: Path) -> None:
    with pytest.raises(anew.ConfigError, match="no likelihood"):
        images.score(shapes(tmp_path / "other", 20))


def test_a_notebook_shows_samples_and_escapes_text(text: anew.Model, images: anew.Model) -> None:
    assert images.sample(3)._repr_html_().count("<img") == 3
    samples = text.sample(1, prompt="<script>", max_tokens=4)
    assert "<script>" not in samples._repr_html_()
    assert "&lt;script&gt;" in samples._repr_html_()


def test_look_is_plain_json(tmp_path: Path) -> None:
    import json

    output = anew.look(prose(tmp_path / "book.txt")).to_json()
    assert json.loads(json.dumps(output))["family"] == "transformer"
    assert len(output["budgets"]) == 3


def test_the_kind_of_data_says_how_to_sample_and_the_user_has_the_last_word(
    text: anew.Model, images: anew.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in (text, images):
        traits = replace(model.modality.traits, default_sampling={"min_p": 0.05})
        monkeypatch.setattr(type(model.modality), "traits", traits)
    assert text.sampling_config({}).min_p == 0.05 and text.sampling_config({"min_p": 0.0, "top_k": 5}).min_p == 0.0
    assert not hasattr(images.sampling_config({}), "min_p")


def test_a_setting_of_training_is_named_as_such(images: anew.Model, text: anew.Model) -> None:
    for name in ("size", "batch_size"):
        with pytest.raises(anew.ConfigError, match=rf"'{name}' is a setting of training, and samples cannot change it"):
            images.sample(1, **{name: 1})
    with pytest.raises(anew.ConfigError, match="pass sampling settings by name"):
        text.sample(1, settings={"temperature": 0.5})
    with pytest.raises(anew.ConfigError, match="unknown setting 'nothing'"):
        images.sample(1, nothing=1)


def test_a_model_says_what_it_is(images: anew.Model, text: anew.Model) -> None:
    assert repr(images).startswith("Model(diffusion, image 1 x 12 x 12, ")
    assert str(images.folder.path) in repr(images)
    assert "<table>" in text._repr_html_() and "book.txt" in text._repr_html_()


def test_without_weights_the_newest_checkpoint_is_sampled_and_the_reason_is_said(
    images: anew.Model, tmp_path: Path
) -> None:
    import json
    import shutil

    run = tmp_path / "run"
    shutil.copytree(images.folder.path, run)
    (run / "model.safetensors").unlink()
    (finished_note,) = anew.load(run).notes
    assert "model.safetensors' is missing though training is finished: restore it" in finished_note
    assert "the weights of step 6" in finished_note and "resume" not in finished_note
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"status": "training"}))
    stopped = anew.load(run)
    assert "these are the weights of step 6" in stopped.notes[0] and "anew resume" in stopped.notes[0]
    for from_checkpoint, from_weights in zip(stopped.sample(2), images.sample(2), strict=True):
        assert np.array_equal(from_checkpoint, from_weights)
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(anew.RunError, match=r"no whole checkpoint: the run is not finished"):
        anew.load(run)
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(anew.RunError, match=r"no whole checkpoint: restore it or train again"):
        anew.load(run)


# ---- shares, and samples once more ----


def files_of(samples: anew.Samples) -> dict[str, bytes]:
    return dict(samples.files())


@pytest.mark.parametrize(("n", "shares"), [(7, 3), (5, 1), (260, 2)])
def test_shares_together_are_the_samples_of_one_process(n: int, shares: int, images: anew.Model) -> None:
    whole = files_of(images.sample(n, seed=3, steps=2))
    parts = [files_of(images.sample(n, seed=3, steps=2, share=(i, shares))) for i in range(1, shares + 1)]
    assert {name: data for part in parts for name, data in part.items()} == whole
    assert sum(map(len, parts)) == len(whole) and all(parts)


def test_shares_of_text(text: anew.Model) -> None:
    whole = files_of(text.sample(5, seed=3, max_tokens=12))
    parts = [files_of(text.sample(5, seed=3, max_tokens=12, share=(i, 2))) for i in (1, 2)]
    origins = [json.loads(part.pop(f".origins-{first}.json")) for part, first in zip(parts, (0, 2), strict=True)]
    assert parts[0] | parts[1] | {".origins.json": whole[".origins.json"]} == whole
    assert origins[0] | origins[1] == json.loads(whole[".origins.json"])


class Shower:
    """A reporter that notes the progress."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, int, int]] = []

    def message(self, text: str) -> None: ...
    def step(self, result: object, seconds_left: float | None) -> None: ...
    def progress(self, task: str, count: int, total: int) -> None:
        self.counts.append((task, count, total))


def test_long_drawing_shows_its_progress(images: anew.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing was silent, for minutes where many samples are drawn or each takes long."""
    quick, slow = Shower(), Shower()
    images.sample(5, steps=4, reporter=quick)
    assert not quick.counts
    monkeypatch.setattr(drawing, "MIN_PROGRESS_S", 0.0)
    monkeypatch.setattr(drawing, "PREVIEW_INTERVAL_S", 0.0)
    images.sample(5, steps=4, reporter=slow)
    counts = [count for _, count, _ in slow.counts]
    assert counts == sorted(set(counts)) and counts[-1] == 5 and len(counts) > 2
    assert {(task, total) for task, _, total in slow.counts} == {("drawing samples", 5)}
    part = Shower()
    images.sample(300, steps=1, share=(2, 2), reporter=part)
    assert part.counts[-1] == ("drawing samples", 44, 44)
    with pytest.raises(anew.ConfigError, match="`reporter` must have"):
        images.sample(1, reporter=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [(0, 2), (3, 2), (1, 6), (1,), "1/2", (1.0, 2), 2])
def test_shares_that_are_none(share: object, images: anew.Model) -> None:
    with pytest.raises(anew.ConfigError):
        images.sample(5, share=share)  # type: ignore[arg-type]


def test_a_sample_once_more(images: anew.Model, tmp_path: Path) -> None:
    paths = images.sample(20, seed=4, label="disc", first_index=3, steps=3).save(tmp_path)
    again = anew.again(paths[7], images.folder.path)
    assert files_of(again) == {"0010-disc.png": paths[7].read_bytes()}
    assert again.origins[0].index == 10


def test_an_enlarged_sample_comes_back_with_its_name_and_size(images: anew.Model, tmp_path: Path) -> None:
    path = images.sample(4, seed=4, steps=2).enlarged(3).save(tmp_path)[2]
    again = anew.again(path, images.folder.path)
    assert files_of(again) == {path.name: path.read_bytes()}
    with pytest.raises(anew.ConfigError, match="enlarged 3 times already; leave `scale` out"):
        again.enlarged(2)


@pytest.mark.parametrize("n", [1, 5])
def test_a_text_once_more(n: int, text: anew.Model, tmp_path: Path) -> None:
    paths = text.sample(n, seed=4, prompt="Once", temperature=0.9, max_tokens=12).save(tmp_path)
    again = anew.again(paths[-1], text.folder.path)
    assert [str(item) for item in again] == [paths[-1].read_text()] and again.origins[0].index == n - 1


def test_a_stream_is_one_batch(text: anew.Model) -> None:
    assert len(next(iter(text.stream(256, max_tokens=1)))) == 256
    with pytest.raises(anew.ConfigError, match="256"):
        text.stream(257)


def test_files_that_cannot_be_made_again(images: anew.Model, text: anew.Model, tmp_path: Path) -> None:
    with pytest.raises(anew.ConfigError, match="at least one sample"):
        images.again([])
    (path,) = images.sample(1).save(tmp_path)
    with pytest.raises(anew.ConfigError, match="not found from here; give `run`"):
        anew.again(path)
    with pytest.raises(anew.ConfigError, match=r"with weights that .* does not have"):
        anew.again(path, text.folder.path)
    with pytest.raises(anew.ConfigError, match="a sheet of many samples has none; give the file of one of them"):
        anew.again(images.sample(2).save_sheet(tmp_path), images.folder.path)
    item = np.full((12, 12), 80, np.uint8)
    (filled,) = images.sample(1, condition=(item, np.eye(12))).save(tmp_path / "filled")
    with pytest.raises(anew.ConfigError, match="given prompt, pixels or frames"):
        anew.again(filled, images.folder.path)
    (written,) = text.sample(1, max_tokens=4).save(tmp_path / "text")
    (tmp_path / "text" / ".origins.json").write_text("[" * 100_000)
    with pytest.raises(anew.ConfigError, match=r"\.origins\.json beside it is damaged"):
        anew.again(written, text.folder.path)
    (tmp_path / "text" / ".origins.json").unlink()
    with pytest.raises(anew.ConfigError, match="has no record of its origin"):
        anew.again(written, text.folder.path)
    with pytest.raises(anew.ConfigError, match="cannot be read"):
        anew.again(tmp_path / "nothing.png")


def test_text_has_no_latents(text: anew.Model) -> None:
    """It was advised to train with space=latent, which text does not take."""
    with pytest.raises(anew.ConfigError, match="text data has no latents"):
        text.encode([b"The river."])
