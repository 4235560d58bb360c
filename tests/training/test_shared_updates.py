"""Processes that divide Muon's work among them make the steps of one, the same bytes on each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anew.core.local_link import LocalLink
from anew.families.phases import OptimizerConfig, ParameterGroup
from anew.training.optim import Optimizer
from anew.training.shared_updates import SharedUpdates
from links import in_threads, links


class Matrices(nn.Module):
    """Matrices of several shapes, a kernel and a bias."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        shapes = ((24, 8), (24, 8), (24, 8), (8, 40), (6, 2, 3, 3), (64, 64))
        self.matrices = nn.ParameterList(nn.Parameter(torch.randn(shape, generator=random)) for shape in shapes)
        self.bias = nn.Parameter(torch.randn(9, generator=random))


def two_steps(link: LocalLink | None) -> dict[str, Tensor]:
    """Weights and moments behind two steps; in the second one a matrix has no gradient."""
    module = Matrices()
    groups = (
        ParameterGroup(lambda name, p: p.ndim > 1, "muon", 0.02, weight_decay=0.1, dtype=torch.float32),
        ParameterGroup(lambda name, p: True, "adamw", 0.01),
    )
    optimizer = Optimizer(module, OptimizerConfig(groups), link)
    random = torch.Generator().manual_seed(1)
    for step in range(2):
        for parameter in module.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=random)
        if step == 1:
            module.matrices[1].grad = None
        optimizer.step(1.0)
        if link is not None:
            link.exchange(b"")  # as the next gradients do
    return {**{name: parameter.detach() for name, parameter in module.named_parameters()}, **optimizer.state}


def test_divided_steps_are_those_of_one_process() -> None:
    alone = two_steps(None)
    for size in (2, 3):
        first, *others = in_threads(links(size), two_steps)
        assert first.keys() == alone.keys()
        for name, value in first.items():
            assert torch.allclose(value, alone[name], atol=1e-6), name
            assert all(torch.equal(other[name], value) for other in others), name


def test_each_matrix_belongs_to_one_process_and_the_work_is_even() -> None:
    matrices = [(str(number), nn.Parameter(torch.zeros(32, 32))) for number in range(8)]
    own = in_threads(links(4), lambda link: SharedUpdates(matrices, link).own)
    assert [len(names) for names in own] == [2] * 4
    assert set().union(*own) == {name for name, _ in matrices}
