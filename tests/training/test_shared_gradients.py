"""Gradients in shared memory are the mean over all processes, the same bytes on each."""

from __future__ import annotations

import torch
from torch import nn

from anew.core.local_link import LocalLink
from anew.training.shared_gradients import SharedGradients
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
