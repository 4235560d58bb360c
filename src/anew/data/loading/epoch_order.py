"""The order of examples in training: a pure function of seed, epoch and phase, known before anything is encoded.

The listing fixes for every shard a number of slots, one for each example of an epoch. An epoch is a permutation of shards,
cut into groups; within a group all slots are shuffled. Thus an epoch mixes well, only one or two groups must be in memory, and the shard
and place of any example of any step are found at once. The place is a fraction of the shard's content, however
much that turns out to be.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from anew.core.random import key
from anew.core.splitmix import splitmix64

K = TypeVar("K")
V = TypeVar("V")


def permutation(n: int, key: int) -> NDArray[np.int64]:
    """(n,) a permutation of 0..n-1 that depends on n and key alone, on every machine and in every version."""
    start = splitmix64(np.array([key & (2**64 - 1)], dtype=np.uint64))[0]
    return np.argsort(splitmix64(np.arange(n, dtype=np.uint64) ^ start), kind="stable")


def random_subset(count: int, n: int, seed: int) -> NDArray[np.int64]:
    """Which n of `count` items (all, if fewer) are drawn with a seed, in their stored order: items, labels and names agree in it."""
    return np.sort(permutation(count, seed)[:n])


@dataclass(slots=True)
class Slot:
    """Positions of examples.

    Attributes:
        shards: (B,) numbers of shards.
        fractions: (B,) fractions of the shard's content, in [0, 1).
        places: (B,) places in the group, in [0, 1): shard by shard.
    """

    shards: NDArray[np.int64]
    fractions: NDArray[np.float64]
    places: NDArray[np.float64]

    def take(self, rows: NDArray[np.int64]) -> Slot:
        """These rows, in this order."""
        return Slot(self.shards[rows], self.fractions[rows], self.places[rows])

    def pairs(self) -> Iterator[tuple[int, float]]:
        """(shard, fraction) of each row."""
        return zip(self.shards.tolist(), self.fractions.tolist(), strict=True)


@dataclass(slots=True)
class _Epoch:
    """The order of one epoch.

    Attributes:
        order: (shards,) shard numbers.
        bounds: (groups + 1,) where each group begins in `order`, and the end.
        ends: (shards,) slots up to the end of each shard, in this order.
        shift: Fraction of a slot by which all places move, so that they differ from epoch to epoch.
    """

    order: NDArray[np.int64]
    bounds: NDArray[np.int64]
    ends: NDArray[np.int64]
    shift: float


class EpochOrder:
    """The order of a source in shards."""

    def __init__(self, slots: Sequence[int], group: int, seed: int) -> None:
        """slots: (shards,) examples of each shard in an epoch; group: most shards shuffled together."""
        self.slots = np.asarray(slots, dtype=np.int64)
        self.total = int(self.slots.sum())
        self._group = max(group, 1)
        self._seed = seed
        self._epochs: OrderedDict[int, _Epoch] = OrderedDict()
        self._perms: OrderedDict[tuple[str, int, int], NDArray[np.int64]] = OrderedDict()

    def slots_of(self, index: NDArray[np.int64], phase: str) -> Slot:
        """The slots of examples with these global numbers (B,), rising."""
        shards = np.empty(len(index), dtype=np.int64)
        fractions, places = np.empty(len(index)), np.empty(len(index))
        for number in np.unique(index // self.total).tolist():
            epoch = self._epoch(number)
            rows = np.flatnonzero(index // self.total == number)
            starts = self._starts(epoch)
            groups = np.searchsorted(starts, index[rows] % self.total, side="right")
            for group in np.unique(groups).tolist():
                in_group = rows[groups == group]
                first = int(starts[group - 1]) if group else 0
                perm = self._perm(phase, number, group)
                slot = perm[index[in_group] % self.total - first]
                places[in_group] = slot / len(perm)
                slot = slot + first
                position = np.searchsorted(epoch.ends, slot, side="right")
                shards[in_group] = epoch.order[position]
                size = self.slots[shards[in_group]]
                inside = slot - (epoch.ends[position] - size)
                fractions[in_group] = np.minimum((inside + epoch.shift) / size, 1 - 1e-9)
        return Slot(shards, fractions, places)

    def batch(self, index: NDArray[np.int64], phase: str, first: int, count: int) -> tuple[NDArray[np.int64], Slot]:
        """`count` rows, from `first` on, of the batch of the examples with these global numbers (B,), rising: (numbers, slots).

        Successive rows come from the same part of a group, so that a process that trains on a range of rows needs only some shards.
        """
        slots = self.slots_of(index, phase)
        rows = np.lexsort((slots.places, index // self.total))[first : first + count]
        return index[rows], slots.take(rows)

    @staticmethod
    def _starts(epoch: _Epoch) -> NDArray[np.int64]:
        return epoch.ends[epoch.bounds[1:-1] - 1]  # first slot of every group but the first

    def upcoming(self, index: int) -> tuple[int, int, int]:
        """At the example with this global number: (epoch, group, how many shards of the next group should be ready)."""
        number, place = divmod(index, self.total)
        epoch = self._epoch(number)
        starts = self._starts(epoch)
        group = int(np.searchsorted(starts, place, side="right"))
        first = int(starts[group - 1]) if group else 0
        after = int(starts[group]) if group < len(starts) else self.total
        share = (place - first) / (after - first)
        # A quarter of a group ahead of use, and a shard at a time, since a burst of work would slow training down.
        return number, group, int(np.ceil((share + 0.25) * len(self._next(number, group))))

    def shards_of(self, number: int, group: int, num_ahead: int, share: tuple[float, float] = (0.0, 1.0)) -> list[int]:
        """The shards of a group, and the first `num_ahead` of the group after it; of both those within a share of the group."""
        epoch = self._epoch(number)
        current: list[int] = epoch.order[epoch.bounds[group] : epoch.bounds[group + 1]].tolist()
        following = self._next(number, group)
        own = _within(following, share)
        return _within(current, share) + own[: -(-num_ahead * len(own) // len(following))]

    def _next(self, number: int, group: int) -> list[int]:
        epoch, group = self._epoch(number), group + 1
        if group + 1 >= len(epoch.bounds):
            epoch, group = self._epoch(number + 1), 0
        shards: list[int] = epoch.order[epoch.bounds[group] : epoch.bounds[group + 1]].tolist()
        return shards

    def first(self) -> list[int]:
        """All shards in the order of the first epoch, so that a short look at the data reads the same shards as training."""
        shards: list[int] = self._epoch(0).order.tolist()
        return shards

    def _epoch(self, number: int) -> _Epoch:
        def make() -> _Epoch:
            epoch_key = key(self._seed, "epoch", number)
            order = permutation(len(self.slots), epoch_key)
            return _Epoch(order, self._bounds(number), np.cumsum(self.slots[order]), (epoch_key % 4096) / 4096)

        epoch: _Epoch = _get_or_make(self._epochs, number, make, 4)
        return epoch

    def _bounds(self, number: int) -> NDArray[np.int64]:
        # The first epoch begins with small groups, so that the first step waits for two shards instead of a whole group.
        sizes, remaining, size = [], len(self.slots), 2 if number == 0 else self._group
        while remaining > 0:
            sizes.append(min(size, remaining))
            remaining -= sizes[-1]
            size = min(size + (size + 1) // 2 if len(sizes) > 1 else size, self._group)
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def _perm(self, phase: str, number: int, group: int) -> NDArray[np.int64]:
        def make() -> NDArray[np.int64]:
            epoch = self._epoch(number)
            low, high = epoch.bounds[group], epoch.bounds[group + 1]
            n = int(self.slots[epoch.order[low:high]].sum())
            return permutation(n, key(self._seed, "order", phase, number, group))

        order: NDArray[np.int64] = _get_or_make(self._perms, (phase, number, group), make, 6)
        return order


def share_of_rows(first: int, count: int, size: int) -> tuple[float, float]:
    """The share of a group in which rows of a batch of this size almost always lie: that of the rows, and three standard deviations
    of a quantile on either side."""
    if count >= size:
        return 0.0, 1.0
    margin = 1.5 / size**0.5
    return first / size - margin, (first + count) / size + margin


def _within(shards: list[int], share: tuple[float, float]) -> list[int]:
    """The shards that lie within a share of a group at least in part."""
    low, high = (bound * len(shards) for bound in share)
    return [shard for place, shard in enumerate(shards) if place + 1 > low and place < high]


def _get_or_make(store: OrderedDict[K, V], name: K, make: Callable[[], V], capacity: int) -> V:
    """store[name], made if missing; the store keeps the `capacity` that were made last."""
    if name not in store:
        while len(store) >= capacity:
            store.popitem(last=False)
        store[name] = make()
    return store[name]
