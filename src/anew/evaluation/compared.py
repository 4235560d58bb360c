"""The distance between samples and held-out items in one respect, with what real and naive items get in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.bootstrap import interval, resample
from anew.evaluation.score import MetricSpec, Score


@dataclass(frozen=True, slots=True)
class Compared:
    """What is measured of each item, a row (or number) an item.

    Attributes:
        samples: Of generated items.
        test: Of held-out items.
        train: Of training items.
        naive: Of what a naive generator makes; None where there is none.
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
        distance: Of two sets of rows.
        rows: What is compared.
        seed: Of the rows that are drawn for the interval.
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
