"""NumPy's files: images and labels by name, parts, every order of axes, damage."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.data import limits
from anew.data.dataset import Dataset
from anew.data.sources.arrays import ArrayReader, image_axes, open_reader
from anew.data.sources.base import SHARD_ITEMS, reader_of
from anew.data.sources.listing import list_files
from anew.data.types import Item, SkippedItem
from anew.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (300, 12, 10, 3), dtype=np.uint8)
LABELS = np.arange(300) % 11


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANEW_CACHE", str(tmp_path / "cache"))


def reader(folder: Path) -> ArrayReader:
    return open_reader(list_files(folder).files, folder, {})


def everything(opened: ArrayReader) -> list[Item | SkippedItem]:
    return [item for shard in opened.shards("image") for item in opened.read(shard)]


def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(("images", "labels"), [("x_{}", "y_{}"), ("{}_images", "{}_labels"), ("{}/imgs", "{}/target")])
def test_parts_of_an_archive_with_labels(tmp_path: Path, save: object, images: str, labels: str) -> None:
    def named(part: str, first: int, last: int) -> dict[str, np.ndarray]:
        return {images.format(part): IMAGES[first:last], labels.format(part): LABELS[first:last, None]}

    folder = data(tmp_path)
    save(folder / "set.npz", **named("train", 0, 280), **named("val", 280, 290), **named("test", 290, 300))  # type: ignore[operator]
    opened = reader(folder)
    assert opened.counts == {"image": 300} and opened.bytes == {"image": IMAGES.size}
    assert opened.labels == tuple(sorted(map(str, range(11)))) and not opened.refusals and not opened.notes
    shards = opened.shards("image")
    assert {shard.part for shard in shards} == {"train", "validation", "test"}
    assert max(shard.items for shard in shards) == SHARD_ITEMS and len({shard.name for shard in shards}) == len(shards)
    items = [item for shard in shards if shard.part == "train" for item in opened.read(shard)]
    assert all(isinstance(item, Item) for item in items)
    assert (np.stack([item.data for item in items]) == IMAGES[:280]).all()  # type: ignore[union-attr]
    assert [item.label for item in items] == list(map(str, LABELS[:280]))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "values",
    [
        IMAGES,
        IMAGES.transpose(0, 3, 1, 2),
        np.asfortranarray(IMAGES),
        IMAGES[..., 0],
        IMAGES[..., :1],
        IMAGES[:, None, :, :, 0],
        IMAGES[..., 0] > 127,
    ],
)
def test_every_order_of_axes(tmp_path: Path, values: np.ndarray) -> None:
    np.save(data(tmp_path) / "a.npy", values)
    items = everything(reader(data(tmp_path)))
    assert all(isinstance(item, Item) and item.label is None for item in items)
    pixels = np.stack([item.data for item in items])  # type: ignore[union-attr]
    expected = IMAGES if 3 in values.shape else IMAGES[..., 0]
    assert (pixels == (np.where(expected > 127, 255, 0) if values.dtype == np.bool_ else expected)).all()


def test_labels_in_a_file_of_their_own(tmp_path: Path) -> None:
    folder = data(tmp_path)
    for part, images, labels in (("train", IMAGES[:200], LABELS[:200]), ("test", IMAGES[200:], LABELS[200:])):
        np.savez(folder / f"kana-{part}-imgs.npz", images)
        np.savez(folder / f"kana-{part}-labels.npz", labels)
    opened = reader(folder)
    assert {(shard.part, shard.items) for shard in opened.shards("image")} == {("train", 200), ("test", 100)}
    labels = {item.name: item.label for item in everything(opened) if isinstance(item, Item)}
    assert labels["kana-test-imgs.npz:arr_0#5"] == str(LABELS[205]) and not opened.refusals


def test_names_of_classes_and_other_arrays(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "owl"])[LABELS % 3]
    np.savez(
        data(tmp_path) / "a.npz", x=IMAGES, ids=np.arange(300) + 10**6, y=names, mean=np.float32(0.5), z=LABELS[:9]
    )
    opened = reader(data(tmp_path))
    assert opened.labels == ("cat", "dog", "owl") and not opened.refusals
    assert opened.notes == [
        "Arrays that are neither images nor labels of them are not read: a.npz:ids (int64, 300), a.npz:mean (float32, one value) and "
        "a.npz:z (int64, 9)."
    ]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (IMAGES / np.float32(255), "its values are float32; convert them to uint8 from 0 to 255, as images are read"),
        (IMAGES[0], "it holds uint8, 12 x 10 x 3; images are uint8, n x height x width or n x height x width x 3"),
        (IMAGES.reshape(300, -1), "it holds uint8, 300 x 360; images are"),
        (np.zeros((0, 4, 4), np.uint8), "it holds uint8, 0 x 4 x 4"),
        (np.array([{"a": 1}]), "it holds objects of Python, which may be programs"),
    ],
)
def test_other_arrays_are_refused_with_the_reason(tmp_path: Path, values: np.ndarray, reason: str) -> None:
    np.save(data(tmp_path) / "a.npy", values)
    opened = reader(data(tmp_path))
    assert not opened.counts and [refusal.name for refusal in opened.refusals] == ["a.npy"]
    assert opened.refusals[0].reason.startswith(reason) and "\n" not in opened.refusals[0].reason
    with pytest.raises(DataError, match=r"a\.npy: "):
        Dataset.open(data(tmp_path))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "made"),)

    (data(tmp_path) / "a.npy").write_bytes(pickle.dumps(Evil()))
    np.save(data(tmp_path) / "b.npy", np.array([Evil()]), allow_pickle=True)
    assert len(reader(data(tmp_path)).refusals) == 2 and not (tmp_path / "made").exists()


def test_an_array_that_cannot_be_read_leaves_the_others_of_its_file(tmp_path: Path) -> None:
    """All arrays after it were lost."""
    np.savez(data(tmp_path) / "a.npz", about=np.array([{"made": 2026}]), x=IMAGES, y=LABELS)
    opened = reader(data(tmp_path))
    assert opened.counts == {"image": 300} and opened.labels == tuple(sorted(map(str, range(11))))
    assert [refusal.name for refusal in opened.refusals] == ["a.npz:about"]


def test_images_that_are_too_large_or_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(data(tmp_path) / "a.npy", IMAGES)
    opened = reader(data(tmp_path))
    np.save(data(tmp_path) / "a.npy", IMAGES[:40])
    skipped = everything(opened)
    assert len(skipped) == 300 and {item.reason for item in skipped if isinstance(item, SkippedItem)} == {
        "it cannot be read (it changed after it was listed)"
    }
    monkeypatch.setattr(limits, "IDX_IMAGE_BYTES", 359)
    assert not reader(data(tmp_path)).counts


def test_an_archive_is_learned_like_the_arrays_in_it(tmp_path: Path) -> None:
    np.savez_compressed(data(tmp_path) / "set.npz", images=IMAGES, labels=LABELS)
    dataset = Dataset.open(data(tmp_path) / "set.npz")
    assert dataset.modality.name == "image"
    assert reader_of("a/B.NPZ") == reader_of("a.npy") == "arrays"
    assert image_axes((5, 3, 8, 3), np.dtype(np.uint8)) == (1, 2, 3)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_damage_anywhere_loses_images_or_is_a_reason(draws: st.DataObject) -> None:
    folder = Path(os.environ["ANEW_CACHE"]).parent / "damaged"
    folder.mkdir(exist_ok=True)
    suffix = draws.draw(st.sampled_from(["npy", "npz"]))
    path = folder / f"a.{suffix}"
    for old in folder.iterdir():
        old.unlink()
    np.savez(path, x=IMAGES[:4], y=LABELS[:4]) if suffix == "npz" else np.save(path, IMAGES[:4])
    body = bytearray(path.read_bytes())
    header = 400 if draws.draw(st.booleans()) else len(body)
    for _ in range(draws.draw(st.integers(1, 4))):
        body[draws.draw(st.integers(0, header - 1))] = draws.draw(st.integers(0, 255))
    path.write_bytes(body[: draws.draw(st.integers(0, len(body)))])
    opened = reader(folder)
    assert opened.refusals or opened.counts or opened.notes
    for item in everything(opened):
        assert isinstance(item, SkippedItem) or item.data.dtype == np.uint8  # type: ignore[union-attr]
