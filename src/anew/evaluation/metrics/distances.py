"""Distances between rows of features and between distributions: pure functions on float64 arrays.

Legend for shapes: n items, m items of another set, d features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.number]  # features or other numbers of items, one row each


def squared_distances(a: Rows, b: Rows) -> Array:
    """Squared Euclidean distances (n, m). float64: in float32 a copy would not be at distance zero."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    square = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)[None, :] - 2.0 * (x @ y.T)  # (n, m)
    return np.asarray(np.clip(square, 0.0, None))


def jensen_shannon(p: Rows, q: Rows) -> float:
    """Jensen-Shannon divergence in bits (0 to 1) of two count vectors over the same symbols; 1 where one of them counts none."""
    if not p.any() or not q.any():
        return 1.0
    p_share, q_share = p / p.sum(), q / q.sum()
    middle = (p_share + q_share) / 2.0

    def divergence(share: Array) -> float:
        positive = share > 0
        return float((share[positive] * np.log2(share[positive] / middle[positive])).sum())

    return max((divergence(p_share) + divergence(q_share)) / 2.0, 0.0)


def earth_mover(a: Rows, b: Rows) -> float:
    """Wasserstein-1 distance of two samples of numbers (n,), (m,), by 200 quantiles."""
    levels = (np.arange(200) + 0.5) / 200
    return float(np.abs(np.quantile(a, levels) - np.quantile(b, levels)).mean())
