"""The kernel distance against independent computations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.metrics.pairwise import rbf_kernel as reference_rbf

from anew.evaluation.metrics.kernel import PERMUTATIONS, Grams, median_bandwidth, rbf_kernel
from feature_rows import two_sets


def cubic(a: Any, b: Any) -> np.ndarray:
    """The kernel of KID (arXiv 1801.01401)."""
    return np.asarray(polynomial_kernel(a, b, degree=3, gamma=1 / a.shape[1], coef0=1))


def distance(a: Any, b: Any, bandwidth: float) -> float:
    return Grams.of(a, b, lambda x, y: rbf_kernel(x, y, bandwidth)).distance()


def naive_mmd(aa: np.ndarray, bb: np.ndarray, ab: np.ndarray) -> float:
    n, m = len(aa), len(bb)
    inner = (aa.sum() - np.trace(aa)) / (n * (n - 1)) + (bb.sum() - np.trace(bb)) / (m * (m - 1))
    return float(inner - 2 * ab.mean())


def test_kernel_distance_equals_an_independent_computation() -> None:
    a, b = two_sets(n=60)
    b = b[:50]
    gamma = 1 / (2 * 1.7**2)
    grams = reference_rbf(a, a, gamma), reference_rbf(b, b, gamma), reference_rbf(a, b, gamma)
    assert distance(a, b, 1.7) == pytest.approx(naive_mmd(*grams), abs=1e-10)
    expected = naive_mmd(cubic(a, a), cubic(b, b), cubic(a, b))
    assert Grams.of(a, b, cubic).distance() == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_equals_torch_fidelity() -> None:
    pytest.importorskip("torch_fidelity")
    from torch_fidelity import metric_kid

    a, b = two_sets(n=150)
    options = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    grams = [metric_kid.kernel_poly(x, y, **options) for x, y in ((a, a), (a, b), (b, b))]
    assert Grams.of(a, b, cubic).distance() == pytest.approx(metric_kid.mmd2(*grams), abs=1e-4)


def test_kernel_distance_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    values = [distance(rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), 1.5) for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(len(values))


def test_weights_of_a_resample_repeat_rows_without_bias() -> None:
    a, b = two_sets(n=30)
    grams = Grams.of(a, b, cubic)
    twice = Grams.of(np.repeat(a, 2, axis=0), b, cubic)
    assert grams.weighted(np.full((1, 30), 2.0), np.ones((1, 30)))[0] == pytest.approx(grams.distance())
    assert twice.distance() != pytest.approx(grams.distance())


def test_median_bandwidth() -> None:
    a, _ = two_sets(n=40)
    assert median_bandwidth(a) == pytest.approx(np.median(cdist(a, a)[np.triu_indices(40, 1)]))
    assert median_bandwidth(np.zeros((5, 2))) == 1.0


def test_p_of_sets_that_are_beyond_doubt_apart_is_the_least_there_is() -> None:
    """The true division is one of all that are counted, so that p is never 0 (Phipson and Smyth 2010)."""
    a, b = two_sets(n=30, shift=50.0)
    assert Grams.of(a, b, cubic).permutation_p(np.random.default_rng(0)) == 1 / (PERMUTATIONS + 1)
