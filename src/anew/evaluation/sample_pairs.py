"""Samples, each next to its nearest training item, for the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from anew.core.arrays import Integers, Numbers
from anew.evaluation.reporting.content import ReportItem, SamplePair

X = TypeVar("X")  # an item
EXACT_COPY = "exact copy"  # the caption of a pair of equal items


def nearest_pairs(
    show: Callable[[X], ReportItem],
    samples: Sequence[X],
    training: Sequence[X],
    index: Integers,
    distances: Numbers,
    typical: float,
    exact: float,
    form: str = "difference {:.0f}",
    caption_of_copy: Callable[[X, X], str] = lambda sample, item: EXACT_COPY,
) -> list[SamplePair]:
    """Pair samples with their nearest training items, for the report.

    Args:
        show: Returns the report's view of an item.
        samples: The samples.
        training: Training items.
        index: (n,) index of the nearest of these.
        distances: (n,) distances to these.
        typical: Median distance of held-out items to their nearest training item; pairs within a quarter of it are marked.
        exact: Distance below which two items count as identical.
        form: Format of the caption of a distance.
        caption_of_copy: Returns the caption of a sample and an identical training item.
    """
    return [
        SamplePair(
            show(sample),
            show(training[i]),
            caption_of_copy(sample, training[i]) if distance < exact else form.format(distance),
            close=bool(distance < 0.25 * typical),
            distance=float(distance),
            train=int(i),
        )
        for sample, i, distance in zip(samples, index, distances, strict=True)
    ]
