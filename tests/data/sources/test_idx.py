"""idx files: pairs by name, parts, damage."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from anew.data import limits
from anew.data.sources.base import SHARD_ITEMS
from anew.data.sources.idx import IdxReader, key_of, open_reader
from anew.data.sources.listing import File
from anew.data.types import Item, SkippedItem

IMAGES = np.random.default_rng(0).integers(0, 256, (300, 5, 4), dtype=np.uint8)
LABELS = (np.arange(300) % 11).astype(np.uint8)


def idx(values: np.ndarray, code: int = 0x08) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, code, values.ndim, *values.shape) + values.tobytes()


def reader(folder: Path, files: dict[str, bytes]) -> IdxReader:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return open_reader([File(name, len(data), 7) for name, data in files.items()], folder, {})


def everything(opened: IdxReader) -> list[Item | SkippedItem]:
    return [records for shard in opened.shards("image") for records in opened.read(shard)]


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_as_it_is_distributed(tmp_path: Path, zipped: bool) -> None:
    pack = gzip.compress if zipped else bytes
    end = ".gz" if zipped else ""
    opened = reader(
        tmp_path,
        {
            f"train-images-idx3-ubyte{end}": pack(idx(IMAGES)),
            f"train-labels-idx1-ubyte{end}": pack(idx(LABELS)),
            f"t10k-images-idx3-ubyte{end}": pack(idx(IMAGES[:10])),
            f"t10k-labels-idx1-ubyte{end}": pack(idx(LABELS[:10])),
        },
    )
    assert opened.counts == {"image": 310}
    assert opened.labels == tuple(sorted(map(str, range(11))))
    assert not opened.refusals
    shards = opened.shards("image")
    assert {shard.part for shard in shards} == {"train", "test"}
    assert sum(shard.items for shard in shards) == 310
    assert max(shard.items for shard in shards) <= SHARD_ITEMS
    assert len({shard.name for shard in shards}) == len(shards)
    records = [item for shard in shards if shard.part == "train" for item in opened.read(shard)]
    assert all(isinstance(item, Item) for item in records)
    assert (np.stack([item.data for item in records]) == IMAGES).all()  # type: ignore[union-attr]
    assert [item.label for item in records] == [str(v) for v in LABELS]  # type: ignore[union-attr]
    assert opened.shards("text") == []


def test_other_spellings_pair_up() -> None:
    for images, labels in (
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("a/emnist-images-idx3-ubyte.gz", "a/emnist-labels-idx1-ubyte"),
        ("image.idx", "label.idx"),
    ):
        assert key_of(images) == key_of(labels)
    assert key_of("train-images-idx3-ubyte") != key_of("t10k-images-idx3-ubyte")
    assert key_of("a/images.idx") != key_of("b/images.idx")


def test_without_labels_and_in_colour(tmp_path: Path) -> None:
    colour = np.random.default_rng(1).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    opened = reader(tmp_path, {"images.idx": idx(colour)})
    (first, *_) = everything(opened)
    assert isinstance(first, Item)
    assert first.label is None
    assert (first.data == colour[0]).all()
    assert opened.labels == ()


def test_wide_labels(tmp_path: Path) -> None:
    wide = (np.arange(300) * 1000).astype(">i4")
    opened = reader(tmp_path, {"images.idx": idx(IMAGES), "labels.idx": idx(wide, 0x0C)})
    assert everything(opened)[2].label == "2000"  # type: ignore[union-attr]


def test_labels_alone_and_labels_that_do_not_fit(tmp_path: Path) -> None:
    opened = reader(
        tmp_path, {"a-labels.idx": idx(LABELS), "b-images.idx": idx(IMAGES), "b-labels.idx": idx(LABELS[:5])}
    )
    reasons = {refusal.name: refusal.reason for refusal in opened.refusals}
    assert "its images are missing" in reasons["a-labels.idx"]
    assert "5 labels" in reasons["b-labels.idx"]
    assert opened.counts == {"image": 300}
    assert everything(opened)[0].label is None  # type: ignore[union-attr]


def test_cut_off_plain_file(tmp_path: Path) -> None:
    opened = reader(tmp_path, {"images.idx": idx(IMAGES)[: 16 + 100 * 20 + 3]})
    assert opened.counts == {"image": 100}
    assert "200 of the 300 images" in opened.refusals[0].reason
    assert len(everything(opened)) == 100


def test_cut_off_gzip_file_gives_what_can_be_read(tmp_path: Path) -> None:
    whole = gzip.compress(idx(IMAGES), mtime=0)
    records = everything(reader(tmp_path, {"images.idx.gz": whole[: len(whole) // 2]}))
    good = [item for item in records if isinstance(item, Item)]
    bad = [item for item in records if isinstance(item, SkippedItem)]
    assert 50 < len(good) < 200
    assert len(good) + len(bad) == 300
    assert (np.stack([item.data for item in good]) == IMAGES[: len(good)]).all()
    assert "damaged or ends" in bad[0].reason


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        b"hello there",
        gzip.compress(b"", mtime=0)[:5],
        b"\0\0\x08\x03" + b"\xff" * 12,
        idx(np.zeros((0, 4, 4), np.uint8)),
    ],
)
def test_no_idx_file_at_all(tmp_path: Path, data: bytes) -> None:
    opened = reader(tmp_path, {"images.idx": data})
    assert opened.counts == {} or opened.counts == {"image": 0}
    assert everything(opened) == []
    assert len(opened.refusals) == 1


def test_floats_are_refused_with_the_reason(tmp_path: Path) -> None:
    opened = reader(tmp_path, {"images.idx": idx(IMAGES.astype(">f4"), 0x0D)})
    assert "no 8-bit images" in opened.refusals[0].reason


def test_a_file_that_vanished_is_refused_item_by_item(tmp_path: Path) -> None:
    opened = reader(tmp_path, {"images.idx": idx(IMAGES)})
    (tmp_path / "images.idx").unlink()
    records = everything(opened)
    assert len(records) == len(IMAGES) and all(isinstance(record, SkippedItem) for record in records)


def test_headers_that_lie_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lie = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 28, 28) + b"\0" * 784
    labels = gzip.compress(struct.pack(">BBBBI", 0, 0, 0x0E, 1, 2**31) + b"\0" * 1000, mtime=0)
    opened = reader(tmp_path, {"images.idx": lie, "labels.idx.gz": labels})
    assert opened.counts == {"image": 1} and len(opened.refusals) == 2
    vast = struct.pack(">BBBB3I", 0, 0, 8, 3, 1, 2**31, 2**31)
    assert "larger than 256 MB each" in reader(tmp_path, {"images.idx": vast}).refusals[0].reason
    monkeypatch.setattr(limits, "IDX_INFLATED_BYTES", 5000)
    monkeypatch.setattr(limits, "IDX_LABELS_BYTES", 100)
    opened = reader(
        tmp_path,
        {"a-images.idx.gz": gzip.compress(idx(IMAGES), mtime=0), "images.idx": idx(IMAGES), "labels.idx": idx(LABELS)},
    )
    reasons = {r.name: r.reason for r in opened.refusals}
    assert opened.counts == {"image": 300} and "packed images of more than" in reasons["a-images.idx.gz"]
    assert "labels of more than 100 bytes" in reasons["labels.idx"]
