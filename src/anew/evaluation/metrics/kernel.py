"""Kernel distance: the squared maximum mean discrepancy with an RBF kernel (Gretton et al. 2012).

Legend for shapes: n items, m items of another set, d features, r resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from anew.evaluation.metrics.bootstrap import RESAMPLES, interval
from anew.evaluation.metrics.distances import Array, Rows, squared_distances
from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureMetric
from anew.evaluation.score import MetricSpec, Score, Tolerance

KERNEL_DISTANCE = MetricSpec(
    "kernel_distance",
    "Kernel distance",
    "Another distance between samples and real items, which does not depend on how many there are (0 = the same).",
    order=11,
    tolerance=Tolerance(
        "closeness",
        0.01,
        0.05,
        "the samples differ as a whole (kernel distance {value:.3f}; real data: {real:.3f})",
        exact_baseline=0.0,
        sees_all=True,
        agreement="the samples agree as a whole (kernel distance {value:.3f}; real data: {real:.3f})",
    ),
)
MAX_BANDWIDTH_ROWS = 1_000  # all pairs of so many rows are compared
PERMUTATIONS = 200  # random divisions for a p-value, which is 1 / 201 at the least; chosen
Kernel = Callable[[Rows, Rows], Array]


def median_bandwidth(x: Rows) -> float:
    """Median distance between different rows of x (the first MAX_BANDWIDTH_ROWS): the usual width of an RBF kernel."""
    rows = x[:MAX_BANDWIDTH_ROWS]
    distances = np.sqrt(squared_distances(rows, rows)[np.triu_indices(len(rows), 1)])
    middle = float(np.median(distances)) if len(distances) else 0.0
    return middle if middle > 0.0 else 1.0


def rbf_kernel(a: Rows, b: Rows, bandwidth: float) -> Array:
    """exp(-|a - b|^2 / (2 bandwidth^2)), (n, m)."""
    return np.asarray(np.exp(squared_distances(a, b) / (-2.0 * bandwidth**2)))


@dataclass(frozen=True, slots=True)
class Grams:
    """Kernel matrices of two sets, kept so that an interval costs no further kernel: aa (n, n), bb (m, m), ab (n, m)."""

    aa: Array
    bb: Array
    ab: Array

    @classmethod
    def of(cls, a: Rows, b: Rows, kernel: Kernel) -> Grams:
        return cls(kernel(a, a), kernel(b, b), kernel(a, b))

    def distance(self) -> float:
        """Unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3); may be slightly negative."""
        return float(self.weighted(np.ones((1, len(self.aa))), np.ones((1, len(self.bb))))[0])

    def weighted(self, a: Array, b: Array) -> Array:
        """The distance (r,) under weights of items a (r, n) and b (r, m), one row for each resample.

        An item is never paired with itself, so a row that is drawn twice adds no bias.
        """
        total = np.zeros(len(a))
        for weight, gram in ((a, self.aa), (b, self.bb)):
            self_pairs = (weight * weight) @ np.diagonal(gram)
            pairs = weight.sum(axis=1) ** 2 - (weight * weight).sum(axis=1)
            total += (((weight @ gram) * weight).sum(axis=1) - self_pairs) / pairs
        cross = ((a @ self.ab) * b).sum(axis=1) / (a.sum(axis=1) * b.sum(axis=1))
        return np.asarray(total - 2.0 * cross)

    def permutation_p(self, rng: np.random.Generator) -> float:
        """p of the distance by a permutation test, with PERMUTATIONS random divisions of all items into two sets."""
        n, m = len(self.aa), len(self.bb)
        pooled = np.block([[self.aa, self.ab], [self.ab.T, self.bb]])
        np.fill_diagonal(pooled, 0.0)
        in_first = np.zeros((PERMUTATIONS + 1, n + m))  # row 0: the true division
        in_first[0, :n] = 1.0
        for row in in_first[1:]:
            row[rng.permutation(n + m)[:n]] = 1.0
        first_sums = in_first @ pooled  # (r, n + m) sums over the first set
        within_first = (first_sums * in_first).sum(axis=1)
        cross = (first_sums * (1.0 - in_first)).sum(axis=1)
        within_second = ((pooled.sum(axis=0)[None] - first_sums) * (1.0 - in_first)).sum(axis=1)
        distances = within_first / (n * (n - 1)) + within_second / (m * (m - 1)) - 2.0 * cross / (n * m)
        as_large = distances[1:] >= distances[0] - 1e-12  # the tolerance keeps a tie from being lost to rounding
        return float(as_large.sum() + 1) / (PERMUTATIONS + 1)


def compute(comparison: FeatureComparison) -> Iterator[Score]:
    sets = comparison.pair_sets
    n, bandwidth = len(sets.samples), median_bandwidth(sets.train)

    def kernel(a: Rows, b: Rows) -> Array:
        return rbf_kernel(a, b, bandwidth)

    grams = Grams.of(sets.samples, sets.held_out, kernel)

    def distance_to_held_out(rows: Rows, held_out: Rows) -> float:
        return Grams(kernel(rows, rows), grams.bb, kernel(rows, held_out)).distance()

    value, rng = grams.distance(), np.random.default_rng(comparison.seed)
    weights = rng.multinomial(n, np.full(n, 1.0 / n), size=(2, RESAMPLES)).astype(np.float64)
    low, high = interval(value, grams.weighted(weights[0], weights[1]))
    p = grams.permutation_p(rng)
    method = "unbiased squared maximum mean discrepancy, RBF kernel as wide as the median distance, permutation p = "
    real, naive = comparison.baselines(sets, distance_to_held_out)
    yield Score(
        KERNEL_DISTANCE,
        value,
        low=low,
        high=high,
        real_baseline=real,
        naive_baseline=naive,
        n=n,
        source=comparison.source(f"{method}{p:.2g}"),
        p=p,
    )


EXPORT = FeatureMetric("kernel distance", compute, order=20)
