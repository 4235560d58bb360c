"""Fréchet distance of Gaussians fitted to features (Heusel et al. 2017, arXiv 1706.08500, there with Inception features).

Legend for shapes: n items, m items of another set, d features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from anew.evaluation.metrics.distances import Array, Rows
from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureMetric, FeatureSets
from anew.evaluation.score import MetricSpec, Score, Tolerance

FRECHET_DISTANCE = MetricSpec(
    "frechet_distance",
    "Fréchet distance",
    "Distance between all samples and all real items in Anew's own features, so it is not FID: their averages and how they vary together.",
    order=10,
    award="Closest to the data",
    tolerance=Tolerance(
        "closeness",
        1.0,
        3.0,
        "the Fréchet distance is {value:.3g} (real data: {real:.3g})",
        relative=True,
        least=500,  # with fewer, the real baseline is mostly the bias of fitting a Gaussian, and the ratio says nothing
        sees_all=True,
    ),
)


def moments(x: Rows) -> tuple[Array, Array]:
    """Mean (d,) and unbiased covariance (d, d) of rows (n, d)."""
    rows = np.asarray(x, dtype=np.float64)
    mean = rows.mean(axis=0)
    centred = rows - mean
    return mean, centred.T @ centred / max(len(rows) - 1, 1)


def gaussian_frechet(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    """Squared Fréchet distance between two Gaussians (Dowson and Landau 1982).

    tr (A B)^1/2 is the sum of the roots of the eigenvalues of L^T B L for A = L L^T, which is symmetric, so no root is complex.
    """
    try:
        factor = np.linalg.cholesky(cov_a)  # (d, d)
    except np.linalg.LinAlgError:  # A is singular: a feature is constant, or a sum of others
        values, vectors = np.linalg.eigh(cov_a)
        factor = vectors * np.sqrt(np.clip(values, 0.0, None))  # (d, d)
    inner = np.linalg.eigvalsh(factor.T @ cov_b @ factor)  # (d,)
    cross = np.sqrt(np.clip(inner, 0.0, None)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross)


def frechet_distance(a: Rows, b: Rows) -> float:
    """Fréchet distance of Gaussians fitted to features a (n, d) and b (m, d). Falls as n grows: compare at equal n only.

    If there are fewer items than features, tr (A B)^1/2 is computed as the sum of the singular values of the product of centred rows, which
    is smaller than a covariance.
    """
    if max(len(a), len(b)) > a.shape[1] or min(len(a), len(b)) < 2:
        return gaussian_frechet(*moments(a), *moments(b))
    rows_a, rows_b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    mean_a, mean_b = rows_a.mean(axis=0), rows_b.mean(axis=0)
    rows_a, rows_b = ((x - mean) / np.sqrt(len(x) - 1) for x, mean in ((rows_a, mean_a), (rows_b, mean_b)))
    cross = np.linalg.svd(rows_a @ rows_b.T, compute_uv=False).sum()
    return float(((mean_a - mean_b) ** 2).sum() + (rows_a**2).sum() + (rows_b**2).sum() - 2.0 * cross)


def limited(sets: FeatureSets) -> FeatureSets:
    """The sets with each feature limited to the range that all but `sets.tail` of the training items at either end have.

    A few texts unlike all others (a list of codes, a table) hold much of a variance; how many of them are drawn would then decide
    (docs/log.md, 2026-11-29).
    """
    if not sets.tail:
        return sets
    low, high = np.quantile(sets.train, [sets.tail, 1.0 - sets.tail], axis=0)  # (d,)
    samples, held_out, train = (np.clip(rows, low, high) for rows in (sets.samples, sets.held_out, sets.train))
    naive = None if sets.naive is None else np.clip(sets.naive, low, high)
    return replace(sets, samples=samples, held_out=held_out, train=train, naive=naive)


def compute(comparison: FeatureComparison) -> Iterator[Score]:
    sets = comparison.sets
    method = "Gaussians fitted"
    if sets.tail:
        method += f", each feature limited to its range without the outer {sets.tail:.0%} of training {sets.noun} at either end"
    # This metric takes the longest: its bootstrap must leave time for those after it.
    yield replace(comparison, sets=limited(sets)).bootstrap_score(
        FRECHET_DISTANCE, frechet_distance, method, time_share=0.65, minimum=0.0
    )


EXPORT = FeatureMetric("Fréchet distance", compute, order=10)
