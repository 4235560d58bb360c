"""Names of items in the source of a dataset."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from anew.data.dataset import DEFAULT_TEXT_LIMIT, Dataset
from anew.data.loading.epoch_order import permutation
from anew.errors import printable


def item_names(data: Dataset, part: str, n: int, seed: int, index: Sequence[int]) -> list[str]:
    """Names of some of the records or grids that `data.items(part, n, seed)` returns. index: which of them."""
    store, number = data.opened_part(part)
    chosen = np.sort(permutation(store.rows(number, n).num_items, seed)[:n])[list(index)]
    return list(map(printable, store.names(number, chosen.tolist())))


def text_names(data: Dataset, part: str, index: Sequence[int]) -> list[str]:
    """Names of some of the texts that `data.text(part)` returns. index: which of them."""
    store, number = data.opened_part(part)
    texts = itertools.islice(store.text(number, DEFAULT_TEXT_LIMIT), max(index, default=-1) + 1)
    names = [item.name for item in texts]
    return [printable(names[i]) for i in index]
