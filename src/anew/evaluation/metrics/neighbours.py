"""Precision, recall, clipped density and coverage, by nearest neighbours.

Legend for shapes: n real items, m samples, d features, k neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anew.evaluation.measure import BOTH
from anew.evaluation.metrics.distances import Array, Rows, squared_distances
from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureMetric
from anew.evaluation.score import Group, MetricSpec, Score, Tolerance
from anew.functional.intervals import clopper_pearson

# Share of the largest squared norm: squared distances that differ by less are equal. Where items repeat, as in a list of names
# with their frequencies, the radius of most balls is 0, and what is identical to their centre is inside. Above the rounding of
# float64, and of features in float32; far below any difference between items
TIE = 1e-10
NEIGHBOURS = 5  # Naeem et al. 2020 (arXiv 2002.09797) choose 5 for density and coverage

PRECISION = MetricSpec(
    "precision",
    "Precision",
    "Share of samples that look like some real item.",
    better="higher",
    maximum=1.0,
    full_axis=True,
    order=12,
    tolerance=Tolerance(
        "closeness",
        0.2,
        0.6,
        "{value:.0%} of samples look like a real item (real data: {real:.0%})",
        relative=True,
        sees_all=True,
    ),
)
RECALL = MetricSpec(
    "recall",
    "Recall",
    "Share of real items within the range of the samples: as near to one as samples are to each other.",
    better="higher",
    group=Group.DIVERSITY,
    maximum=1.0,
    full_axis=True,
    order=13,
    tolerance=Tolerance(
        "variety",
        0.2,
        0.6,
        "{value:.0%} of real items are within the range of the samples (real data: {real:.0%})",
        relative=True,
    ),
)
CLIPPED_DENSITY = MetricSpec(
    "clipped_density",
    "Density (clipped)",
    "How many real items surround a sample, as a share of the 5 expected; more than 5 count as 5, so that one sample amid "
    "many real items cannot make up for others.",
    better="higher",
    maximum=1.0,
    full_axis=True,
)
COVERAGE = MetricSpec(
    "coverage",
    "Coverage",
    "Share of real items with a sample close by; low means that some kinds of items are missing.",
    better="higher",
    group=Group.DIVERSITY,
    maximum=1.0,
    full_axis=True,
    order=14,
    award="Most varied",
    format="percent",
    tolerance=Tolerance(
        "variety",
        0.15,
        0.5,
        "{value:.0%} of real items have a sample close by (real data: {real:.0%})",
        relative=True,
        decisive=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Values of each item, whose mean is the metric, and whose spread gives its interval.

    Attributes:
        precision: (m,) whether a sample lies in a real item's ball (Kynkäänniemi et al. 2019, arXiv 1904.06991).
        recall: (n,) whether a real item lies in a sample's ball.
        clipped_density: (m,) real balls that hold a sample, over k, radii and counts clipped (Salvy et al. 2025, arXiv
            2507.01761, before the division by what real items get).
        coverage: (n,) whether a real item's ball holds a sample (Naeem et al. 2020, arXiv 2002.09797).
    """

    precision: Array
    recall: Array
    clipped_density: Array
    coverage: Array


def radii(x: Rows, k: int = NEIGHBOURS) -> Array:
    """Squared distance of each row to its k-th nearest other row, (n,)."""
    square = squared_distances(x, x)
    np.fill_diagonal(square, np.inf)
    k = min(k, len(x) - 1)
    return np.asarray(np.partition(square, k - 1, axis=1)[:, k - 1])


def nearest_others(x: Rows) -> Array:
    """Distance of each row of x (n, d) to its nearest other row, (n,)."""
    return np.asarray(np.sqrt(radii(x, 1)))


def tie(*sets: Rows) -> float:
    """The squared distance up to which rows of these sets, each (n, d), are the same: the rounding of their features."""
    return TIE * max(float((np.asarray(rows, dtype=np.float64) ** 2).sum(axis=1).max()) for rows in sets)


def neighbourhood(real: Rows, samples: Rows, k: int = NEIGHBOURS) -> Neighbourhood:
    """Compare samples (m, d) with real items (n, d); needs at least two rows in each."""
    rounding = tie(real, samples)
    real_radius, sample_radius = radii(real, k) + rounding, radii(samples, k) + rounding
    square = squared_distances(real, samples)  # (n, m)
    # An outlier's ball is no larger than the median one, and a sample amid many real items counts no more than one.
    in_clipped_ball = square <= np.minimum(real_radius, np.median(real_radius))[:, None]
    return Neighbourhood(
        precision=np.asarray((square <= real_radius[:, None]).any(axis=0), dtype=np.float64),
        recall=np.asarray((square <= sample_radius[None, :]).any(axis=1), dtype=np.float64),
        clipped_density=np.minimum(in_clipped_ball.sum(axis=0) / min(k, len(real) - 1), 1.0),
        coverage=(square.min(axis=1) <= real_radius).astype(np.float64),
    )


def compute(comparison: FeatureComparison) -> Iterator[Score]:
    sets = comparison.pair_sets
    sample_values, train_values = (neighbourhood(sets.held_out, rows) for rows in (sets.samples, sets.train))
    naive_values = None if sets.naive is None else neighbourhood(sets.held_out, sets.naive)
    for spec in (PRECISION, RECALL, CLIPPED_DENSITY, COVERAGE):
        rows: Array = getattr(sample_values, spec.name)
        # The interval is that of a share; for clipped density, which has values between 0 and 1, it is a little too wide
        low, high = clopper_pearson(float(rows.sum()), len(rows))
        method = f"{NEIGHBOURS} nearest neighbours"
        yield Score(
            spec,
            float(rows.mean()),
            low=low,
            high=high,
            real_baseline=float(getattr(train_values, spec.name).mean()),
            naive_baseline=None if naive_values is None else float(getattr(naive_values, spec.name).mean()),
            n=len(sets.samples),
            source=comparison.source(f"{method}, radii and counts clipped" if spec is CLIPPED_DENSITY else method),
        )


# Coverage is decisive
EXPORT = FeatureMetric("precision, recall, density and coverage", compute, order=15, questions=BOTH)
