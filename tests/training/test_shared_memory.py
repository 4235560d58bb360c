"""Gradients in shared memory are the mean over all processes, the same bytes on each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anew.core.processes.local_link import LocalLink
from anew.families.phases import OptimizerConfig, ParameterGroup
from anew.training.optim import Optimizer
from anew.training.shared_memory import SharedGradients, SharedUpdates
from links import in_threads, links


class Parts(nn.Module):
    """Parameters of two dtypes, one laid out in another order, one without values, one that nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last))
        self.wide = nn.Parameter(torch.zeros(7, dtype=torch.float64))
        self.empty = nn.Parameter(torch.zeros(0))
        self.some = nn.Parameter(torch.zeros(3))
        self.unused = nn.Parameter(torch.zeros(3))


def gradients(rank: int) -> dict[str, torch.Tensor | None]:
    random = torch.Generator().manual_seed(rank)
    kernel = torch.randn(2, 3, 4, 5, generator=random).to(memory_format=torch.channels_last)
    wide = torch.randn(7, generator=random, dtype=torch.float64)
    return {
        "kernel": kernel,
        "wide": wide,
        "empty": torch.zeros(0),
        "some": torch.ones(3) if rank == 1 else None,
        "unused": None,
    }


def test_each_gradient_becomes_the_mean_over_all_processes() -> None:
    def twice(link: LocalLink) -> list[dict[str, torch.Tensor | None]]:
        parts = Parts()
        shared = SharedGradients(parts, link)
        means = []
        for first in (0, 10):  # the memory holds what was before
            for name, gradient in gradients(link.rank + first).items():
                getattr(parts, name).grad = gradient
            shared.average()
            means.append({name: parameter.grad for name, parameter in parts.named_parameters()})
        return means

    results = in_threads(links(3), twice)
    for number, first in enumerate((0, 10)):
        inputs = [gradients(first + rank) for rank in range(3)]
        for name in ("kernel", "wide", "empty"):
            mean = torch.stack([torch.as_tensor(gradient[name]) for gradient in inputs]).mean(0)
            for result in results:
                gradient = result[number][name]
                assert gradient is not None and torch.allclose(gradient, mean, atol=1e-6)
                assert torch.equal(gradient, torch.as_tensor(results[0][number][name]))
        assert all(result[number]["unused"] is None for result in results)
    for result in results:
        assert torch.equal(torch.as_tensor(result[0]["some"]), torch.full((3,), 1 / 3))
        assert result[1]["some"] is None


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
