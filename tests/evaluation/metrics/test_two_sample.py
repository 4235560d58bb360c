"""The classifier that tells samples from real items, and the area under its curve."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from anew.evaluation.metrics.two_sample import auc, two_sample_test


def test_area_equals_scikit_learns_with_ties() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 80) + 1.0, rng.integers(0, 6, 50) * 1.0
    expected = roc_auc_score([1] * 80 + [0] * 50, np.concatenate([a, b]))
    value, variance = auc(a, b)
    assert value == pytest.approx(expected, abs=1e-12) and 0 < variance < 0.01
    drawn = [auc(rng.choice(a, 80), rng.choice(b, 50))[0] for _ in range(400)]
    assert variance == pytest.approx(np.var(drawn), rel=0.35)


def test_the_interval_holds_a_half_where_nothing_differs() -> None:
    inside = 0
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=(160, 10))
        result = two_sample_test(x[:80], x[80:], seed)
        inside += result.low <= 0.5 <= result.high
    assert inside >= 16


def test_a_difference_of_spread_alone_is_told() -> None:
    rng = np.random.default_rng(0)
    result = two_sample_test(rng.normal(size=(200, 5)), 1.8 * rng.normal(size=(200, 5)))
    assert result.low > 0.6 and result.n == 200
    flat = two_sample_test(np.ones((10, 3)), np.ones((10, 3)))
    assert flat.auc == 0.5
