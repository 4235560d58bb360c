"""Can a classifier tell samples from real items? Kernel least squares, trained on one half and read on the other.

Legend for shapes: n samples, m real items, d features, t training rows, q rows that are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.metrics.statistics import Array, median_bandwidth, rbf_kernel

MOST = 1_000  # rows of each set: the time of an eigenvalue problem grows with the cube
RIDGES = 10.0 ** np.arange(-4.0, 2.5, 0.5)


@dataclass(frozen=True, slots=True)
class Told:
    """auc: the chance that a sample is taken for a sample rather than a real item is, 0.5: they cannot be told apart;
    low, high: ends of its 95% interval for the classifiers as they were trained; n: samples that were read."""

    auc: float
    low: float
    high: float
    n: int


def two_sample_auc(samples: NDArray[Any], real: NDArray[Any], seed: int = 0) -> Told:
    """Each half of samples (n, d) and of real (m, d) is read by a classifier of the other half; at least 4 rows of each."""
    source = np.random.default_rng(seed)
    made, true = (np.asarray(x, dtype=np.float64)[source.permutation(len(x))[:MOST]] for x in (samples, real))
    halves = [(made[i::2], true[i::2]) for i in range(2)]
    values, variance = [], 0.0
    for known, read in (halves, halves[::-1]):
        centre, scale = _scale(np.concatenate(known))
        trained, asked = ([(x - centre) / scale for x in half] for half in (known, read))
        decided = _decide(np.concatenate(trained), len(trained[0]), np.concatenate(asked))
        value, spread = auc(decided[: len(asked[0])], decided[len(asked[0]) :])
        values.append(value)
        variance += spread / 2.0  # what one half shows by chance both classifiers find: their errors go together
    value, half = float(np.mean(values)), 1.96 * float(np.sqrt(variance))
    return Told(value, max(value - half, 0.0), min(value + half, 1.0), len(made))


def auc(positive: NDArray[Any], negative: NDArray[Any]) -> tuple[float, float]:
    """Area under the receiver operating curve, ties by half, and its variance (DeLong et al. 1988)."""

    def placed(values: NDArray[Any], among: NDArray[Any]) -> Array:
        order = np.sort(among)
        below = np.searchsorted(order, values) + np.searchsorted(order, values, side="right")
        return np.asarray(below / (2.0 * len(order)))

    ours, theirs = placed(positive, negative), 1.0 - placed(negative, positive)
    spread = sum(float(x.var(ddof=1)) / len(x) for x in (ours, theirs) if len(x) > 1)
    return float(ours.mean()), spread


def _scale(rows: Array) -> tuple[Array, Array]:
    deviation = rows.std(axis=0)
    return rows.mean(axis=0), np.where(deviation > 1e-9, deviation, 1.0)


def _decide(rows: Array, first: int, asked: Array) -> Array:
    """Decision values (q,) of asked (q, d), trained on rows (t, d) of which the `first` are samples (target 1, others -1).

    A linear and an RBF kernel together; the ridge is the one with the least leave-one-out error on the training rows.
    """
    width = median_bandwidth(rows)
    kernel = rbf_kernel(rows, rows, width) + rows @ rows.T / rows.shape[1] + 1.0
    target = np.where(np.arange(len(rows)) < first, 1.0, -1.0)
    values, vectors = np.linalg.eigh(kernel)
    values = np.clip(values, 0.0, None)
    inside = vectors.T @ target
    best, chosen = np.inf, RIDGES[0]
    for ridge in RIDGES * values.mean():
        kept = values / (values + ridge + 1e-12)
        hat = ((vectors * vectors) * kept).sum(axis=1)
        error = float((((target - vectors @ (kept * inside)) / np.maximum(1.0 - hat, 1e-6)) ** 2).mean())
        if error < best:
            best, chosen = error, ridge
    weights = vectors @ (inside / (values + chosen + 1e-12))
    across = rbf_kernel(asked, rows, width) + asked @ rows.T / rows.shape[1] + 1.0
    return np.asarray(across @ weights)
