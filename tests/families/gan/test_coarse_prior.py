from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from anew.core.specs import Batch
from anew.families.gan.coarse_prior import CoarsePrior, detail_mixing


def tones(n: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of 2 x 8 x 6 with two varying directions each, dark ones (class 0) thrice as often as bright ones (class 1)."""
    rng = torch.Generator().manual_seed(0)
    label = (torch.rand(n, generator=rng) < 0.25).long()
    directions = 0.1 * torch.randn(2, 2, 2, 8, 6, generator=rng)
    x = torch.einsum("nk,nkchw->nchw", torch.randn(n, 2, generator=rng), directions[label])
    return x + torch.where(label == 1, 0.7, -0.7)[:, None, None, None], label


def fitted(num_clusters: int = 2, classes: int = 0) -> CoarsePrior:
    x, label = tones()
    prior = CoarsePrior((2, 8, 6), 6, num_clusters, classes)
    prior.fit([Batch(x[:700], label[:700]), Batch(x[700:], label[700:])])
    return prior


def draw(prior: CoarsePrior, n: int, label: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    component = prior.sample_components(torch.rand(n, generator=rng), label)
    z = torch.randn(n, 9, generator=rng)
    return prior(z, functional.one_hot(component, prior.num_components).float()), component


def test_draws_are_spread_like_the_data_and_clusters_are_as_common() -> None:
    x, label = tones()
    generated, _ = draw(fitted(), 20_000)
    bright = generated.mean((1, 2, 3)) > 0
    assert float(bright.float().mean()) == pytest.approx(float(label.float().mean()), abs=0.02)
    for result in (0, 1):
        mine, theirs = generated[bright == bool(result)].flatten(1), x[label == result].flatten(1)
        torch.testing.assert_close(mine.mean(0), theirs.mean(0), atol=0.02, rtol=0)
        torch.testing.assert_close(torch.cov(mine.T), torch.cov(theirs.T), atol=0.02, rtol=0)


def test_numbers_of_an_item_lead_back_to_it() -> None:
    x = tones()[0][:50]
    prior = fitted()
    component = prior.assign(x, None)
    decoded = prior(prior.latents_of(x, component), functional.one_hot(component, prior.num_components).float())
    assert float((decoded - x).square().mean()) < 0.02 * float(x.var(0).mean())


def test_a_label_has_clusters_of_its_own() -> None:
    x, label = tones()
    prior = fitted(num_clusters=4, classes=2)
    assert torch.equal(prior.component_class[prior.assign(x, label)], label)
    generated, component = draw(prior, 200, torch.ones(200, dtype=torch.long))
    assert bool((prior.component_class[component] == 1).all())
    assert float(generated.mean()) > 0.5
    _, component = draw(prior, 4000, torch.full((4000,), -1))
    assert float((prior.component_class[component] == 1).float().mean()) == pytest.approx(0.25, abs=0.04)


def test_large_items_are_modelled_small() -> None:
    prior = CoarsePrior((3, 130, 70), 4, 2, 0)
    prior.fit([Batch(torch.randn(12, 3, 130, 70, generator=torch.Generator().manual_seed(0)))])
    assert len(prior.centre) < 3 * 40 * 40
    generated, _ = draw(prior, 2)
    assert generated.shape == (2, 3, 130, 70)


@pytest.mark.parametrize("n", [1, 3])
def test_few_items_and_many_clusters(n: int) -> None:
    x, _ = tones(n)
    prior = CoarsePrior((2, 8, 6), 6, 5, 0)
    prior.fit([Batch(x)])
    generated, component = draw(prior, 10)
    assert bool(torch.isfinite(generated).all())
    assert bool((prior.weights[component] > 0).all())
    assert bool(torch.isfinite(prior.latents_of(x, prior.assign(x, None))).all())


def test_of_many_items_some_of_all_are_held() -> None:
    x, label = tones(5000)
    order = label.argsort()
    x, label = x[order].repeat_interleave(5, 0), label[order].repeat_interleave(5)
    prior = CoarsePrior((2, 8, 6), 6, 2, 2)
    prior.fit(Batch(x[at : at + 333], label[at : at + 333]) for at in range(0, len(x), 333))
    assert prior.weights[:2].tolist() == pytest.approx([0.75, 0.25], abs=0.02)


def test_a_class_that_was_not_seen_has_a_cluster_of_its_own() -> None:
    x, _ = tones(60)
    prior = CoarsePrior((2, 8, 6), 6, 6, 3)
    prior.fit([Batch(x, torch.arange(60) % 2)])
    components = torch.full((20,), 2)
    generated, component = draw(prior, 20, components)
    assert component.unique().tolist() == [2] and bool(torch.isfinite(generated).all())
    assert prior.assign(x[:20], components).unique().tolist() == [2]


def test_clusters_that_never_occur_are_not_drawn() -> None:
    x, _ = tones(60)
    prior = CoarsePrior((2, 8, 6), 6, 3, 0)
    prior.fit([Batch(x)])
    ends = torch.tensor([0.0, 1.0 - 2.0**-53], dtype=torch.float64)
    assert bool((prior.weights[prior.sample_components(ends, None)] > 0).all())


def test_mixed_channels_vary_together_as_differences_of_neighbours_do() -> None:
    rng = torch.Generator().manual_seed(2)
    mixed = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [0.8, 0.0, 0.4]])
    levels = 5.0 * torch.randn(300, 3, 1, 1, generator=rng)  # tones of whole images say nothing about detail
    images = torch.einsum("dc,bchw->bdhw", mixed, torch.randn(300, 3, 9, 7, generator=rng)) + levels
    mixing = detail_mixing(images)
    covariance = mixed @ mixed.T
    torch.testing.assert_close(mixing @ mixing.T, 3 * covariance / covariance.trace(), atol=0.03, rtol=0)
    assert float(mixing.square().sum()) == pytest.approx(3.0)


@pytest.mark.parametrize("images", [torch.full((4, 3, 5, 5), 0.3), torch.rand(4, 3, 1, 1)])
def test_channels_without_detail_are_not_mixed(images: torch.Tensor) -> None:
    assert torch.equal(detail_mixing(images), torch.eye(3))


def test_a_channel_that_never_changes_can_still_be_learned() -> None:
    images = torch.rand(50, 2, 8, 8, generator=torch.Generator().manual_seed(3))
    images[:, 1] = 1.0
    mixing = detail_mixing(images)
    assert 0.0 < float(mixing[1, 1]) < 0.1 < float(mixing[0, 0])
