"""Millions of items of a part in little memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anew.core.sequences import Rearranged
from anew.core.specs import Tokens
from anew.core.stores.text_column import TextColumnBuilder
from anew.data.dataset import Dataset
from anew.data.loading.epoch_order import random_subset
from anew.data.loading.in_memory import InMemoryStore
from anew.data.loading.stored_shards import StoredGrids
from anew.data.types import DecodedItem

MAX_HELD_BYTES = 256 * 1024 * 1024  # bytes of grids that are held at once; chosen


def compact_items(data: Dataset, part: str, n: int, seed: int = 0) -> Sequence[DecodedItem]:
    """The items of `data.items`: records as one block of bytes, grids read from the cache when they are asked for.

    As strings of Python, ten million names would take a gigabyte.
    """
    base = data.base
    store, number = base.opened_part(part)
    is_text = isinstance(base.spec, Tokens) and base.spec.packed
    if isinstance(store, InMemoryStore) or is_text:
        return base.items(part, n, seed)
    if not isinstance(base.spec, Tokens):
        if n * store.rates["ids"] <= MAX_HELD_BYTES:
            return base.items(part, n, seed)
        return _drawn(StoredGrids(store.stored(number, n), base.modality.to_items), n, seed)
    builder = TextColumnBuilder()
    for rows in store.stored(number, n).records():
        builder.extend([str(base.modality.decode(row[None].astype(np.int64))[0]) for row in rows])
    return _drawn(builder.column(), n, seed)


def _drawn(items: Sequence[DecodedItem], n: int, seed: int) -> Sequence[DecodedItem]:
    """n random ones of some items, in their order; all, if there are no more."""
    return items if len(items) <= n else Rearranged(items, random_subset(len(items), n, seed))
