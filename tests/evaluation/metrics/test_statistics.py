"""Each figure against an independent computation, and on cases with a known answer."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, jensenshannon
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.neighbors import NearestNeighbors

from anew.evaluation.metrics import statistics


def sets(n: int = 200, d: int = 8, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(3)
    mix = source.normal(size=(d, d))
    return source.normal(size=(n, d)), source.normal(size=(n, d)) @ mix * 0.4 + shift


def test_frechet_distance_of_gaussians_in_closed_form() -> None:
    # Diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2.
    mean_a, mean_b = np.array([0.0, 1.0, -2.0]), np.array([1.0, 1.0, 0.5])
    deviation_a, deviation_b = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.1])
    found = statistics.gaussian_frechet(mean_a, np.diag(deviation_a**2), mean_b, np.diag(deviation_b**2))
    assert found == pytest.approx(((mean_a - mean_b) ** 2).sum() + ((deviation_a - deviation_b) ** 2).sum(), abs=1e-10)


def test_frechet_distance_equals_the_matrix_square_root_form() -> None:
    a, b = sets()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert statistics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_survives_singular_covariances() -> None:
    a, b = sets(n=6, d=20)
    assert math.isfinite(statistics.frechet_distance(a, b))
    assert statistics.frechet_distance(a, a) == pytest.approx(0.0, abs=1e-6)


def naive_mmd(aa: np.ndarray, bb: np.ndarray, ab: np.ndarray) -> float:
    n, m = len(aa), len(bb)
    inner = (aa.sum() - np.trace(aa)) / (n * (n - 1)) + (bb.sum() - np.trace(bb)) / (m * (m - 1))
    return float(inner - 2 * ab.mean())


def test_kernel_distance_equals_an_independent_computation() -> None:
    a, b = sets(n=60)
    b = b[:50]
    gamma = 1 / (2 * 1.7**2)
    expected = naive_mmd(rbf_kernel(a, a, gamma), rbf_kernel(b, b, gamma), rbf_kernel(a, b, gamma))
    assert statistics.kernel_distance(a, b, bandwidth=1.7) == pytest.approx(expected, abs=1e-10)
    cubic = [polynomial_kernel(x, y, degree=3, gamma=1 / 8, coef0=1) for x, y in ((a, a), (b, b), (a, b))]
    assert statistics.kernel_distance(a, b) == pytest.approx(naive_mmd(*cubic), rel=1e-9)


def test_kernel_distance_is_unbiased() -> None:
    source = np.random.default_rng(0)
    found = [
        statistics.kernel_distance(source.normal(size=(20, 3)), source.normal(size=(20, 3)), bandwidth=1.5)
        for _ in range(400)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(len(found))


def test_weights_of_a_resample_repeat_rows_without_bias() -> None:
    a, b = sets(n=30)
    grams = statistics.Grams.of(a, b, statistics.polynomial_kernel)
    twice = statistics.Grams.of(np.repeat(a, 2, axis=0), b, statistics.polynomial_kernel)
    weights = (np.full((1, 30), 2.0), np.ones((1, 30)))
    assert grams.weighted(*weights)[0] == pytest.approx(grams.distance())
    assert twice.distance() != pytest.approx(grams.distance())


def test_median_bandwidth() -> None:
    a, _ = sets(n=40)
    assert statistics.median_bandwidth(a) == pytest.approx(np.median(cdist(a, a)[np.triu_indices(40, 1)]))
    assert statistics.median_bandwidth(np.zeros((5, 2))) == 1.0


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbourhood_equals_an_independent_computation(k: int) -> None:
    real, fake = sets(n=80)
    fake = fake[:60]
    radius = NearestNeighbors(n_neighbors=k + 1).fit(real).kneighbors(real)[0][:, k]
    own = NearestNeighbors(n_neighbors=k + 1).fit(fake).kneighbors(fake)[0][:, k]
    between = cdist(real, fake)
    found = statistics.neighbourhood(real, fake, k)
    assert found.precision.mean() == pytest.approx((between < radius[:, None]).any(0).mean(), abs=1e-4)
    assert found.recall.mean() == pytest.approx((between < own[None]).any(1).mean(), abs=1e-4)
    assert found.density.mean() == pytest.approx((between < radius[:, None]).sum(0).mean() / k, abs=1e-4)
    assert found.coverage.mean() == pytest.approx((between.min(1) < radius).mean(), abs=1e-4)


def test_manifold_figures_equal_prdc() -> None:
    prdc = pytest.importorskip("prdc")
    real, fake = sets(n=120)
    expected = prdc.compute_prdc(real, fake[:90], nearest_k=5)
    found = statistics.neighbourhood(real, fake[:90], 5)
    for name, value in expected.items():
        assert getattr(found, name).mean() == pytest.approx(value, abs=1e-4)


def test_figures_equal_torch_fidelity() -> None:
    pytest.importorskip("torch_fidelity")
    import torch
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    a, b = sets(n=150)
    statistics = [metric_fid.fid_features_to_statistics(torch.tensor(x)) for x in (a, b)]
    (expected,) = metric_fid.fid_statistics_to_metric(*statistics, False).values()
    assert statistics.frechet_distance(a, b) == pytest.approx(expected, abs=1e-4)
    how = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    grams = [metric_kid.kernel_poly(x, y, **how) for x, y in ((a, a), (a, b), (b, b))]
    assert statistics.kernel_distance(a, b) == pytest.approx(metric_kid.mmd2(*grams), abs=1e-4)
    precision, recall = metric_prc.calculate_precision_recall_full(torch.tensor(b), torch.tensor(a), 5)
    found = statistics.neighbourhood(a, b, 5)
    assert (found.precision.mean(), found.recall.mean()) == pytest.approx((precision, recall), abs=1e-4)


def test_clipped_density_counts_a_sample_once_and_no_outlier_as_wide() -> None:
    line = np.append(np.arange(99.0), 500.0)[:, None]  # the last is an outlier, whose ball is huge
    found = statistics.neighbourhood(line, np.array([[300.0], [50.5]]), 5)
    assert found.density[0] > 0.0 == found.clipped[0]
    assert found.density[1] > 1.0 == found.clipped[1]


def test_neighbourhood_of_identical_and_of_disjoint_sets() -> None:
    a, _ = sets(n=50)
    same, apart = statistics.neighbourhood(a, a), statistics.neighbourhood(a, a + 1000.0)
    assert same.precision.mean() == same.recall.mean() == same.coverage.mean() == 1.0
    for figure in (apart.precision, apart.recall, apart.density, apart.coverage):
        assert figure.sum() == 0.0


def test_vendi_score_of_known_cases() -> None:
    assert statistics.vendi_score(np.eye(7)) == pytest.approx(7.0)
    assert statistics.vendi_score(np.ones((7, 3))) == pytest.approx(1.0)
    assert statistics.vendi_score(np.repeat(np.eye(3), 5, axis=0)) == pytest.approx(3.0)


def test_vendi_score_equals_the_entropy_of_the_whole_kernel() -> None:
    a, _ = sets(n=40, d=6)
    unit = a / np.linalg.norm(a, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit @ unit.T / 40)
    values = values[values > 1e-12]
    assert statistics.vendi_score(a) == pytest.approx(math.exp(-(values * np.log(values)).sum()), rel=1e-8)
    assert statistics.vendi_score(a.T) == pytest.approx(statistics.vendi_score(a.T.copy()), rel=1e-12)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=30), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_jensen_shannon_equals_scipy(counts: list[int], seed: int) -> None:
    p = np.array(counts, dtype=np.float64) + 0.01
    q = np.random.default_rng(seed).integers(0, 50, len(p)) + 0.01
    assert statistics.jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-8)


def test_jensen_shannon_ends() -> None:
    assert statistics.jensen_shannon(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == pytest.approx(0.0)
    assert statistics.jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 3.0])) == pytest.approx(1.0)


def test_interval_of_a_mean_covers_as_often_as_it_says() -> None:
    source = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        low, high = statistics.mean_interval(source.normal(size=60), seed=trial)
        assert low is not None and high is not None
        hits += low <= 0.0 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_interval_is_centred_and_absent_with_few_resamples() -> None:
    low, high = statistics.interval(3.0, [10.0 + 0.01 * i for i in range(101)])
    assert low == pytest.approx(3.0 - 0.475) and high == pytest.approx(3.0 + 0.475)
    assert statistics.interval(3.0, [1.0] * 19) == (None, None)
    assert statistics.ratio_interval(np.ones(1), np.ones(1), 0) == (None, None)


def test_resample_is_fixed_by_its_seed_and_stops_when_late() -> None:
    a, b = sets(n=30)
    one, two = (statistics.resample(statistics.frechet_distance, (a, b), seed=4, repeats=5) for _ in range(2))
    assert one == two and len(one) == 5
    assert statistics.resample(statistics.frechet_distance, (a, b), seed=4, late=lambda: True) == []


def test_score_as_json_has_the_fixed_keys_and_no_number_that_json_lacks() -> None:
    plain = statistics.Score("density", float("nan"), floor=1.0, better="higher", n=5, source="x").to_json()
    assert list(plain) == ["name", "value", "low", "high", "floor", "ceiling", "better", "n", "source"]
    assert json.loads(json.dumps(plain, allow_nan=False))["value"] is None
