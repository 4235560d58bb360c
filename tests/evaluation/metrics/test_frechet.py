"""The Fréchet distance against independent computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from anew.evaluation.metrics.feature_sets import FeatureComparison, FeatureSets
from anew.evaluation.metrics.frechet import compute, frechet_distance, gaussian_frechet
from anew.evaluation.reporting.grading import part_of
from anew.evaluation.score import Score
from feature_rows import two_sets


def test_frechet_distance_of_gaussians_in_closed_form() -> None:
    # Diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2.
    mean_a, mean_b = np.array([0.0, 1.0, -2.0]), np.array([1.0, 1.0, 0.5])
    deviation_a, deviation_b = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.1])
    distance = gaussian_frechet(mean_a, np.diag(deviation_a**2), mean_b, np.diag(deviation_b**2))
    assert distance == pytest.approx(
        ((mean_a - mean_b) ** 2).sum() + ((deviation_a - deviation_b) ** 2).sum(), abs=1e-10
    )


def test_frechet_distance_equals_the_matrix_square_root_form() -> None:
    a, b = two_sets()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_survives_singular_covariances() -> None:
    a, b = two_sets(n=6, d=20)
    assert math.isfinite(frechet_distance(a, b))
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-6)


def test_frechet_distance_equals_torch_fidelity() -> None:
    pytest.importorskip("torch_fidelity")
    import torch
    from torch_fidelity import metric_fid

    a, b = two_sets(n=150)
    moments = [metric_fid.fid_features_to_statistics(torch.tensor(x)) for x in (a, b)]
    (expected,) = metric_fid.fid_statistics_to_metric(*moments, False).values()
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-4)


def far_out(n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows (n, 30) of which two in a thousand are far out, as lists of codes are among paragraphs."""
    rows = rng.normal(size=(n, 30))
    rows[rng.random(n) < 0.002] *= 30.0
    return rows


def scored(samples: np.ndarray, held_out: np.ndarray, train: np.ndarray, tail: float) -> Score:
    sets = FeatureSets(samples, held_out, train, tail=tail)
    (score,) = compute(FeatureComparison.of(sets, 0, lambda share: False))
    return score


def test_a_few_rows_far_out_do_not_decide_where_tails_are_limited() -> None:
    grades: dict[float, list[str]] = {0.0: [], 0.01: []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        rows = [far_out(500, rng) for _ in range(3)]
        for tail, of_tail in grades.items():
            part = part_of(scored(*rows, tail))
            assert part is not None
            of_tail.append(part.grade)
    assert set(grades[0.01]) == {"good"} and set(grades[0.0]) != {"good"}


def test_samples_that_differ_are_told_where_tails_are_limited() -> None:
    rng = np.random.default_rng(0)
    samples, held_out, train = (rng.normal(size=(500, 30)) for _ in range(3))
    for changed in (samples + 0.5, samples * 0.5, samples + 100.0):
        part = part_of(scored(changed, held_out, train, 0.01))
        assert part is not None and part.grade == "poor"


def test_all_rows_count_as_they_are_without_a_tail() -> None:
    rng = np.random.default_rng(0)
    samples, held_out, train = (far_out(200, rng) for _ in range(3))
    assert scored(samples, held_out, train, 0.0).value == frechet_distance(samples, held_out)
    limited = scored(samples, held_out, train, 0.01)
    assert "outer 1% of training items" in limited.source and limited.value < frechet_distance(samples, held_out)
