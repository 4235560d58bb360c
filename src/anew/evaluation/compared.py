"""Comparison of samples with real items: a distance with its baselines, and pairs of nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from anew.core.arrays import Integers, Numbers
from anew.evaluation.metrics.bootstrap import RESAMPLES, interval, resample
from anew.evaluation.reporting.content import ReportItem, SamplePair
from anew.evaluation.score import MetricSpec, Score

X = TypeVar("X")  # an item
EXACT_COPY = "exact copy"  # the caption of a pair of equal items


@dataclass(frozen=True, slots=True)
class SetStatistics:
    """Statistics of the items of each set, one row (or number) per item.

    Attributes:
        samples: Statistics of generated items.
        test: Statistics of held-out items.
        train: Statistics of training items.
        naive: Statistics of the samples of a naive generator, if there is one.
    """

    samples: Numbers
    test: Numbers
    train: Numbers
    naive: Numbers | None = None


def distance_score(
    spec: MetricSpec,
    distance: Callable[[Numbers, Numbers], float],
    rows: SetStatistics,
    *,
    seed: int,
    source: str,
    minimum: float = -np.inf,
    repeats: int = RESAMPLES,
) -> Score:
    """The score of a distance between samples and held-out items, with interval and baselines.

    Args:
        spec: The metric.
        distance: Distance of two sets of rows.
        rows: Statistics of all sets.
        seed: Seed of the bootstrap.
        source: How the distance was measured, one clause.
        minimum: Smallest possible value of the distance, at which the interval is cut.
        repeats: Number of resamples of the bootstrap.
    """
    value = distance(rows.samples, rows.test)
    resampled = resample(distance, (rows.samples, rows.test), seed=seed, repeats=repeats)
    low, high = interval(value, resampled, minimum=minimum)
    return Score(
        spec,
        value,
        low=low,
        high=high,
        real_baseline=distance(rows.train, rows.test),
        naive_baseline=None if rows.naive is None else distance(rows.naive, rows.test),
        n=len(rows.samples),
        source=source,
    )


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
