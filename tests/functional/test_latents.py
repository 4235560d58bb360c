from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from anew.functional.latents import kl_from_wider_normals, normal_kl, slerp, sum_with_free_bits

NUMBER = st.floats(-3, 3)


@given(NUMBER, NUMBER, NUMBER, NUMBER)
def test_normal_divergence_is_that_of_torch(mean: float, log_scale: float, other: float, other_log: float) -> None:
    parts = torch.tensor([mean, log_scale, other, other_log], dtype=torch.float64)
    theirs = kl_divergence(Normal(parts[0], parts[1].exp()), Normal(parts[2], parts[3].exp()))
    assert float(normal_kl(*parts)) == pytest.approx(float(theirs), rel=1e-6, abs=1e-9)


def test_free_nats_cost_no_more_when_given_back() -> None:
    cost = torch.tensor([[0.1, 2.0], [0.9, 0.5]], requires_grad=True)
    total = sum_with_free_bits(cost, 0.6)
    assert torch.allclose(total, torch.tensor([2.6, 1.5]))
    total.sum().backward()
    assert cost.grad is not None
    assert cost.grad.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_no_free_nats_change_nothing() -> None:
    cost = torch.rand(4, 3)
    assert torch.equal(sum_with_free_bits(cost, 0.0), cost.sum(1))


@given(st.floats(0, 1), st.integers(0, 100))
def test_slerp_keeps_length(share: float, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    first, other = torch.nn.functional.normalize(torch.randn(2, 16, generator=rng), dim=1)
    between = slerp(first, other, torch.tensor([share]))
    assert float(between.norm()) == pytest.approx(1.0, abs=1e-4)


def test_slerp_begins_at_its_start_and_ends_at_its_end() -> None:
    first, other = torch.randn(2, 8)
    ends = slerp(first, other, torch.tensor([0.0, 1.0]))
    assert torch.allclose(ends, torch.stack([first, other]), atol=1e-5)


def test_slerp_of_nothing_is_nothing() -> None:
    nothing = torch.zeros(5)
    assert torch.equal(slerp(nothing, nothing, torch.tensor([0.3])), torch.zeros(1, 5))


def test_a_divergence_from_wider_priors_is_a_bound_and_hardly_grows_far_away() -> None:
    rng = torch.Generator().manual_seed(0)
    mean, log_scale = torch.randn(3, 40, generator=rng), -torch.rand(3, 40, generator=rng)
    prior_mean, prior_log_scale = torch.zeros(3, 40), torch.zeros(3, 40)
    near = normal_kl(mean, log_scale, prior_mean, prior_log_scale).sum(1)  # (3,)
    factors = {1.0: 0.5, 4.0: 0.5}
    bound = kl_from_wider_normals(mean, log_scale, prior_mean, prior_log_scale, factors)
    assert bound.dtype == torch.float64 and (bound <= near + math.log(2.0) + 1e-3).all()
    z = mean + log_scale.exp() * torch.randn(20_000, 3, 40, generator=rng)  # (draws, 3, 40)
    posterior = Normal(mean, log_scale.exp()).log_prob(z).sum(2)
    priors = torch.stack([Normal(0.0, factor).log_prob(z).sum(2) + math.log(w) for factor, w in factors.items()])
    assert ((posterior - priors.logsumexp(0)).mean(0) <= bound + 0.05).all()
    far = kl_from_wider_normals(mean + 6.0, log_scale, prior_mean, prior_log_scale, factors)
    assert (far < 0.2 * normal_kl(mean + 6.0, log_scale, prior_mean, prior_log_scale).sum(1)).all()
    alone = kl_from_wider_normals(mean, log_scale, prior_mean, prior_log_scale, {1.0: 1.0})
    assert torch.allclose(alone.float(), near, rtol=1e-5)
