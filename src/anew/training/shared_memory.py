"""Memory that the processes of one machine share: gradients are averaged there, and each computes the updates of some matrices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate

import torch
from torch import Tensor, nn

from anew.core.processes.local_link import LocalLink
from anew.core.random import StepContext
from anew.core.specs import Batch

ALIGNMENT = 64  # bytes of a cache line, so that no two processes write to the same one


class SharedGradients(nn.Module):
    """A loss module whose gradients are averaged over all processes after the last micro-batch of a step.

    Every process writes its gradients to its row of the memory. It averages its own slice of all rows, in a fixed order. Then
    all read all slices, so that results are byte-identical.

    Args:
        loss: The loss module; every process has the same weights in it.
    """

    def __init__(self, loss: nn.Module, link: LocalLink) -> None:
        super().__init__()
        self.loss = loss
        self._link = link
        by_dtype: dict[torch.dtype, list[nn.Parameter]] = defaultdict(list)
        for parameter in loss.parameters():
            by_dtype[parameter.dtype].append(parameter)
        self._buckets = [_GradientBucket(parameters, link) for parameters in by_dtype.values()]

    def forward(self, batch: Batch, context: StepContext) -> object:
        return self.loss(batch, context)

    @torch.no_grad()
    def average(self) -> None:
        """Give each parameter that has a gradient on any process the mean of all."""
        parameters = [parameter for bucket in self._buckets for parameter in bucket.parameters]
        for bucket in self._buckets:
            bucket.write()
        flags = self._link.exchange(bytes(parameter.grad is not None for parameter in parameters))
        for bucket in self._buckets:
            bucket.reduce()
        self._link.exchange(b"")
        has_gradient = iter([any(column) for column in zip(*flags, strict=True)])
        for bucket in self._buckets:
            bucket.read([next(has_gradient) for _ in bucket.parameters])


class _GradientBucket:
    """The shared memory for parameters of one dtype: a row for each process, and one for the mean."""

    def __init__(self, parameters: list[nn.Parameter], link: LocalLink) -> None:
        self.parameters = parameters
        sizes = [parameter.numel() for parameter in parameters]
        total = sum(sizes)
        dtype = parameters[0].dtype
        memory = link.memory(max(1, (link.size + 1) * total) * dtype.itemsize)
        rows = torch.frombuffer(memory, dtype=dtype)[: (link.size + 1) * total].view(link.size + 1, total)
        self._own = self._views(rows[link.rank])
        first, end = (total * rank // link.size for rank in (link.rank, link.rank + 1))
        *self._stretches, self._mean_stretch = (row[first:end] for row in rows)
        self._means = self._views(rows[-1])

    def _views(self, flat: Tensor) -> list[Tensor]:
        ends = accumulate(parameter.numel() for parameter in self.parameters)
        return [
            flat[end - parameter.numel() : end].view(parameter.shape)
            for end, parameter in zip(ends, self.parameters, strict=True)
        ]

    def write(self) -> None:
        targets, gradients = [], []
        for target, parameter in zip(self._own, self.parameters, strict=True):
            if parameter.grad is None:
                target.zero_()
            else:
                targets.append(target)
                gradients.append(parameter.grad)
        if targets:
            torch._foreach_copy_(targets, gradients)

    def reduce(self) -> None:
        torch.add(*self._stretches[:2], out=self._mean_stretch)
        for stretch in self._stretches[2:]:
            self._mean_stretch.add_(stretch)
        self._mean_stretch.div_(len(self._stretches))

    def read(self, has_gradient: list[bool]) -> None:
        """Put the means where the gradients were, so that no second copy of them is made."""
        own, means = [], []
        for parameter, mean, is_somewhere in zip(self.parameters, self._means, has_gradient, strict=True):
            if parameter.grad is not None:
                own.append(parameter.grad)
                means.append(mean)
            elif is_somewhere:
                parameter.grad = mean.clone()
        if own:
            torch._foreach_copy_(own, means)


class SharedUpdates:
    """The memory for the updates of a phase's matrices. Which process computes which follows from their sizes.

    Args:
        parameters: The matrices with their names, in the same order on all processes.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], link: LocalLink) -> None:
        matrices = dict(parameters)
        self._link = link
        sizes = {name: -(-matrix.nbytes // ALIGNMENT) * ALIGNMENT for name, matrix in matrices.items()}
        memory = link.memory(max(1, sum(sizes.values())))
        self.values: dict[str, Tensor] = {}
        offset = 0
        for name, matrix in matrices.items():
            flat = torch.frombuffer(memory, dtype=matrix.dtype, count=matrix.numel(), offset=offset)
            self.values[name] = flat.view(matrix.shape)
            offset += sizes[name]
        loads = [0.0] * link.size
        self.own: set[str] = set()
        for name in sorted(matrices, key=lambda name: -_cost(matrices[name])):
            rank = loads.index(min(loads))
            loads[rank] += _cost(matrices[name])
            if rank == link.rank:
                self.own.add(name)

    def exchange(self) -> None:
        """Wait until all have written their part. No process writes again before the next gradient exchange, which waits for
        all."""
        self._link.exchange(b"")


def _cost(matrix: Tensor) -> float:
    """Products of a Newton-Schulz step, relative to those of other matrices."""
    rows, columns = sorted(matrix.flatten(1).shape)
    return float(rows * rows * (2 * columns + rows))
