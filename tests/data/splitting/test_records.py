"""Records are read once before the split: which share a key, and which cannot be used."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from anew.core import isolation
from anew.core.reading_time import ReadingTime
from anew.data.modalities.image import Image, ImageConfig
from anew.data.sources.base import Shard
from anew.data.splitting import records, row_choice
from anew.data.splitting.records import Records
from anew.data.types import Item

IMAGE = Image(ImageConfig())


class ShardList:
    """A source of items in memory, in shards of equal size."""

    def __init__(self, items: list[Item], num_shards: int = 2) -> None:
        size = len(items) // num_shards
        self.items = {str(i): items[i * size : (i + 1) * size] for i in range(num_shards)}
        self.shards = [Shard(name, len(items), 0, None) for name, items in self.items.items()]
        self.refusals: list[Any] = []

    def read(self, shard: Shard) -> Iterator[Item]:
        yield from self.items[shard.name]


def png(seed: int, colours: int = 256, compress_level: int = 6) -> bytes:
    x = np.random.default_rng(seed).integers(0, colours, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Pillow.fromarray(np.kron(x, np.ones((8, 8, 1), dtype=np.uint8))).save(out, "PNG", compress_level=compress_level)
    return out.getvalue()


def read(bodies: list[bytes]) -> Records:
    source: Any = ShardList([Item(f"{i}.png", body) for i, body in enumerate(bodies)])
    contents = Records()
    contents.read(source, source.shards, IMAGE, [0, 1])
    return contents


@pytest.mark.parametrize("max_compared", [1000, 20, 5, 0])
def test_identical_items_share_a_key_wherever_they_are(max_compared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3,000 pictures with 400 identical pairs, 55 pairs lay in training and held-out parts."""
    monkeypatch.setattr(records, "MAX_COMPARED", max_compared)
    monkeypatch.setattr(records, "MAX_BODIES", 4 * max_compared)
    bodies = [png(seed) for seed in range(30)]
    contents = read(bodies + bodies[::-1])
    assert contents.keys[:30] == contents.keys[:29:-1] and len(set(contents.keys)) == 30
    assert sum(contents.is_body_valid) == min(max_compared, 60)


def test_equal_pictures_in_other_files_share_a_key_among_those_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_COMPARED", 10)
    first, other = png(0), png(0, compress_level=1)
    bodies = [png(seed) for seed in range(1, 13)]
    contents = read([first, other, *bodies, other, first])
    assert first != other
    assert contents.keys[0] == contents.keys[1] == contents.keys[-2] == contents.keys[-1]
    assert len(set(contents.keys)) == 13


def test_items_that_cannot_be_used_are_refused_by_name() -> None:
    contents = read([png(0), b"no picture", png(1), png(2)])
    assert [refusal.name for refusal in contents.refusals] == ["1.png"]
    assert contents.places == [(0, 0), (1, 0), (1, 1)] and contents.lengths == {0: 2, 1: 2}


@pytest.mark.parametrize(("lengths", "records"), [({0: 4}, "8"), ({0: 12}, "about 24"), ({0: 12, 1: 4}, "about 16")])
def test_records_that_files_are_cut_into_are_not_counted_against_files(lengths: dict[int, int], records: str) -> None:
    """908 of 840 items were read."""
    shards = ShardList([Item(f"{i}.png", png(i)) for i in range(8)]).shards
    contents = Records()
    contents.lengths = lengths
    assert contents._expected(shards, 8) == records


def test_rows_that_an_earlier_command_read_do_not_make_others_seem_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second command on 12 sorted classes read two of them whole, and none of the others."""
    monkeypatch.setattr(records, "MIN_READ", 64)
    monkeypatch.setattr(row_choice, "MIN_ROWS_OF_SHARD", 4)
    monkeypatch.setattr(records, "TRIAL_ROWS", 2)
    seconds, original = [0.0], isolation.each

    def slowly(method: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        listed = list(items)
        seconds[0] += len(listed)
        return original(method, listed)

    monkeypatch.setattr(isolation, "each", slowly)
    source: Any = ShardList([Item(f"{i}.png", png(i)) for i in range(256)], 8)
    known: dict[int, int] = {}
    num_read = []
    for _ in range(2):
        reading = ReadingTime(1600.0, clock=lambda: seconds[0])
        contents = Records(known)
        contents.read(source, source.shards, IMAGE, list(range(8)), reading)
        num_read.append(Counter(shard for shard, _ in contents.places))
    first, second = num_read
    assert first.total() < 200 and len(first) == len(second) == 8
    assert max(second.values()) < 32 and second.total() < 1.5 * first.total()
