"""Millions of items of a part in little memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anew.core.sequences import Rearranged
from anew.core.specs import Tokens
from anew.core.stores.text_column import TextColumnBuilder
from anew.data.dataset import Dataset
from anew.data.loading.epoch_order import permutation
from anew.data.types import DecodedItem


def compact_items(data: Dataset, part: str, n: int, seed: int = 0) -> Sequence[DecodedItem]:
    """The items of `data.items`: records as one block of bytes, grids read from the cache when they are asked for.

    As strings of Python, ten million names would take a gigabyte.
    """
    base = data.base
    store, number = base.opened_part(part)
    if not isinstance(base.spec, Tokens):
        grids = store.stored_grids(number, n)
        return base.items(part, n, seed) if grids is None else _drawn(grids, n, seed)
    if base.spec.packed:
        return base.items(part, n, seed)
    builder = TextColumnBuilder()
    for rows in store.stored_records(number, n):
        builder.extend([str(base.modality.decode(row[None].astype(np.int64))[0]) for row in rows])
    return _drawn(builder.column(), n, seed)


def _drawn(items: Sequence[DecodedItem], n: int, seed: int) -> Sequence[DecodedItem]:
    """n random ones of some items, in their order; all, if there are no more."""
    return items if len(items) <= n else Rearranged(items, np.sort(permutation(len(items), seed)[:n]))
