"""Classifier two-sample test: can a classifier tell samples from real items? (Lopez-Paz and Oquab 2017, arXiv 1610.06545)

The classifier is kernel least squares, trained on one half and tested on the other. Near-duplicates stay in one half.
Near-duplicates of a real item are also in one part of the data, so a classifier that had seen one of them would know the part of
the others, although the parts do not differ (docs/log.md, 2026-11-28). Samples that repeat each other are a lack of variety, not of
closeness. If features come in views, such as those of cells and those of whole items, the view is chosen on the training half, as the ridge
is. So the choice cannot favour chance differences of the tested half.

Legend for shapes: n samples, m real items, d features, t training rows, q test rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from anew.core.arrays import Integers
from anew.core.machine.threads import one_thread
from anew.evaluation.metrics.distances import Array, Rows
from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureMetric, FeatureSets
from anew.evaluation.metrics.kernel import median_bandwidth, rbf_kernel
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS, MetricSpec, Score, guessing_spec

TWO_SAMPLE_AUC = guessing_spec(
    "two_sample_auc",
    "Classifier two-sample test",
    "How often a classifier picks the generated item out of a pair of a sample and a real item",
    "a classifier picks the sample out of a pair",
    decisive=True,
    sees_all=True,
)
MAX_ROWS = 1_000  # rows of each set: the time of an eigenvalue problem grows with the cube
# A classifier learns from at least this share of the rows; chosen: one that learns from fewer sees far less.
MIN_HALF = 0.3
# Multiples of the mean eigenvalue: from hardly any smoothing to a near constant
RIDGES = 10.0 ** np.arange(-4.0, 2.5, 0.5)


@dataclass(frozen=True, slots=True)
class TwoSampleResult:
    """Result of the classifier two-sample test.

    Attributes:
        auc: Probability that a sample is rated more sample-like than a real item; 0.5 if they cannot be told apart.
        error: Its standard error, for the classifiers as they were trained.
        low, high: Ends of its 95% interval.
        n: Number of samples that were rated.
    """

    auc: float
    error: float
    low: float
    high: float
    n: int


def classifier_score(spec: MetricSpec, sets: FeatureSets, seed: int, source: str) -> Score:
    """The score of a classifier of the rows of each set, without the naive baseline. source: what it sees, one clause."""
    groups, views = sets.held_out_groups, sets.views
    result = two_sample_test(sets.samples, sets.held_out, seed, sets.sample_groups, groups, views)
    real = two_sample_test(sets.train, sets.held_out, seed, sets.train_groups, groups, views).auc
    return Score(spec, result.auc, low=result.low, high=result.high, real_baseline=real, n=result.n, source=source)


def one_sided_score(spec: MetricSpec, larger_if_worse: Rows, other: Rows, source: str) -> Score:
    """The score of how often a number of one set is larger than one of the other. Half the time or less is as good as real.

    Args:
        larger_if_worse: (n,) numbers of the set whose numbers are larger where samples are worse.
        other: (m,) numbers of the other set.
        source: How the numbers were made, one clause.
    """
    value, variance = auc(larger_if_worse, other)
    half_width = 1.96 * float(np.sqrt(variance))
    low, value, high = (min(max(end, 0.5), 1.0) for end in (value - half_width, value, value + half_width))
    n = min(len(larger_if_worse), len(other))
    return Score(spec, value, low=low, high=high, real_baseline=0.5, n=n, source=source)


def two_sample_test(
    samples: Rows,
    real: Rows,
    seed: int = 0,
    sample_groups: Integers | None = None,
    real_groups: Integers | None = None,
    views: Sequence[int] = (),
) -> TwoSampleResult:
    """Rate each half of samples and of real items by a classifier of the other half; needs 4 rows of each.

    Args:
        samples, real: (n, d) and (m, d) features.
        seed: Seed of the halves.
        sample_groups, real_groups: Group number of each row; rows of a group are in the same half. None: each row is a group.
        views: Numbers of features that belong together; each classifier uses those that tell more of its own half. () for all.
    """
    rng = np.random.default_rng(seed)
    sets, halves_of_sets = [], []
    for x, groups in ((samples, sample_groups), (real, real_groups)):
        order = rng.permutation(len(x))[:MAX_ROWS]
        rows = np.asarray(x, dtype=np.float64)[order]
        sets.append(rows)
        halves_of_sets.append([rows[half] for half in halves_by_group(order if groups is None else groups[order])])
    halves = list(zip(*halves_of_sets, strict=True))  # each (samples, real)
    values, variance = [], 0.0
    for train, test in (halves, halves[::-1]):
        centre, scale = _standardisation(np.concatenate(train))
        train_samples, train_real = ((rows - centre) / scale for rows in train)
        test_rows = np.concatenate([(rows - centre) / scale for rows in test])
        # If other programs use the cores, threads of OpenBLAS wait for each other for seconds that no clock can interrupt.
        with one_thread():
            ratings = _ratings(np.concatenate([train_samples, train_real]), len(train_samples), test_rows, views)
        num_samples = len(test[0])
        value, spread = auc(ratings[:num_samples], ratings[num_samples:])
        values.append(value)
        variance += spread / 2.0  # both classifiers pick up the same accidents, so their errors do not average out
    value, error = float(np.mean(values)), float(np.sqrt(variance))
    half_width = 1.96 * error
    return TwoSampleResult(value, error, max(value - half_width, 0.0), min(value + half_width, 1.0), len(sets[0]))


def halves_by_group(groups: Integers) -> list[Integers]:
    """The indices of two halves of rows with these group numbers (n,), which divide no group.

    If a group is so large that the smaller half would have less than MIN_HALF of the rows, groups are divided.
    """
    _, first, group, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    side, sizes = np.zeros(len(counts), dtype=np.intp), [0, 0]
    for i in np.lexsort((first, -counts)):  # the largest first, so that the others can make up for them
        side[i] = int(sizes[1] < sizes[0])
        sizes[side[i]] += counts[i]
    if min(sizes) < MIN_HALF * len(groups):
        return [np.arange(start, len(groups), 2) for start in range(2)]
    return [np.flatnonzero(side[group] == half) for half in range(2)]


def auc(positive: Rows, negative: Rows) -> tuple[float, float]:
    """The area under the ROC curve of ratings (p,) and (q,), where ties count half, and its variance (DeLong 1988).

    The variance counts one more item on each side that is tied with all others: without it, a few items that chance put in order
    would have none.
    """

    def share_below(values: Rows, reference: Rows) -> Array:
        order = np.sort(reference)
        below = np.searchsorted(order, values) + np.searchsorted(order, values, side="right")
        return np.asarray(below / (2.0 * len(order)))

    positive_shares, negative_shares = share_below(positive, negative), 1.0 - share_below(negative, positive)
    variance = sum(float(np.append(x, 0.5).var(ddof=1)) / len(x) for x in (positive_shares, negative_shares))
    return float(positive_shares.mean()), variance


def _standardisation(rows: Array) -> tuple[Array, Array]:
    deviation = rows.std(axis=0)
    return rows.mean(axis=0), np.where(deviation > 1e-9, deviation, 1.0)


def _ratings(train: Array, num_samples: int, test: Array, views: Sequence[int]) -> Array:
    """Rate test rows (q, d) by a classifier of train rows (t, d), of which the first `num_samples` are samples; returns (q,).

    The kernel is the sum of a linear and an RBF kernel; the view and the ridge are those with the smallest leave-one-out error
    on the training rows. Targets are 1 for samples and -1 for others.
    """
    target = np.where(np.arange(len(train)) < num_samples, 1.0, -1.0)
    bounds = np.cumsum([0, *(views or (train.shape[1],))])
    fits = [_fit(train[:, low:high], target) for low, high in itertools.pairwise(bounds)]
    best = int(np.argmin([fit.error for fit in fits]))
    train, test = (rows[:, bounds[best] : bounds[best + 1]] for rows in (train, test))
    across = rbf_kernel(test, train, fits[best].bandwidth) + test @ train.T / train.shape[1] + 1.0  # (q, t)
    return np.asarray(across @ fits[best].weights)


class _Fit(NamedTuple):
    """Kernel least squares: weights (t,), the bandwidth of its kernel, and its mean squared leave-one-out error."""

    weights: Array
    bandwidth: float
    error: float


def _fit(train: Array, target: Array) -> _Fit:
    bandwidth = median_bandwidth(train)
    kernel = rbf_kernel(train, train, bandwidth) + train @ train.T / train.shape[1] + 1.0  # (t, t)
    values, vectors = np.linalg.eigh(kernel)
    values = np.clip(values, 0.0, None)
    projected = vectors.T @ target
    least_error, best_ridge = np.inf, RIDGES[0]
    for ridge in RIDGES * values.mean():
        shrinkage = values / (values + ridge + 1e-12)
        leverage = ((vectors * vectors) * shrinkage).sum(axis=1)
        residual = target - vectors @ (shrinkage * projected)
        error = float(((residual / np.maximum(1.0 - leverage, 1e-6)) ** 2).mean())
        if error < least_error:
            least_error, best_ridge = error, ridge
    return _Fit(vectors @ (projected / (values + best_ridge + 1e-12)), bandwidth, least_error)


def compute(comparison: FeatureComparison) -> Iterator[Score]:
    sets = comparison.pair_sets.detail or comparison.pair_sets
    seed, naive = comparison.seed, None
    source = comparison.source("a kernel classifier trained on one half and tested on the other", sets)
    score = classifier_score(TWO_SAMPLE_AUC, sets, seed, source)
    if sets.naive is not None and len(sets.naive) >= len(sets.samples):
        groups = sets.held_out_groups
        naive = two_sample_test(sets.naive, sets.held_out, seed, real_groups=groups, views=sets.views).auc
    note = "a classifier trained on more items may separate them better" if score.n < USUALLY_ENOUGH_ITEMS else ""
    yield replace(score, naive_baseline=naive, note=note)


EXPORT = FeatureMetric("the classifier two-sample test", compute, order=12)  # decisive
