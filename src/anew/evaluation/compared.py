"""Samples compared with real items: their distance in one respect, with its baselines, and each next to its nearest neighbour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.bootstrap import interval, resample
from anew.evaluation.reporting.content import ReportItem, SamplePair
from anew.evaluation.score import MetricSpec, Score

X = TypeVar("X")  # an item


@dataclass(frozen=True, slots=True)
class Compared:
    """Statistics of each item, one row (or number) per item.

    Attributes:
        samples: Statistics of generated items.
        test: Statistics of held-out items.
        train: Statistics of training items.
        naive: Statistics of what a naive generator makes; None where there is none.
    """

    samples: Numbers
    test: Numbers
    train: Numbers
    naive: Numbers | None = None


def distance_score(
    spec: MetricSpec,
    distance: Callable[[Numbers, Numbers], float],
    rows: Compared,
    *,
    seed: int,
    source: str,
    minimum: float = -np.inf,
) -> Score:
    """Distance of samples from held-out items.

    Args:
        spec: What the score is called and means.
        distance: Distance of two sets of rows.
        rows: What is compared.
        seed: Seed of the rows that are drawn for the interval.
        source: How it was measured.
        minimum: The least value that the distance can have, which cuts the interval.
    """
    value = distance(rows.samples, rows.test)
    low, high = interval(value, resample(distance, (rows.samples, rows.test), seed=seed), minimum=minimum)
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
    nearest: Sequence[X],
    distances: Numbers,
    typical: float,
    exact: float,
    form: str = "difference {:.0f}",
) -> list[SamplePair]:
    """Samples next to their nearest training items.

    Args:
        show: How an item stands on the page.
        samples: The samples.
        nearest: The training item nearest to each.
        distances: (n,) how far it is.
        typical: How far a held-out item is from its own; pairs within a quarter of that are marked.
        exact: The distance under which an item is the same.
        form: Format of the caption of a distance.
    """
    return [
        SamplePair(
            show(sample),
            show(item),
            "exact copy" if distance < exact else form.format(distance),
            close=bool(distance < 0.25 * typical),
        )
        for sample, item, distance in zip(samples, nearest, distances, strict=False)
    ]
