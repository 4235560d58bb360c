"""The items that samples are compared with: of the test part, and of validation if the test part has too few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anew.core.specs import Tokens
from anew.data.dataset import Dataset
from anew.data.types import DecodedItem

PARTS = ("validation", "test")


def held_out_items(data: Dataset, n: int, seed: int = 0) -> list[DecodedItem]:
    """n random items to compare samples with, or all."""
    items = data.items("test", n, seed)
    return items + data.items("validation", n - len(items), seed) if adds_validation(data, len(items), n) else items


def held_out_labels(data: Dataset, n: int, seed: int = 0) -> tuple[list[str], NDArray[np.int64]]:
    """(class names, (n,) class numbers) of the items that `held_out_items` gives for the same arguments."""
    names, numbers = data.item_labels("test", n, seed)
    if not adds_validation(data, len(numbers), n):
        return names, numbers
    return names, np.concatenate((numbers, data.item_labels("validation", n - len(numbers), seed)[1]))


def held_out_size(data: Dataset) -> int:
    """How many items `held_out_items` has at most."""
    n_test = _num_items(data, "test")
    return n_test + (_num_items(data, "validation") if adds_validation(data, n_test, n_test + 1) else 0)


def _num_items(data: Dataset, part: str) -> int:
    """The number of items in a part: fewer than its examples if long records are cut into several."""
    size = data.part_size(part)
    is_packed = isinstance(data.spec, Tokens) and data.spec.packed
    return size if is_packed else min(size, data.scan.parts.get(part, size))


def adds_validation(data: Dataset, n_test: int, n: int) -> bool:
    """Whether validation items are added to n_test test items: if these are too few records and both parts come from one division.

    A run learns little from validation items: they only choose its weights and a gate.
    """
    is_packed = isinstance(data.spec, Tokens) and data.spec.packed
    is_one_draw = len({name in data.carved for name in PARTS}) == 1 and all(map(data.scan.parts.get, PARTS))
    return n_test < n and not is_packed and is_one_draw
