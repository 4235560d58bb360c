"""Muon's and AdamW's updates against independent computations."""

from __future__ import annotations

import torch
from torch import nn

from anew.families.phases import OptimizerConfig, ParameterGroup
from anew.training.optim import Optimizer, orthogonalize


def test_orthogonal_flattens_the_spectrum() -> None:
    torch.manual_seed(0)
    for shape in ((16, 48), (48, 16), (3, 20, 20)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape), torch.bfloat16))
        assert float(values.max()) < 1.35
        assert float(values.median()) > 0.6


def test_a_difference_in_the_last_bit_stays_small_in_fp32() -> None:
    """Sums are rounded otherwise on another number of processes; bf16 products would make 1e-3 of it."""
    torch.manual_seed(0)
    update = torch.randn(48, 16)
    changed = update * (1 + 1e-7 * torch.randn(update.shape))
    distance = orthogonalize(update, torch.float32) - orthogonalize(changed, torch.float32)
    assert float(distance.abs().max()) < 1e-5


def test_adamw_equals_pytorchs() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    group = ParameterGroup(lambda name, p: True, "adamw", 0.01, (0.9, 0.95), 1e-8, 0.1)
    optimizer = Optimizer(ours, OptimizerConfig((group,)))
    two = torch.optim.AdamW(theirs.parameters(), 0.01, (0.9, 0.95), 1e-8, 0.1)
    for _ in range(5):
        x = torch.randn(7, 5)
        for net in (ours, theirs):
            net.zero_grad()
            net(x).square().mean().backward()
        optimizer.step(1.0)
        two.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_muon_is_close_to_pytorchs() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(24, 48, bias=False), nn.Linear(24, 48, bias=False)
    theirs.load_state_dict(ours.state_dict())
    optimizer = Optimizer(
        ours, OptimizerConfig((ParameterGroup(lambda name, p: True, "muon", 0.02, weight_decay=0.1, momentum=0.95),))
    )
    two = torch.optim.Muon(theirs.parameters(), lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True)
    for _ in range(4):
        x = torch.randn(64, 24)
        for net in (ours, theirs):
            net.zero_grad()
            net(x).square().mean().backward()
        optimizer.step(1.0)
        two.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=2e-3)


def test_a_parameter_without_a_group_is_an_error() -> None:
    group = ParameterGroup(lambda name, p: p.ndim == 2, "muon", 0.01)
    try:
        Optimizer(nn.Linear(3, 2), OptimizerConfig((group,)))
    except ValueError as error:
        assert "'bias'" in str(error)
    else:
        raise AssertionError("no error")
