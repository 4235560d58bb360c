"""Randomness keyed by (seed, step, phase, use, example): a value, never a history.

No generator state is saved anywhere: a resumed run, a run on two processes and a run in smaller micro-batches draw the
same numbers for the same example of the same step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

ROWS = 16  # examples that share one generator: few enough to waste little, enough to keep seeding cheap


def key(*parts: int | str | float) -> int:
    """A 63-bit integer from the parts, the same on every machine."""
    text = "\x1f".join(str(p) for p in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") & (2**63 - 1)


def generator(*parts: int | str | float) -> torch.Generator:
    """A CPU generator seeded by `key(*parts)`."""
    return torch.Generator().manual_seed(key(*parts))


@dataclass(slots=True)
class Moment:
    """When and where a loss is computed: all that its randomness may depend on.

    step: finished steps so far; progress: share of the plan done, 0 to 1; first: global index of the batch's row 0.
    """

    seed: int
    step: int
    progress: float = 0.0
    phase: str = "main"
    first: int = 0
    device: str | torch.device = "cpu"
    training: bool = True
    _uses: dict[str, int] = field(default_factory=dict)

    def normal(self, use: str, shape: tuple[int, ...] | torch.Size) -> Tensor:
        """Standard normal numbers of `shape` (rows first), a function of each row's global index."""
        return self._draw(use, tuple(shape), torch.Tensor.normal_)

    def uniform(self, use: str, shape: tuple[int, ...] | torch.Size) -> Tensor:
        """Uniform numbers in [0, 1) of `shape` (rows first), a function of each row's global index."""
        return self._draw(use, tuple(shape), torch.Tensor.uniform_)

    def nth(self, use: str) -> str:
        """`use` with a running number: for layers that are called several times in one forward pass."""
        self._uses[use] = self._uses.get(use, -1) + 1
        return f"{use}/{self._uses[use]}"

    def _draw(self, use: str, shape: tuple[int, ...], fill: object) -> Tensor:
        rows, rest = shape[0], shape[1:]
        low, high = self.first // ROWS, (self.first + rows - 1) // ROWS
        parts = []
        for chunk in range(low, high + 1):
            source = generator(self.seed, self.step, self.phase, use, chunk)
            parts.append(fill(torch.empty((ROWS, *rest)), generator=source))  # type: ignore[operator]
        whole = torch.cat(parts) if len(parts) > 1 else parts[0]
        start = self.first - low * ROWS
        return whole[start : start + rows].to(self.device)


_now: ContextVar[Moment | None] = ContextVar("anew_moment", default=None)


@contextmanager
def at(moment: Moment) -> Iterator[Moment]:
    """Layers inside (dropout) draw from this moment."""
    token = _now.set(moment)
    try:
        yield moment
    finally:
        _now.reset(token)


class Dropout(nn.Module):
    """Inverted dropout whose mask is a function of the example, so that world size and resume change nothing."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        now = _now.get()
        if not self.training or self.p == 0.0:
            return x
        if now is None:
            return nn.functional.dropout(x, self.p)
        keep = now.uniform(now.nth("dropout"), x.shape) >= self.p
        return x * keep.to(x.dtype) / (1.0 - self.p)


_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Well-spread 64-bit numbers from any (splitmix64)."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * _MIX[0]
    z = (z ^ (z >> np.uint64(27))) * _MIX[1]
    return z ^ (z >> np.uint64(31))
