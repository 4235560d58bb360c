"""Items of a part in its encoded shards, read when they are asked for: memory does not hold those of large data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from anew.core.arrays import Integers, Numbers
from anew.core.sequences import MadeSequence
from anew.data.loading.cache import EncodedShard
from anew.data.types import DecodedItem


@dataclass(frozen=True, slots=True)
class StoredShards:
    """Encoded shards of a part.

    Attributes:
        encoded: Returns a shard by its number, from a cache on the disk.
        numbers: Numbers of the shards.
        part: The part; others in these shards are left out.
    """

    encoded: Callable[[int], EncodedShard]
    numbers: Sequence[int]
    part: int

    def records(self) -> Iterator[list[Numbers]]:
        """The ids of each record, shard by shard."""
        for shard in map(self.encoded, self.numbers):
            stops = np.cumsum(shard.lengths)
            is_own = shard.parts == self.part
            bounds = zip((stops - shard.lengths)[is_own].tolist(), stops[is_own].tolist(), strict=True)
            yield [shard.values[start:stop] for start, stop in bounds]


class StoredGrids(MadeSequence[DecodedItem]):
    """Grids in the order of their shards. All shards are read once, to be counted."""

    def __init__(self, shards: StoredShards, to_items: Callable[[Numbers], Sequence[DecodedItem]]) -> None:
        """to_items: Makes items of stored rows."""
        self._shards, self._to_items = shards, to_items
        counts = (int((shards.encoded(number).parts == shards.part).sum()) for number in shards.numbers)
        self._starts = np.cumsum([0, *counts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, numbers: Integers) -> list[DecodedItem]:
        place = np.searchsorted(self._starts, numbers, side="right") - 1
        items: dict[int, DecodedItem] = {}
        for number in np.unique(place).tolist():
            rows = np.flatnonzero(place == number)
            shard = self._shards.encoded(self._shards.numbers[number])
            own = np.flatnonzero(shard.parts == self._shards.part)[numbers[rows] - self._starts[number]]
            items |= zip(rows.tolist(), self._to_items(shard.values[own]), strict=True)
        return [items[row] for row in range(len(numbers))]
