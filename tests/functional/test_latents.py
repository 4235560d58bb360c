from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from anew.functional.latents import normal_kl, slerp, sum_with_free_bits

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
