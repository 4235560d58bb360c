"""Rows of features with known differences, for tests of distances."""

from __future__ import annotations

import numpy as np


def two_sets(n: int = 200, d: int = 8, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) standard normal rows, and as many with other covariances and another mean."""
    rng = np.random.default_rng(3)
    mix = rng.normal(size=(d, d))
    return rng.normal(size=(n, d)), rng.normal(size=(n, d)) @ mix * 0.4 + shift
