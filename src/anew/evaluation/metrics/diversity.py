"""Diversity: the Vendi score of samples against that of real items (Friedman and Dieng 2022, arXiv 2210.02410).

Legend for shapes: n items, d features.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anew.evaluation.measure import VARIETY
from anew.evaluation.metrics.distances import Rows
from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureMetric
from anew.evaluation.score import Group, MetricSpec, Score, Tolerance

DIVERSITY = MetricSpec(
    "diversity",
    "Diversity",
    "Variety compared with real data (1 = the same).",
    better="higher",
    group=Group.DIVERSITY,
    order=15,
    tolerance=Tolerance(
        "variety",
        0.2,
        0.6,
        "the variety of the samples is {value:.2f} of that of real items (other real items: {real:.2f})",
        relative=True,
    ),
)

# Share of the usual distance from the mean up to which items count as the same. With 0.1, a set whose spread is a tenth looks as varied as
# real data; with 0.6, a set that lacks half the classes looks more varied
SAME_SHARE = 0.3


def vendi_score(x: Rows) -> float:
    """The effective number of different rows of x (n, d), from 1 to min(n, d).

    It is exp of the entropy of the eigenvalues of the cosine kernel / n. It grows with n, so compare it at equal n only.
    """
    rows = np.asarray(x, dtype=np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    smaller = rows.T @ rows if rows.shape[0] > rows.shape[1] else rows @ rows.T  # same nonzero eigenvalues
    values = np.linalg.eigvalsh(smaller / len(rows))
    values = values[values > 1e-12]
    values = values / values.sum()
    return float(np.exp(-(values * np.log(values)).sum()))


def diversity_ratio(a: Rows, b: Rows) -> float:
    """Vendi score of a (n, d) as a multiple of that of b (n, d), each around its own mean.

    A difference that all items share (each is brighter, or cut off) is not a lack of variety. Each row gets one more coordinate,
    SAME_SHARE of the usual distance of b from its mean, so that items that are all nearly alike stay alike.
    """
    reference = np.asarray(b, dtype=np.float64)
    reference = reference - reference.mean(0)
    same = SAME_SHARE * float(np.sqrt((reference**2).sum(1).mean()))
    return vendi_score(_around_mean(a, same)) / vendi_score(_around_mean(b, same))


def _around_mean(x: Rows, same: float) -> Rows:
    rows = np.asarray(x, dtype=np.float64)
    return np.concatenate((rows - rows.mean(0), np.full((len(rows), 1), same)), 1)


def compute(comparison: FeatureComparison) -> Iterator[Score]:
    method = "ratio of Vendi scores (effective number of different items), each set around its own mean"
    yield comparison.bootstrap_score(DIVERSITY, diversity_ratio, method, time_share=0.85, is_ratio=True)


EXPORT = FeatureMetric("diversity", compute, order=40, questions=VARIETY)
