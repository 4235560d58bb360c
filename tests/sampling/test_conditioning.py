"""What is asked of a model: where text ends, what is given of samples, classes, numbers; refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import anew
from anew.sampling.request_checks import class_index
from samples import TINY, names, programs, prose, sequences, shapes, trained

FEW = {"evaluate_samples": 1, "previews": 0}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("text")
    return trained(prose(folder / "book.txt", 1000), folder / "run", steps=10, settings={**FEW, **TINY})


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("code")
    return trained(programs(folder / "data", 60), folder / "run", steps=10, settings={**FEW, **TINY})


@pytest.fixture(scope="module")
def protein(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("protein")
    settings = {**FEW, **TINY, "direction": "both"}
    return trained(sequences(folder / "data"), folder / "run", steps=10, settings=settings)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("images")
    settings = {**FEW, "width": 8, "batch_size": 16}
    return trained(shapes(folder / "data"), folder / "run", steps=6, family="diffusion", settings=settings)


@pytest.mark.parametrize("prompt", [None, "", "The old. ", "river? The. A \u4e2d."])
def test_text_is_what_it_is_without_a_stop_up_to_the_first_one_behind_the_prompt(
    text: anew.Model, prompt: str | None
) -> None:
    for stop in (".", "er", " "):
        whole = text.sample(5, seed=3, prompt=prompt, max_tokens=100)
        ended = text.sample(5, seed=3, prompt=prompt, max_tokens=100, stop=stop)
        for first, other, artifact in zip(whole, ended, ended.artifacts, strict=True):
            at = first.find(stop, len(prompt or ""))
            assert other == (first if at < 0 else first[:at])
            assert artifact.text == other and artifact.suffix == ".txt"
        assert any(len(other) < len(first) for first, other in zip(whole, ended, strict=True))


def test_a_passage_of_the_usual_length_ends_well_and_one_of_a_given_length_is_exact(
    text: anew.Model, code: anew.Model
) -> None:
    for model, prompt in ((text, None), (text, "The old river. A"), (code, "def first(")):
        usual, whole = (list(model.sample(4, seed=3, prompt=prompt, max_tokens=most)) for most in (0, 500))
        assert all(passage.startswith(sample) for passage, sample in zip(whole, usual, strict=True))
        cut = [(passage, len(sample)) for passage, sample in zip(whole, usual, strict=True) if passage != sample]
        assert cut or model is code
        assert all(passage[end - 1] == "\n" or (model is text and passage[end].isspace()) for passage, end in cut)
        assert list(model.stream(4, seed=3, prompt=prompt))[-1] == usual
    part = code.sample(1, seed=1, prompt="def first(x):\n", suffix="return x")[0]
    assert part == code.sample(1, seed=1, prompt="def first(x):\n", suffix="return x", max_tokens=500)[0]


def test_where_records_are_lines_one_line_end_is_dropped_and_others_are_refused(tmp_path: Path) -> None:
    data = names(tmp_path / "names.txt")
    model = trained(data, tmp_path / "run", steps=3, settings={**FEW, **TINY})
    assert model.sample(2, prompt="an\n")[0] == model.sample(2, prompt="an")[0]
    for prompt in ("an\nbo", "an\n\n"):
        with pytest.raises(anew.ConfigError, match="the prompt has several lines"):
            model.sample(1, prompt=prompt)
    assert model.score(["anna\n"]).bits == model.score(["anna"]).bits
    with pytest.raises(anew.ConfigError, match="item 2: it has several lines"):
        model.score(["bob", "anna\nbob"])


def test_a_stop_counts_in_the_gap_alone_and_what_follows_stays(code: anew.Model, tmp_path: Path) -> None:
    before, after = "def first(x):\n    y = x\n", "\n    return x  # why\n\ndef last(x):\n    return x\n"
    whole = code.sample(4, seed=1, prompt=before, suffix=after, max_tokens=80)
    for stop in ("\n", "x", " "):
        ended = code.sample(4, seed=1, prompt=before, suffix=after, max_tokens=80, stop=stop)
        for first, other in zip(whole, ended, strict=True):
            assert first.startswith(before) and first.endswith(after)
            gap = first[len(before) : len(first) - len(after)]
            assert other == before + gap.split(stop)[0] + after
    assert {path.suffix for path in ended.save(tmp_path)} == {".py"}
    assert (tmp_path / "0000.py").read_text() == ended[0]
    onwards = code.sample(2, prompt=before, max_tokens=60, stop="x")
    assert all(first.startswith(before) and "x" not in first[len(before) :] for first in onwards)


def test_a_sequence_that_grows_towards_its_start_keeps_its_end(protein: anew.Model) -> None:
    whole = protein.sample(6, suffix="LKML", max_tokens=60)
    ended = protein.sample(6, suffix="LKML", max_tokens=60, stop="L")
    for first, other in zip(whole, ended, strict=True):
        assert first.endswith("LKML")
        assert other == first[:-4].rpartition("L")[2] + "LKML"
    assert {artifact.suffix for artifact in ended.artifacts} == {".fasta"}
    assert ended.artifacts[0].data.startswith(b">")


def test_line_ends_of_windows_in_prompt_and_stop_are_those_of_the_data(text: anew.Model) -> None:
    plain = text.sample(2, prompt="a\nb", max_tokens=60, stop="\n")
    assert list(text.sample(2, prompt="a\r\nb", max_tokens=60, stop="\r\n")) == list(plain)
    scores = [text.score([f"a{line_end}b c d e"]).bits for line_end in ("\n", "\r\n", "\r")]
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.parametrize("stop", ["", 5, b"x"])
def test_what_is_no_text_to_stop_at(text: anew.Model, images: anew.Model, stop: Any) -> None:
    with pytest.raises(anew.ConfigError, match="must be a text of one character or more"):
        text.sample(1, stop=stop)
    with pytest.raises(anew.ConfigError, match="no text to stop at"):
        images.sample(1, stop=".")


def test_a_class_goes_by_its_name_or_its_place(images: anew.Model) -> None:
    assert images.labels == ["bar", "disc"]
    by_name, by_place = images.sample(2, label="disc"), images.sample(2, label=np.int64(1))
    assert all(np.array_equal(first, second) for first, second in zip(by_name, by_place, strict=True))
    assert images.walk(4, stops=2, label=0).label == "bar"
    for label, message in ((2, "give 0 to 1"), (-1, "give 0 to 1"), (1.5, "unknown `label`"), (True, "whole number")):
        with pytest.raises(anew.ConfigError, match=message):
            images.sample(1, label=label)
    numbers = ["0", "1", "10", "2"]
    assert class_index(numbers, 10) == 2 and class_index(numbers, "2") == 3
    with pytest.raises(anew.ConfigError, match="unknown `label`"):
        class_index(numbers, 3)


def test_samples_that_wrap_around_have_no_class(images: anew.Model) -> None:
    assert images.sample(2).labels != [None, None] and images.sample(2, tile=True).labels == [None, None]
    with pytest.raises(
        anew.ConfigError, match="`label` 'disc' was given, but tile follows no label; leave one of them"
    ):
        images.sample(1, label="disc", tile=True)
    with pytest.raises(anew.ConfigError, match="tile applies to samples, not to the way from one to another"):
        images.walk(4, stops=2, tile=True)


@pytest.mark.parametrize("seed", [-1, 10**23, 1.5, "a", None, True])
def test_seeds_are_checked_alike(images: anew.Model, tmp_path: Path, seed: Any) -> None:
    folder = images.folder.path
    data = str(folder.parent / "data")
    for ask in (
        lambda: images.sample(1, seed=seed),
        lambda: next(images.stream(1, seed=seed)),
        lambda: images.walk(4, stops=2, seed=seed),
        lambda: anew.walk(folder, 4, stops=2, seed=seed),
        lambda: anew.train(data, tmp_path / "run", steps=2, seed=seed),
        lambda: anew.look(data, seed=seed),
        lambda: anew.evaluate(folder, 8, seed=seed),
        lambda: anew.compare(data, out=tmp_path / "out", families="vae", steps=2, seed=seed),
    ):
        with pytest.raises(anew.ConfigError, match=r"^seed="):
            ask()
    assert not (tmp_path / "run").exists()


def test_counts_may_be_numpys(images: anew.Model, tmp_path: Path) -> None:
    data, run = images.folder.path.parent / "data", tmp_path / "run"
    again = anew.train(data, run, steps=np.int64(2), seed=np.uint8(7), family="vae", settings={**FEW, "width": 8})
    assert again.record.request.seed == 7 and again.record.plan.steps == 2
    assert len(images.sample(np.int64(2), seed=np.int32(1), first_index=np.uint8(1))) == 2
    for n in (0, 2.0, "2", None, np.ones(2)):
        with pytest.raises(anew.ConfigError, match=r"^n="):
            images.sample(n)
    for name, value in (("n", "6"), ("stops", 2.5)):
        with pytest.raises(anew.ConfigError, match=f"^{name}="):
            images.walk(**{"n": 6, name: value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan"])
def test_sampling_settings_are_finite(text: anew.Model, images: anew.Model, value: Any) -> None:
    for name in ("temperature", "top_p", "min_p"):
        with pytest.raises(anew.ConfigError, match="give a finite number"):
            text.sample(1, **{name: value})
    for ask in (images.sample, images.walk):
        with pytest.raises(anew.ConfigError, match="give a finite number"):
            ask(6, guidance=value)


IMAGE, MASK = np.zeros((12, 12), np.uint8), np.ones((12, 12), bool)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (IMAGE, "`condition` must be a pair"), ((IMAGE,), "`condition` must be a pair"), ("ab", "`condition` must be a pair"),
        ((IMAGE, "abc"), "the mask must be an array"), ((IMAGE, None), "must be an array of true and false"),
        ((IMAGE, MASK * np.nan), "must be an array of true and false"), ((IMAGE, MASK[:3]), "the mask has the size"),
        ((None, MASK), "None is not an item"), ((3, MASK), "3 is not an item"), ((IMAGE.astype(float), MASK), "not an 8-bit image"),
        (("nothere.png", MASK), "'nothere.png' cannot be read"), ((b"no image", MASK), "not an image of a known format"),
    ],
)  # fmt: skip
def test_what_cannot_be_filled_in(images: anew.Model, condition: Any, message: str) -> None:
    with pytest.raises(anew.ConfigError, match=message) as error:
        images.sample(1, condition=condition)
    assert "\n" not in str(error.value)


def test_an_image_to_fill_in_may_be_a_file(images: anew.Model) -> None:
    from PIL import Image

    path = next((images.folder.path.parent / "data").rglob("*.png"))
    with Image.open(path) as image:
        pixels = np.asarray(image)
    ways = [images.sample(1, condition=(form, MASK[::-1]))[0] for form in (path, str(path), path.read_bytes(), pixels)]
    assert all(np.array_equal(form, ways[0]) for form in ways)
    assert np.abs(ways[0].astype(int) - pixels.astype(int)).max() <= 1


def test_what_is_given_twice_or_is_no_text(text: anew.Model, images: anew.Model) -> None:
    with pytest.raises(anew.ConfigError, match="image data takes no suffix; leave `suffix` out"):
        images.sample(1, suffix="x")
    with pytest.raises(anew.ConfigError, match="image data takes no prompt; leave `prompt` out"):
        images.sample(1, prompt="x")
    with pytest.raises(anew.ConfigError, match="`prompt` must be a string"):
        text.sample(1, prompt=5)
    with pytest.raises(anew.ConfigError, match="`condition` cannot be combined with `prompt`"):
        text.sample(1, prompt="x", condition=(IMAGE, MASK))


@pytest.mark.parametrize("ends", [(IMAGE,), IMAGE, (), (IMAGE, None), (3, IMAGE), "ab"])
def test_ends_of_a_walk_are_two_items(images: anew.Model, ends: Any) -> None:
    with pytest.raises(anew.ConfigError, match=r"`ends` must be a pair|is not an item"):
        images.walk(6, ends=ends)


def test_paths_and_times_that_are_none(images: anew.Model, tmp_path: Path) -> None:
    with pytest.raises(anew.ConfigError, match="`run` must be a path"):
        anew.load(None)  # type: ignore[arg-type]
    with pytest.raises(anew.ConfigError, match=r"`budget` must be a time .* \(got \[1\]\)"):
        anew.train(images.folder.path.parent / "data", tmp_path / "run", budget=[1])  # type: ignore[arg-type]
    with pytest.raises(anew.ConfigError, match="`data` must be a path"):
        anew.train(None, tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_latents_are_finite_numbers_of_the_shape(tmp_path: Path) -> None:
    settings = {**FEW, "width": 8, "batch_size": 8}
    model = anew.train(shapes(tmp_path / "data", 60), tmp_path / "run", steps=4, family="vae", settings=settings)
    z = model.encode([IMAGE, IMAGE])
    with pytest.raises(anew.ConfigError, match=r"got one array of the shape \(12, 12\)\); give a list that holds it"):
        model.encode(IMAGE)
    assert np.array_equal(model.decode(z.numpy())[0], model.decode(z)[0])
    for invalid in ([1, 2], "ab", None, [[1], [2, 3]], z * torch.nan, z / 0, z + 1j):
        with pytest.raises(anew.ConfigError, match="latents"):
            model.decode(invalid)
    for item in (None, 3, z):
        with pytest.raises(anew.ConfigError, match="is not an item"):
            model.encode([item])
