from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from anew.estimators.gaussian_mixture import (
    GaussianMixture,
    dct_matrix,
    fit_mixture,
    nearest_component,
    sample_components,
)


def two_blobs(n: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Two Gaussian blobs in 10 dimensions, of 3 varying directions each, and their names."""
    rng = torch.Generator().manual_seed(0)
    cluster = torch.randint(2, (n,), generator=rng)
    directions = torch.randn(2, 3, 10, generator=rng)
    x = torch.einsum("nk,nkd->nd", torch.randn(n, 3, generator=rng), directions[cluster])
    return x + torch.where(cluster == 1, 8.0, -8.0)[:, None], cluster


def grid(x: torch.Tensor) -> torch.Tensor:
    return x.view(len(x), 2, -1, 1)


def test_finds_the_clusters_and_draws_like_them() -> None:
    x, cluster = two_blobs()
    mixture = fit_mixture(grid(x), None, rank=6, num_clusters=2, classes=0, rng=torch.Generator().manual_seed(1))
    result = mixture.assign(x)
    assert float((result == cluster).float().mean()) in (0.0, 1.0)
    assert mixture.weights.tolist() == pytest.approx([0.5, 0.5, 0.0], abs=0.03)
    rng = torch.Generator().manual_seed(2)
    component = torch.zeros(20_000, dtype=torch.long)
    drawn = mixture.sample(component, torch.randn(20_000, 6, generator=rng), torch.randn(20_000, 10, generator=rng))
    torch.testing.assert_close(drawn.mean(0), x[result == 0].mean(0), atol=0.2, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(x[result == 0].T), atol=0.7, rtol=0)


def test_denoising_is_as_good_as_it_says() -> None:
    x, _ = two_blobs()
    mixture = fit_mixture(grid(x), None, rank=10, num_clusters=2, classes=0, rng=torch.Generator().manual_seed(1))
    component = mixture.assign(x)
    sigma = torch.full((len(x),), 0.8)
    y = x + sigma[:, None] * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    error = (mixture.denoise(y, sigma, component) - x).square().mean(1)
    promised = mixture.posterior_std(sigma, component).square()
    assert float(error.mean()) == pytest.approx(float(promised.mean()), rel=0.05)
    assert float(error.mean()) < 0.3 * 0.8**2


def test_classes_own_their_components() -> None:
    x, cluster = two_blobs()
    mixture = fit_mixture(grid(x), cluster, rank=4, num_clusters=4, classes=2, rng=torch.Generator().manual_seed(1))
    assert mixture.component_class.tolist() == [0, 1, 0, 1, -1]
    assert torch.equal(mixture.component_class[mixture.assign(x, cluster)], cluster)
    assert float(mixture.weights.sum()) == pytest.approx(1)


def test_a_class_without_examples_has_a_component_of_its_own() -> None:
    x, _ = two_blobs(60)
    labels = torch.zeros(60, dtype=torch.long)
    mixture = fit_mixture(grid(x), labels, rank=4, num_clusters=4, classes=2, rng=torch.Generator().manual_seed(1))
    others = mixture.assign(x, labels + 1)
    assert mixture.component_class[others].tolist() == [1] * 60
    drawn = sample_components(mixture.weights, mixture.component_class, torch.rand(9), torch.ones(9, dtype=torch.long))
    assert set(drawn.tolist()) == set(others.tolist())
    torch.testing.assert_close(mixture.means[others[0]], mixture.means[-1])


def test_where_no_component_of_a_class_occurs_the_one_of_all_data_stands_in() -> None:
    x, cluster = two_blobs(60)
    mixture = fit_mixture(grid(x), cluster, rank=4, num_clusters=2, classes=2, rng=torch.Generator().manual_seed(1))
    mixture.weights[1] = 0.0
    component = mixture.assign(x, cluster)
    assert torch.equal(component, torch.where(cluster == 1, 2, 0))
    empty = torch.zeros(3)
    assert nearest_component(x[:5, :4], mixture.means, empty, mixture.component_class, None).tolist() == [2] * 5


@pytest.mark.parametrize("n", [1, 3])
def test_fewer_examples_than_components(n: int) -> None:
    x = torch.randn(n, 12, generator=torch.Generator().manual_seed(0))
    mixture = fit_mixture(grid(x), None, rank=8, num_clusters=5, classes=0, rng=torch.Generator().manual_seed(1))
    sigma = torch.full((n,), 0.5)
    assert bool(torch.isfinite(mixture.denoise(x, sigma, mixture.assign(x))).all())
    assert bool(torch.isfinite(mixture.posterior_std(sigma, mixture.assign(x))).all())


def varying_otherwise_than_means() -> torch.Tensor:
    """(321, 6): eight clusters of 40 examples and one of a single one; means differ along the first three axes alone, examples of a
    cluster along the others, by a deviation of 1."""
    rng = torch.Generator().manual_seed(0)
    means = 500.0 * torch.nn.functional.pad(torch.randn(9, 3, generator=rng), (0, 3))
    cluster = torch.arange(8 * 40 + 1) // 40
    return means[cluster] + torch.nn.functional.pad(torch.randn(len(cluster), 3, generator=rng), (3, 0))


def test_a_cluster_of_one_example_varies_as_the_others_do() -> None:
    x = varying_otherwise_than_means()
    rng = torch.Generator().manual_seed(0)
    mixture = fit_mixture(x.view(-1, 1, 6, 1), None, rank=6, num_clusters=9, classes=0, rng=rng)
    component = mixture.assign(x)
    alone = component[-1]
    assert int((component == alone).sum()) == 1
    axes = mixture.eigenvectors[alone] * mixture.variances[alone].sqrt()  # (R, R)
    deviations = (mixture.basis @ axes).square().sum(1).sqrt()  # (6,)
    assert float(deviations[:3].max()) < 0.1
    assert 0.8 < float(deviations[3:].min()) < float(deviations[3:].max()) < 1.2


def test_the_rest_is_described_by_what_suits_it() -> None:
    rng = torch.Generator().manual_seed(0)
    wave = dct_matrix(8)
    torch.testing.assert_close(wave @ wave.T, torch.eye(8), atol=1e-5, rtol=0)
    fall = 1 / (1 + torch.arange(8.0))
    smooth = wave.T @ (torch.randn(500, 3, 8, 8, generator=rng) * fall[:, None] * fall) @ wave
    assert not torch.equal(
        fit_mixture(smooth, None, rank=2, num_clusters=0, classes=0, rng=rng).row_rotation, torch.eye(8)
    )
    inner = torch.zeros(500, 3, 8, 8)
    inner[..., 3:6, 3:6] = torch.randn(500, 3, 3, 3, generator=rng)
    assert torch.equal(fit_mixture(inner, None, rank=2, num_clusters=0, classes=0, rng=rng).row_rotation, torch.eye(8))


def test_whitening_undoes_colouring() -> None:
    x = torch.randn(500, 2, 4, 5, generator=torch.Generator().manual_seed(1)) * torch.linspace(0.2, 1.0, 5)
    mixture = fit_mixture(x, None, rank=8, num_clusters=3, classes=0, rng=torch.Generator().manual_seed(0))
    component, white = torch.tensor([0, 3, 1, 3]), torch.randn(4, 40, generator=torch.Generator().manual_seed(2))
    sigma = torch.tensor(8.0)
    y = mixture.unwhiten(white, sigma, component)
    assert float((mixture.whiten(y, sigma, component) - white).abs().max()) < 0.02
    drawn = mixture.unwhiten(
        torch.randn(20000, 40, generator=torch.Generator().manual_seed(3)), sigma, torch.full((20000,), 3)
    )
    covered = x.flatten(1).var(0) + 64.0
    assert torch.allclose(drawn.var(0), covered, rtol=0.1)


def test_rounds_and_folds_end_with_their_turns() -> None:
    x, _ = two_blobs(400)
    turns = iter(range(100))

    def fitted(turns: Iterator[object]) -> GaussianMixture:
        rng = torch.Generator().manual_seed(1)
        return fit_mixture(
            grid(x), None, rank=6, num_clusters=2, classes=0, rng=rng, rotate_residual=False, turns=turns
        )

    whole = fitted(turns)
    assert next(turns) == 11  # seven rounds after the first, and four folds
    again, hurried, partial = fitted(iter(range(11))), fitted(iter(())), fitted(iter(range(9)))
    assert torch.equal(whole.variances, again.variances) and torch.equal(whole.basis, partial.basis)
    # Without folds the variance outside the components is that of the fitted items; with two of them it is nearly that of all
    for mixture, tolerance in ((hurried, 1.0), (partial, 0.2)):
        assert torch.isfinite(mixture.variances).all()
        assert torch.allclose(mixture.residual_variance, whole.residual_variance, rtol=tolerance, atol=0.5)
    residual = x - hurried.centre
    residual = residual - residual @ hurried.basis @ hurried.basis.T
    assert torch.allclose(hurried.residual_variance, residual.square().mean(0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("n", "rank"), [(40, 64), (100, 64), (100, 12), (400, 64)])
def test_promises_hold_for_items_that_it_was_not_fitted_on(n: int, rank: int) -> None:
    rng = torch.Generator().manual_seed(0)
    scales = torch.linspace(3.0, 0.1, 96)
    turn = torch.linalg.qr(torch.randn(96, 96, generator=rng))[0]
    x, unseen = ((torch.randn(count, 96, generator=rng) * scales) @ turn for count in (n, 500))
    mixture = fit_mixture(grid(x), None, rank=rank, num_clusters=0, classes=0, rng=torch.Generator().manual_seed(1))
    component = torch.zeros(len(unseen), dtype=torch.long)
    for level in (0.1, 0.5, 2.0):
        sigma = torch.full((len(unseen),), level)
        y = unseen + level * torch.randn(unseen.shape, generator=rng)
        error = float((mixture.denoise(y, sigma, component) - unseen).square().mean())
        promised = float(mixture.posterior_std(sigma, component).square().mean())
        assert 0.5 < error / promised < 1.5, (level, error, promised)
