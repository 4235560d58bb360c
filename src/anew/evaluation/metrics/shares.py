"""Shares of items that have a property, with exact intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.score import MetricSpec, Score
from anew.functional.intervals import TAIL, clopper_pearson

Marks = Sequence[bool] | NDArray[np.bool_]  # whether each item has the property


def share_score(spec: MetricSpec, samples: Marks, real: Marks, source: str, alpha: float = 2.0 * TAIL) -> Score:
    """The score of the share of samples with a property, with its interval by Clopper and Pearson.

    Args:
        samples: Whether it holds for each sample; at least one.
        real: The same for each real item in the samples' place; at least one.
        source: Data and method of the measurement, one clause.
        alpha: How often the interval misses the share: less than 0.05 for the largest of several shares.
    """
    low, high = clopper_pearson(float(np.sum(samples)), len(samples), alpha)
    value, baseline = float(np.mean(samples)), float(np.mean(real))
    return Score(spec, value, low=low, high=high, real_baseline=baseline, n=len(samples), source=source)
