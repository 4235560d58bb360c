"""How items of a type are compared for copies, and which of them no generator makes without having seen them: those that need far more
bits than the choice of any one of its samples. The types are in `item_types`."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Hashable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers, Numbers
from anew.core.sequences import Rearranged
from anew.data.types import ItemT
from anew.evaluation.memorization.copying_test import Distance, Indices
from anew.evaluation.memorization.thresholds import ALPHA, LABEL_ALPHA
from anew.evaluation.metrics.text.baselines import kneser_ney_bits

ORDER = 6  # characters of context; more change no result of lists of names, molecules or messages
FOLDS = 4  # the bits of an item are those by the items of the other folds
MAX_CHARACTERS = 400_000  # so many characters of the items of a fold are counted, in half a second
# An item counts as one that no generator makes unseen if even a generator that needs only half the bits that counts need makes it by chance
# in only one of 100 memorization tests. Median bits: 24 of names, 28 of receptors, 35 of names of colours, 49 of molecules, 64 of messages,
# 154 of rows of numbers.
MODEL_ADVANTAGE = 2.0
TESTS_PER_FALSE_ALARM = 100.0


def content_bits(items: Sequence[str | Numbers], others: Sequence[str | Numbers]) -> NDArray[np.float64]:
    """About how many bits each item needs (n,): texts by the characters of others, arrays by themselves."""
    if not all(isinstance(item, str) for item in items):
        return np.array([_array_bits(np.asarray(item)) for item in items])
    texts, counted = list(map(str, items)), list(map(str, others))
    length = max(sum(map(len, counted)) / max(len(counted), 1), 1.0)
    bits = kneser_ney_bits(counted[: max(int(MAX_CHARACTERS / length), 1)], texts, ORDER, records=True)
    return np.add.reduceat(bits, np.cumsum([0, *(len(text) + 1 for text in texts[:-1])]))  # and of its end


def _array_bits(item: Numbers) -> float:
    """How many more bits an array takes, compressed, than a plain one."""
    sizes = [len(zlib.compress(np.ascontiguousarray(array).tobytes())) for array in (item, np.zeros_like(item))]
    return 8.0 * max(sizes[0] - sizes[1], 0)


def min_unguessable_bits(num_samples: int, num_real: int) -> float:
    """Bits of an item from which on a generator that has not seen it is not expected to make it."""
    return MODEL_ADVANTAGE * float(np.log2(max(num_samples * num_real, 1) * TESTS_PER_FALSE_ALARM))


def are_unguessable(
    items: Indices,
    real: Sequence[ItemT],
    bits: Callable[[Sequence[ItemT], Sequence[ItemT]], NDArray[np.float64]],
    num_samples: int,
) -> NDArray[np.bool_]:
    """Whether no generator makes each of some real items unseen.

    Args:
        items: Their indices among the real ones.
        real: All real items, in random order, so that their numbers make random folds.
        bits: See `ItemType`.
        num_samples: Number of samples that may repeat one.
    """
    bits_of = np.empty(len(items))
    first = np.arange(min(len(real), 2 * MAX_CHARACTERS), dtype=np.int32)  # no fold has half of them
    for fold in np.unique(items % FOLDS):
        others = Rearranged(real, first[first % FOLDS != fold][:MAX_CHARACTERS])
        in_fold = items % FOLDS == fold
        bits_of[in_fold] = bits([real[i] for i in items[in_fold]], others)
    return bits_of >= min_unguessable_bits(num_samples, len(real))


# Memory that a test takes for a character of a text: itself, its codes and counts of its parts; chosen.
CHARACTER_BYTES = 40


# Bytes of memory that a memorization test takes for a short record, besides its characters and their codes. Measured: 102 in all for names
# of 15 characters (docs/log.md, 2026-12-01)
RECORD_BYTES = 80


def content_keys(item: str | Numbers) -> list[Hashable]:
    """A key that is equal for equal items."""
    if isinstance(item, str):
        return [item]
    array = np.ascontiguousarray(item)
    return [(array.shape, hashlib.blake2b(array.tobytes(), digest_size=16).digest())]


def text_bytes(item: object) -> int:
    """About how many bytes a memorization test takes for a text."""
    return CHARACTER_BYTES * len(str(item))


def short_record_bytes(record: str) -> int:
    """About how many bytes a memorization test takes for a short record: its characters, their codes, and all arrays of the test."""
    return RECORD_BYTES + 2 * len(str(record))


Alteration: TypeAlias = Callable[[ItemT, np.random.Generator], ItemT]


@dataclass(frozen=True, slots=True)
class CoarseType(Generic[ItemT]):
    """A comparison of items that takes a fraction of the time, and sees fewer kinds of copies. For the attributes see `ItemType`."""

    distances: Callable[[Sequence[ItemT], Integers], list[Distance]]
    alterations: tuple[Alteration[ItemT], ...]
    query_cost: int
    scope: str


@dataclass(frozen=True, slots=True)
class ItemType(Generic[ItemT]):
    """How items of a type are compared.

    Attributes:
        name: Name of the type.
        distances: Function from all items and their groups (n,) to distances.
        alterations: Functions that make lightly altered copies of an item; copies altered in each way are planted.
        scope: Sentences on which copies the test can detect (measured: docs/log.md, 2026-11-28).
        whole: Whether an item is a whole item of the data, in a group with its near-duplicates; else it is a passage, in a
            group with the passages of its text.
        query_cost: Fixed time of an item that is searched for, whatever it is compared with, in comparisons.
        working_bytes: About how many bytes a memorization test takes for an item, itself included.
        keys: Keys of an item; two items that share one count as identical.
        likeness: A clause on what an item may be identical to other than a whole item: " or to ...".
        runs: Hashes of the parts of a training item by which a reader knows it; items that share one show the same thing.
        copied: Makes a copy as generators make them, which is planted: of an item, or of parts of it and, smaller ones, of another
            item.
        bits: About how many bits each of some items needs (n,), given others. Items that need very many are unguessable.
        coarse: How items are compared first where time is short; None: as they are anyway.
        is_coarse: Whether this is such a comparison.
        is_blockwise: Whether items can be compared a block at a time: how far two are apart does not depend on the others.
        kind: Property of an item that decides by which distances it is compared; None: all items have the same. An item of each
            kind is in every block.
        level: Significance level of each test; lower where the same data are tested as items of two types.
        label_level: Level at which labels confirm the match test; 1 for items so long that no generator reaches one by chance.
    """

    name: str
    distances: Callable[[Sequence[ItemT], Integers], list[Distance]]
    alterations: tuple[Alteration[ItemT], ...]
    scope: str
    whole: bool = True
    query_cost: int = 0
    working_bytes: Callable[[ItemT], int] = text_bytes
    keys: Callable[[ItemT], Sequence[Hashable]] = content_keys
    likeness: str = ""
    runs: Callable[[ItemT], AbstractSet[int]] = lambda item: frozenset()
    copied: Callable[[ItemT, ItemT, np.random.Generator], ItemT] = lambda item, *_: item
    bits: Callable[[Sequence[ItemT], Sequence[ItemT]], NDArray[np.float64]] = content_bits
    coarse: CoarseType[ItemT] | None = None
    is_coarse: bool = False
    is_blockwise: bool = False
    kind: Callable[[ItemT], Hashable] | None = None
    level: float = ALPHA
    label_level: float = LABEL_ALPHA

    def coarsely(self) -> ItemType[ItemT] | None:
        """The type whose items are compared as `coarse` says; None if there is nothing of the kind."""
        if self.coarse is None:
            return None
        return replace(
            self,
            distances=self.coarse.distances,
            alterations=self.coarse.alterations,
            query_cost=self.coarse.query_cost,
            scope=self.coarse.scope,
            coarse=None,
            is_coarse=True,
        )
