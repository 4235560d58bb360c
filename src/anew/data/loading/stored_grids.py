"""Items of a part that are read from its encoded shards when they are asked for, since memory does not hold all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from anew.core.arrays import Integers, Numbers
from anew.core.sequences import MadeSequence
from anew.data.loading.cache import EncodedShard
from anew.data.types import DecodedItem


class StoredGrids(MadeSequence[DecodedItem]):
    """Grids in the order of their shards. All shards are read once, to be counted."""

    def __init__(
        self,
        encoded: Callable[[int], EncodedShard],
        shards: Sequence[int],
        part: int,
        to_items: Callable[[Numbers], Sequence[DecodedItem]],
    ) -> None:
        """
        Args:
            encoded: Returns a shard by its number, from a cache.
            shards: Numbers of shards.
            part: The part, of whose grids others in these shards are left out.
            to_items: Makes items of stored rows.
        """
        self._encoded, self._shards, self._part, self._to_items = encoded, shards, part, to_items
        self._starts = np.cumsum([0, *(int((encoded(shard).parts == part).sum()) for shard in shards)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, numbers: Integers) -> list[DecodedItem]:
        place = np.searchsorted(self._starts, numbers, side="right") - 1
        made: dict[int, DecodedItem] = {}
        for number in np.unique(place).tolist():
            rows = np.flatnonzero(place == number)
            shard = self._encoded(self._shards[number])
            own = np.flatnonzero(shard.parts == self._part)[numbers[rows] - self._starts[number]]
            made |= zip(rows.tolist(), self._to_items(shard.values[own]), strict=True)
        return [made[row] for row in range(len(numbers))]
