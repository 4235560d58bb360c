from __future__ import annotations

import math

import pytest
import torch

from anew.functional import fsq


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (2,), (3, 4)])
def test_every_code_has_its_values_and_back(levels: tuple[int, ...]) -> None:
    codes = torch.arange(math.prod(levels)).view(-1, 1, 1)
    values = fsq.codes_to_values(codes, levels)
    assert values.shape == (len(codes), len(levels), 1, 1)
    assert values.abs().max() == 1.0
    assert torch.equal(fsq.values_to_codes(values, levels), codes)
    assert len(torch.unique(values.flatten(1), dim=0)) == len(codes)


def test_rounding_takes_the_nearest_level_and_passes_gradients() -> None:
    x = torch.tensor([[-0.9, 0.1], [0.4, -0.6]], requires_grad=True)
    codes = fsq.quantize(x, (3, 2))
    assert torch.equal(codes.detach(), torch.tensor([[-1.0, 1.0], [0.0, -1.0]]))
    codes.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.ones(2, 2))


def test_normal_numbers_are_spread_evenly() -> None:
    x = torch.randn(40_000, 1, generator=torch.Generator().manual_seed(0))
    shares = torch.bincount(fsq.values_to_codes(fsq.quantize(fsq.bound(x), (5,)), (5,)), minlength=5) / len(x)
    inner = shares[1:4]  # the outermost levels have half the width
    assert inner.max() / inner.min() < 1.2


def test_a_gradient_comes_back_from_far_out() -> None:
    x = torch.tensor([[3.0]], requires_grad=True)
    fsq.bound(x).sum().backward()
    assert x.grad is not None and float(x.grad) > 0.0
