from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from anew.families._sizes import ITEMS_PER_CLUSTER
from anew.families.vae.prior import MixturePrior


def clouds(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two narrow clouds, at -2 and 2 along the first of three axes, and which of them each vector is of."""
    rng = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (n,), generator=rng)
    z = torch.randn((n, 3), generator=rng) * torch.tensor([0.1, 1.0, 0.3])
    z[:, 0] += 4.0 * label - 2.0
    return z, label


def draw(prior: MixturePrior, n: int, labels: Tensor | None = None) -> Tensor:
    rng = torch.Generator().manual_seed(3)
    component = prior.sample_components(torch.rand(n, generator=rng), labels)
    z: Tensor = prior(one_hot(component, prior.num_clusters + 1).float(), torch.randn((n, prior.size), generator=rng))
    return z


@pytest.mark.parametrize("classes", [0, 2])
def test_it_is_a_standard_normal_distribution_before_it_is_fitted(classes: int) -> None:
    prior = MixturePrior(3, 4, classes)
    z = draw(prior, 4000)
    assert torch.allclose(z.mean(0), torch.zeros(3), atol=0.1)
    assert torch.allclose(torch.cov(z.T), torch.eye(3), atol=0.1)
    normal = -0.5 * (z.square().sum(1) + 3 * math.log(2 * math.pi))
    assert torch.allclose(prior.log_prob(z), normal.double(), atol=1e-4)


def test_draws_lie_where_the_vectors_lay() -> None:
    z, _ = clouds(1000)
    prior = MixturePrior(3, 8, 0)
    prior.fit(z, None)
    samples = draw(prior, 2000)
    assert float((samples[:, 0].abs() - 2).abs().mean()) < 0.3
    assert 0.4 < float((samples[:, 0] > 0).float().mean()) < 0.6
    assert torch.allclose(samples.std(0)[1:], z.std(0)[1:], rtol=0.15)


def test_draws_of_a_class_lie_in_its_cloud() -> None:
    z, label = clouds(1000)
    prior = MixturePrior(3, 8, 2)
    prior.fit(z, label)
    wanted = torch.arange(400) % 2
    assert torch.equal(draw(prior, 400, wanted)[:, 0] > 0, wanted == 1)


def test_its_density_is_that_of_its_draws() -> None:
    """The mean of exp(-log density) over draws within a box is the box's volume over their share."""
    z, _ = clouds(2000)
    prior = MixturePrior(3, 4, 0)
    prior.fit(z, None)
    samples = draw(prior, 20_000)
    low, high = torch.tensor([1.9, -0.5, -0.3]), torch.tensor([2.1, 0.5, 0.3])
    inside = ((samples > low) & (samples < high)).all(1)
    estimate = float((-prior.log_prob(samples[inside])).exp().sum()) / len(samples)
    assert estimate == pytest.approx(float((high - low).prod()), rel=0.05)


def test_a_wrong_distribution_costs_more() -> None:
    z, _ = clouds(2000)
    prior = MixturePrior(3, 4, 0)
    unfitted = float(prior.log_prob(z).mean())
    prior.fit(z, None)
    assert float(prior.log_prob(clouds(500, 1)[0]).mean()) > unfitted + 1.0


@pytest.mark.parametrize("n", [1, 2, 3, 40, 200])
def test_few_vectors_make_few_clusters_and_finite_numbers(n: int) -> None:
    z, label = clouds(n)
    prior = MixturePrior(3, 64, 2)
    prior.fit(z, label)
    samples = draw(prior, 50)
    assert torch.isfinite(samples).all() and torch.isfinite(prior.log_prob(samples)).all()
    assert int((prior.weights > 0).sum()) <= max(2, n // ITEMS_PER_CLUSTER)


def test_a_cluster_of_one_vector_is_as_wide_as_the_others() -> None:
    """What lies far from all others is a cluster of its own; samples from it must not repeat it."""
    z, _ = clouds(400)
    z[7] = torch.tensor([0.0, 30.0, 0.0])
    prior = MixturePrior(3, 12, 0)
    prior.fit(z, None)
    samples = draw(prior, 40_000)
    near = samples[samples[:, 1] > 15]
    assert len(near) > 20
    assert float(near.std(0).norm()) > 0.5 * float(z[z[:, 0] > 1].std(0).norm()) / 4
    assert float((near - z[7]).norm(dim=1).median()) > 0.1


def test_vectors_that_do_not_differ_are_drawn_again() -> None:
    prior = MixturePrior(3, 4, 0)
    prior.fit(torch.full((100, 3), 0.5), None)
    assert torch.allclose(draw(prior, 10), torch.full((10, 3), 0.5), atol=0.02)
    assert torch.isfinite(prior.log_prob(torch.zeros(2, 3))).all()


@pytest.mark.parametrize(("n", "nats"), [(28, 130), (64, 130), (98, 125), (400, 105)])
def test_few_vectors_of_many_numbers_leave_room_for_others(n: int, nats: float) -> None:
    """What few vectors do not vary in, others may: a normal distribution of 64 numbers takes 91 nats."""
    rng = torch.Generator().manual_seed(0)
    prior = MixturePrior(64, 0, 0)
    prior.fit(torch.randn((n, 64), generator=rng), None)
    assert -float(prior.log_prob(torch.randn((200, 64), generator=rng)).mean()) < nats


def test_one_gaussian_takes_no_notice_of_labels() -> None:
    z, label = clouds(100)
    prior, same = MixturePrior(3, 0, 2), MixturePrior(3, 0, 2)
    prior.fit(z, label)
    same.fit(z, None)
    assert torch.equal(prior.factors, same.factors)


def test_fitting_again_forgets_the_last_fit() -> None:
    once, twice = MixturePrior(3, 8, 0), MixturePrior(3, 8, 0)
    twice.fit(clouds(400)[0] + 5.0, None)
    for prior in (once, twice):
        prior.fit(clouds(100)[0], None)
    assert torch.equal(draw(once, 50), draw(twice, 50))
