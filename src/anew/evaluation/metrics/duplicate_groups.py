"""Groups of duplicates: a classifier that learns from one half of the items must not meet near-duplicates of them in the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

import numpy as np

from anew.core.arrays import Integers
from anew.data.types import ItemT

KeysOf: TypeAlias = Callable[[Sequence[ItemT]], Sequence[int] | Integers]


def equal_keys(items: Sequence[Hashable]) -> list[int]:
    """A number for each item, which only equal items share."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(item, len(numbers)) for item in items]


def are_mostly_distinct(items: Sequence[Hashable]) -> bool:
    """Whether at least half of the items are different; else they repeat each other as draws from a distribution do, and equal ones
    are not near-duplicates."""
    return 2 * len(set(items)) >= len(items)


def duplicate_groups(sets: Sequence[Sequence[ItemT]], keys_of: KeysOf[ItemT]) -> tuple[Integers, Integers, Integers]:
    """Group numbers of samples (n,), of held-out items (m,) and of training items (k,).

    Those of samples are their own: a sample that resembles two real items does not make these a group.

    Args:
        sets: Samples, held-out items and training items.
        keys_of: Returns a number for each of some items, which duplicates share.
    """
    samples, held_out, train = sets
    own, real = (
        np.unique(np.array(keys_of(items), dtype=np.uint64), return_inverse=True)[1]
        for items in (samples, [*held_out, *train])
    )
    return own, real[: len(held_out)], real[len(held_out) :]
