"""Walks from a run: frames, strip, moving picture, ends."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import anew
from anew.sampling.interpolation import interpolate_pairs
from samples import TINY, prose, shapes, trained


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> anew.Model:
    folder = tmp_path_factory.mktemp("walk")
    settings = {"width": 8, "batch_size": 16}
    return trained(shapes(folder / "data"), folder / "run", steps=6, family="diffusion", settings=settings)


def size(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as image:
        return image.size


def test_a_walk_passes_the_samples(model: anew.Model, tmp_path: Path) -> None:
    walk = model.walk(9, stops=3, seed=2)
    assert walk.stops == [0, 4, 8]
    for stop, sample in zip(walk.stops, model.sample(3, seed=2), strict=True):
        assert np.abs(walk.frames[stop].astype(int) - sample.astype(int)).mean() < 12
    strip, moving = walk.save(tmp_path / "out")
    assert len(list((tmp_path / "out" / "frames").glob("*.png"))) == 9
    assert size(strip.read_bytes())[0] == 5 * (60 + 4) - 4  # two rows of five frames of 12 pixels, enlarged
    with Image.open(moving) as picture:
        assert picture.n_frames == 16  # forth and back
        assert min(picture.size) >= 192


def test_a_walk_between_items_begins_and_ends_with_them(model: anew.Model, tmp_path: Path) -> None:
    files = sorted((model.folder.path.parent / "data").rglob("*.png"))[:2]
    walk = model.walk(5, ends=(files[0], str(files[1])))
    assert walk.ends is not None and walk.label is None
    for end, frame, file in zip(walk.ends, (walk.frames[0], walk.frames[-1]), files, strict=True):
        with Image.open(file) as image:
            assert np.array_equal(end, np.asarray(image))
        assert np.abs(end.astype(int) - frame.astype(int)).mean() < 12
    assert size(walk.strip())[0] == 7 * (60 + 4) - 4


def test_a_label_is_kept_in_mind(model: anew.Model) -> None:
    assert model.walk(4, stops=2, label="disc").label == "disc"
    with pytest.raises(anew.ConfigError, match="did you mean 'disc'"):
        model.walk(4, stops=2, label="disk")


def test_walks_of_pairs_are_apart(model: anew.Model) -> None:
    walks = interpolate_pairs(model, 3, 4, 0)
    assert len(walks) == 3 and all(len(w) == 4 for w in walks)
    assert not np.array_equal(walks[0][0], walks[1][0])


def test_mistakes_are_one_sentence(model: anew.Model, tmp_path: Path) -> None:
    with pytest.raises(anew.ConfigError, match="give 5"):
        model.walk(3)
    with pytest.raises(anew.ConfigError, match="2 to 1,000"):
        model.walk(3, stops=1)
    for n in (0, 3, 10_001):
        with pytest.raises(
            anew.ConfigError, match=rf"n={n} is out of range; give 5 \(a frame for each stop\) to 10,000"
        ):
            model.walk(n, stops=5)
    with pytest.raises(anew.ConfigError, match="cannot be read"):
        model.walk(4, ends=(tmp_path / "none.png", tmp_path / "none.png"))
    (tmp_path / "odd.png").write_text("no image")
    with pytest.raises(anew.ConfigError, match="not an image of a known format"):
        model.walk(4, ends=(tmp_path / "odd.png", tmp_path / "odd.png"))
    with pytest.raises(anew.ConfigError, match="did you mean 'steps'"):
        model.walk(4, stops=2, step=3)


def test_a_family_without_a_space_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = trained(prose(tmp_path / "book.txt", 300), tmp_path / "run", steps=2, settings=TINY)
    with pytest.raises(anew.ConfigError, match="'transformer' has no continuous space to interpolate in"):
        text.walk()
    monkeypatch.setattr("anew.api.training.note_loading", lambda *_: pytest.fail("PyTorch was loaded first"))
    with pytest.raises(anew.ConfigError, match="'transformer' has no continuous space to interpolate in; it samples"):
        anew.walk(tmp_path / "run", 1)
