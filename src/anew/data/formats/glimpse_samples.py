"""Glimpses of the first items of a data set, from which a modality chooses a shape."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from anew.core import isolation
from anew.core.reading_time import ReadingTime
from anew.data.types import Item

MAX_PIECE_IN_TIME = 16  # items that are looked at between two looks at the clock; chosen
# So many bodies are decoded however late it is: with fewer, channels and scale would depend on chance; chosen.
ENOUGH_IN_TIME = 32

G = TypeVar("G")
Glimpsed = TypeVar("Glimpsed", contravariant=True)


class GlimpseSample(Protocol[Glimpsed]):
    """Collected glimpses of the first items, from which a modality chooses a shape."""

    first_error: str  # why the first unusable item cannot be used

    @property
    def num_decoded(self) -> int:
        """Items whose bodies were decoded."""

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
    glimpse_of: Callable[[Item, int], G],
    items: Iterable[Item],
    sample: GlimpseSample[G],
    side: int,
    reading: ReadingTime | None = None,
) -> None:
    """Add glimpses of items to a sample until it is complete.

    Args:
        glimpse_of: Method of a modality: from an item and a side in pixels, 0 for the header alone, to a glimpse.
        items: Read until the sample is complete.
        sample: Receives the glimpses, and the reason of the first item without one.
        side: Pixels a side that decoded bodies need.
        reading: Once it is over, no more bodies are decoded than are needed; None for no limit.
    """
    reading = ReadingTime() if reading is None else reading
    reading.stage = "choosing the form of the items"
    remaining = iter(items)
    most = MAX_PIECE_IN_TIME if reading.is_limited else isolation.BATCH_ITEMS
    while not sample.is_complete and (chunk := list(itertools.islice(remaining, min(sample.piece, most)))):
        is_enough = reading.is_over() and sample.num_decoded >= ENOUGH_IN_TIME
        glimpses = isolation.each(glimpse_of, chunk, side if sample.needs_bodies and not is_enough else 0)
        for item, glimpse in zip(chunk, glimpses, strict=True):
            if isinstance(glimpse, ValueError):
                sample.first_error = sample.first_error or f"{item.name}: {glimpse}"
            else:
                sample.add(glimpse)
