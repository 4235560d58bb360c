"""Updates of matrices, each computed by one of the processes of a machine and read by all from memory that they share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from anew.core.local_link import LocalLink

ALIGNMENT = 64  # bytes of a cache line, so that no two processes write to the same one


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
