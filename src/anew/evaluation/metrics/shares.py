"""Shares of items that have a property, with exact intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.metrics.bootstrap import RATIO_RESAMPLES, resample
from anew.evaluation.metrics.distances import Rows
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


def with_unsure_limits(
    score: Score, samples: Rows, reference: Rows, marks: Callable[[Rows, Rows], Marks], seed: int
) -> Score:
    """The score of a share whose property is one by limits that come from other items: its interval allows for both.

    A limit at the 5% quantile of 95 items is about that of the fifth of them: 23% of samples were above it, with an interval of 15% to 33%,
    and 54% above that of 234 items.

    Args:
        score: The score of the share, with the interval for fixed limits.
        samples: (n,) values of the samples.
        reference: (m,) values of the items that the limits come from.
        marks: Whether each of some values has the property (n,), given those of some reference items.
        seed: Seed of the bootstrap.
    """
    assert score.low is not None and score.high is not None
    shares = resample(
        lambda s, r: float(np.mean(marks(s, r))), (samples, reference), seed=seed, repeats=RATIO_RESAMPLES
    )
    low, high = (float(np.quantile(shares, q)) for q in (TAIL, 1.0 - TAIL))
    return replace(score, low=min(score.low, low), high=max(score.high, high))
