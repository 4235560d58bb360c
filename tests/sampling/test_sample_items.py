"""Items of samples that lie in files are those that were added, in any part of them."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from anew.core.arrays import Numbers
from anew.data.modalities.image import Image, ImageConfig
from anew.data.types import DataBudget, Item
from anew.errors import RunError
from anew.sampling import sample_items
from anew.sampling.sample_items import SampleItems
from anew.sampling.samples import Samples


def sounds(n: int) -> list[Numbers]:
    """Arrays of several lengths, some empty."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=int(rng.integers(0, 40))).astype(np.float32) for _ in range(n)]


def equal(items: SampleItems, expected: list[Numbers]) -> bool:
    pairs = [(cast(Numbers, item), other) for item, other in zip(items, expected, strict=True)]
    return all(item.dtype == other.dtype and np.array_equal(item, other) for item, other in pairs)


@pytest.mark.parametrize("most_bytes", [0, 300, 10**9])
def test_stored_items_are_a_list(most_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_items, "MAX_HELD_BYTES", most_bytes)
    expected = sounds(50)
    items = SampleItems(expected[:20])
    items.extend(SampleItems(expected[20:23]))
    items.extend(expected[23:])
    assert equal(items, expected) and np.array_equal(cast(Numbers, items[-1]), expected[-1])
    for part in (slice(3, 30), slice(49, 99), slice(30, 3), slice(None, None, -3), slice(-5, None)):
        assert equal(items[part], expected[part])
    joined = items[10:40]
    joined.extend(items[:5])
    assert equal(joined, expected[10:40] + expected[:5]) and equal(items, expected)
    texts = SampleItems(["a", "", "b"])
    texts.extend(texts[1:])
    assert list(texts) == ["a", "", "b", "", "b"]


def test_many_pictures_are_not_in_memory_and_have_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(600)]
    modality = Image(ImageConfig())
    modality.fit([Item(f"{i}.png", picture) for i, picture in enumerate(pictures[:9])], DataBudget(60.0, 9, 10_000), ())
    contents = {}
    for most_bytes in (10**9, 50_000):
        monkeypatch.setattr(sample_items, "MAX_HELD_BYTES", most_bytes)
        tracemalloc.start()
        samples = Samples([], [], modality)
        for start in range(0, 600, 100):
            samples += Samples((picture.copy() for picture in pictures[start : start + 100]), [None] * 100, modality)
        num_bytes = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        folder = tmp_path / str(most_bytes)
        samples.save(folder)
        samples.save_sheet(folder)
        samples.save_sprite_sheet(folder)
        contents[most_bytes] = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert (num_bytes < 200_000) == (most_bytes < 10**9)
    assert contents[10**9] == contents[50_000] and len(contents[50_000]) >= 602


def test_a_disk_without_space_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_items, "MAX_HELD_BYTES", 10)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(RunError, match="set TMPDIR to another folder"):
        SampleItems(sounds(10))
