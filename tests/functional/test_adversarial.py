from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from anew.functional.adversarial import (
    diversity_ratio,
    gradient_penalty,
    lazy_rows,
    relativistic_loss,
    update_running_mean,
)


def test_a_pair_at_the_same_logit_costs_log_two_and_more_lead_costs_less() -> None:
    logits = torch.tensor([-3.0, 0.0, 3.0])
    assert relativistic_loss(logits, logits) == pytest.approx([0.6931] * 3, abs=1e-3)
    losses = relativistic_loss(logits, torch.zeros(3))
    assert losses[0] > losses[1] > losses[2] > 0


def test_squared_slope_of_a_linear_discriminator_is_its_weights_and_has_a_gradient() -> None:
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    slope = gradient_penalty(lambda x: x @ weight, torch.randn(5, 2))
    assert slope.tolist() == pytest.approx([25.0] * 5)
    (grad,) = torch.autograd.grad(slope.sum(), weight)
    assert grad.tolist() == pytest.approx([30.0, 40.0])


@given(some.integers(0, 50), some.integers(1, 9), some.lists(some.integers(1, 7), min_size=1, max_size=6))
def test_the_turn_of_a_row_is_the_same_however_a_batch_is_cut(step: int, every: int, cuts: list[int]) -> None:
    rows, first = [], 100
    for count in cuts:
        rows += [int(i) + first for i in lazy_rows(step, first, count, every)]
        first += count
    assert rows == [int(i) + 100 for i in lazy_rows(step, 100, sum(cuts), every)]
    assert len({int(i) for s in range(every) for i in lazy_rows(step + s, 100, 60, every)}) == 60


def test_variety_sees_one_item_and_few_kinds_of_items() -> None:
    real = torch.randn(32, 3, 8, 9)
    assert float(diversity_ratio(torch.randn(32, 3, 8, 9), real)) == pytest.approx(1.0, abs=0.15)
    assert float(diversity_ratio(real[:1].expand_as(real), real)) == pytest.approx(0.0, abs=1e-3)
    near_copies = real[:2].repeat(16, 1, 1, 1) + 0.01 * torch.randn(32, 3, 8, 9)
    assert float(diversity_ratio(near_copies, real)) < 0.05


def test_variety_of_constant_data_is_one() -> None:
    same = torch.full((8, 1, 8, 8), -1.0)
    assert float(diversity_ratio(same, same)) == 1.0
    assert float(diversity_ratio(same[:1], same[:1])) == 1.0


def test_a_running_mean_goes_to_what_it_is_given() -> None:
    mean = torch.zeros(())
    for _ in range(200):
        mean = update_running_mean(mean, 2.0)
    assert float(mean) == pytest.approx(2.0, abs=1e-3)
