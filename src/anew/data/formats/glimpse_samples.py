"""Glimpses of the first items of a data set, from which a modality chooses a shape."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from anew.core import isolation
from anew.data.types import Item

G = TypeVar("G")
Glimpsed = TypeVar("Glimpsed", contravariant=True)


class GlimpseSample(Protocol[Glimpsed]):
    """Collected glimpses of the first items, from which a modality chooses a shape."""

    first_error: str  # why the first unusable item cannot be used

    @property
    def is_complete(self) -> bool:
        """Whether no more items are needed."""

    @property
    def needs_bodies(self) -> bool:
        """Whether bodies of more items should be decoded."""

    @property
    def piece(self) -> int:
        """How many items to look at before asking both again."""

    def add(self, glimpse: Glimpsed) -> None:
        """Add an item."""


def collect_glimpses(
    glimpse_of: Callable[[Item, int], G], items: Iterable[Item], sample: GlimpseSample[G], side: int
) -> None:
    """Add glimpses of items to a sample until it is complete.

    Args:
        glimpse_of: Method of a modality: from an item and a side in pixels, 0 for the header alone, to a glimpse.
        items: Read until the sample is complete.
        sample: Receives the glimpses, and the reason of the first item without one.
        side: Pixels a side that decoded bodies need.
    """
    remaining = iter(items)
    while not sample.is_complete and (chunk := list(itertools.islice(remaining, sample.piece))):
        glimpses = isolation.each(glimpse_of, chunk, side if sample.needs_bodies else 0)
        for item, glimpse in zip(chunk, glimpses, strict=True):
            if isinstance(glimpse, ValueError):
                sample.first_error = sample.first_error or f"{item.name}: {glimpse}"
            else:
                sample.add(glimpse)
