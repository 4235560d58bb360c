"""Distances of distributions against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from anew.evaluation.metrics.distances import earth_mover, jensen_shannon


@given(st.lists(st.integers(0, 50), min_size=2, max_size=30), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_jensen_shannon_equals_scipy(counts: list[int], seed: int) -> None:
    p = np.array(counts, dtype=np.float64) + 0.01
    q = np.random.default_rng(seed).integers(0, 50, len(p)) + 0.01
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-8)


def test_jensen_shannon_ends() -> None:
    assert jensen_shannon(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == pytest.approx(0.0)
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 3.0])) == pytest.approx(1.0)


def test_earth_mover_is_close_to_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=500), rng.normal(size=400) + 0.7
    assert earth_mover(a, b) == pytest.approx(wasserstein_distance(a, b), rel=0.02)
