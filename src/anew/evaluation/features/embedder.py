"""Features of items by a fitted embedding, computed a few items at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

import numpy as np
from torch import Tensor

from anew.core.arrays import Numbers
from anew.data.types import ItemT
from anew.evaluation.features.random_conv import Embedding


class GridEmbedder(Generic[ItemT]):
    """Computes features of items that are values on a grid.

    Args:
        prepare: Turns items into values (n, C, *extents) in [-1, 1].
        train: Items to which centre and scale of the embedding are fitted.
        at_once: Number of items that are prepared together: bounds memory.
    """

    def __init__(self, prepare: Callable[[Sequence[ItemT]], Tensor], train: Sequence[ItemT], at_once: int) -> None:
        self._prepare, self._at_once = prepare, at_once
        prepared = prepare(train)
        self._embedding = Embedding(prepared.shape[1], prepared.ndim - 2).fit(prepared)

    def __call__(self, items: Sequence[ItemT]) -> Numbers:
        """Features (n, d) of n items."""
        return self.detailed(items)[0]

    @property
    def views(self) -> tuple[int, ...]:
        """See `Embedding.views`."""
        return self._embedding.views

    def detailed(self, items: Sequence[ItemT]) -> tuple[Numbers, Numbers]:
        """Features (n, d) of n items, and the detail (n, w) that classifiers are given: see `Embedding.detailed`."""
        starts = range(0, len(items), self._at_once)
        parts = [self._embedding.detailed(self._prepare(items[start : start + self._at_once])) for start in starts]
        features, detail = zip(*parts, strict=True)
        return np.concatenate(features), np.concatenate(detail)
