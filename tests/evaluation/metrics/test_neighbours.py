"""Precision, recall, clipped density and coverage against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from anew.evaluation.metrics.neighbours import CLIPPED_DENSITY, neighbourhood
from feature_rows import two_sets


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbourhood_equals_an_independent_computation(k: int) -> None:
    real, samples = two_sets(n=80)
    samples = samples[:60]
    radius = NearestNeighbors(n_neighbors=k + 1).fit(real).kneighbors(real)[0][:, k]
    sample_radius = NearestNeighbors(n_neighbors=k + 1).fit(samples).kneighbors(samples)[0][:, k]
    between = cdist(real, samples)
    clipped = np.minimum((between < np.minimum(radius, np.median(radius))[:, None]).sum(0) / k, 1.0)
    shares = neighbourhood(real, samples, k)
    assert shares.precision.mean() == pytest.approx((between < radius[:, None]).any(0).mean(), abs=1e-4)
    assert shares.recall.mean() == pytest.approx((between < sample_radius[None]).any(1).mean(), abs=1e-4)
    assert shares.clipped_density.mean() == pytest.approx(clipped.mean(), abs=1e-4)
    assert shares.coverage.mean() == pytest.approx((between.min(1) < radius).mean(), abs=1e-4)


def test_neighbourhood_equals_prdc() -> None:
    prdc = pytest.importorskip("prdc")
    real, samples = two_sets(n=120)
    expected = prdc.compute_prdc(real, samples[:90], nearest_k=5)
    shares = neighbourhood(real, samples[:90], 5)
    for name in ("precision", "recall", "coverage"):
        assert getattr(shares, name).mean() == pytest.approx(expected[name], abs=1e-4)


def test_precision_and_recall_equal_torch_fidelity() -> None:
    pytest.importorskip("torch_fidelity")
    import torch
    from torch_fidelity import metric_prc

    a, b = two_sets(n=150)
    precision, recall = metric_prc.calculate_precision_recall_full(torch.tensor(b), torch.tensor(a), 5)
    shares = neighbourhood(a, b, 5)
    assert (shares.precision.mean(), shares.recall.mean()) == pytest.approx((precision, recall), abs=1e-4)


def test_clipped_density_counts_a_sample_once_and_no_outlier_as_wide() -> None:
    line = np.append(np.arange(99.0), 500.0)[:, None]  # the last is an outlier, whose ball is huge
    shares = neighbourhood(line, np.array([[300.0], [50.5]]), 5)
    assert shares.clipped_density.tolist() == [0.0, 1.0] and shares.precision.tolist() == [1.0, 1.0]


def test_items_that_repeat_are_in_the_balls_of_their_copies() -> None:
    """Draws from 20 different items, some more frequent: the nearest neighbours of most are identical to them."""
    rng = np.random.default_rng(0)
    different, shares = 1e3 + rng.normal(size=(20, 30)), rng.dirichlet(np.full(20, 5.0))
    real, samples, collapsed = (different[rng.choice(n, 400, p=p)] for n, p in ((20, shares), (20, shares), (1, [1.0])))
    shares_of_samples, shares_of_collapsed = neighbourhood(real, samples), neighbourhood(real, collapsed)
    for name in ("precision", "recall", "coverage"):
        assert getattr(shares_of_samples, name).mean() > 0.98
    assert shares_of_collapsed.precision.mean() == 1.0
    assert shares_of_collapsed.recall.mean() < 0.2 and shares_of_collapsed.coverage.mean() < 0.2


def test_the_words_of_the_density_say_that_it_is_clipped() -> None:
    assert CLIPPED_DENSITY.name == "clipped_density" and CLIPPED_DENSITY.maximum == 1.0
    assert "clipped" in CLIPPED_DENSITY.title and "count as 5" in CLIPPED_DENSITY.meaning


def test_neighbourhood_of_identical_and_of_disjoint_sets() -> None:
    a, _ = two_sets(n=50)
    same, disjoint = neighbourhood(a, a), neighbourhood(a, a + 1000.0)
    assert same.precision.mean() == same.recall.mean() == same.coverage.mean() == 1.0
    for rows in (disjoint.precision, disjoint.recall, disjoint.clipped_density, disjoint.coverage):
        assert rows.sum() == 0.0
