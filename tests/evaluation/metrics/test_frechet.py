"""The Fréchet distance against independent computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from anew.evaluation.metrics.frechet import frechet_distance, gaussian_frechet


def sets(n: int = 200, d: int = 8, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    mix = rng.normal(size=(d, d))
    return rng.normal(size=(n, d)), rng.normal(size=(n, d)) @ mix * 0.4 + shift


def test_frechet_distance_of_gaussians_in_closed_form() -> None:
    # Diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2.
    mean_a, mean_b = np.array([0.0, 1.0, -2.0]), np.array([1.0, 1.0, 0.5])
    deviation_a, deviation_b = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.1])
    distance = gaussian_frechet(mean_a, np.diag(deviation_a**2), mean_b, np.diag(deviation_b**2))
    assert distance == pytest.approx(
        ((mean_a - mean_b) ** 2).sum() + ((deviation_a - deviation_b) ** 2).sum(), abs=1e-10
    )


def test_frechet_distance_equals_the_matrix_square_root_form() -> None:
    a, b = sets()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_survives_singular_covariances() -> None:
    a, b = sets(n=6, d=20)
    assert math.isfinite(frechet_distance(a, b))
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-6)


def test_frechet_distance_equals_torch_fidelity() -> None:
    pytest.importorskip("torch_fidelity")
    import torch
    from torch_fidelity import metric_fid

    a, b = sets(n=150)
    moments = [metric_fid.fid_features_to_statistics(torch.tensor(x)) for x in (a, b)]
    (expected,) = metric_fid.fid_statistics_to_metric(*moments, False).values()
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-4)
