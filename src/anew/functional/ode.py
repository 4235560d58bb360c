"""Solvers of the probability-flow equation dy/ds = (y - D(y, s)) / s, as functions of a denoiser D.

Each takes noisy data y = x + s e at `levels[0]` and falling levels that end in 0, and yields the clean estimate that
each step is built on; the last one yielded is the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]  # (y, level ()) -> clean estimate, same shape as y


def euler(denoise: Denoiser, y: Tensor, levels: Tensor) -> Iterator[Tensor]:
    """First order, one pass a step."""
    for now, then in pairwise(levels):
        clean = denoise(y, now)
        yield clean
        y = clean + (then / now) * (y - clean)


def heun(denoise: Denoiser, y: Tensor, levels: Tensor) -> Iterator[Tensor]:
    """Second order, two passes a step but one in the last (arXiv 2206.00364, algorithm 1)."""
    for now, then in pairwise(levels):
        clean = denoise(y, now)
        yield clean
        guess = clean + (then / now) * (y - clean)
        if then > 0:
            slope = ((y - clean) / now + (guess - denoise(guess, then)) / then) / 2
            guess = y + (then - now) * slope
        y = guess


def multistep(denoise: Denoiser, y: Tensor, levels: Tensor) -> Iterator[Tensor]:
    """Second order, one pass a step, first order in the last step: DPM-Solver++ 2M (arXiv 2211.01095, algorithm 2)."""
    before: tuple[Tensor, Tensor] | None = None  # the estimate and the log level of the step before
    for now, then in pairwise(levels):
        clean = denoise(y, now)
        yield clean
        slope = clean
        if before is not None and then > 0:
            ratio = (torch.log(now) - torch.log(then)) / (before[1] - torch.log(now))
            slope = clean + 0.5 * ratio * (clean - before[0])
        before = (clean, torch.log(now))
        y = slope + (then / now) * (y - slope)


def backwards(denoise: Denoiser, y: Tensor, levels: Tensor) -> Tensor:
    """The same equation from clean to noisy: y at rising `levels`, the first of them small. Second order (Heun)."""
    for now, then in pairwise(levels):
        slope = (y - denoise(y, now)) / now
        guess = y + (then - now) * slope
        y = y + (then - now) * (slope + (guess - denoise(guess, then)) / then) / 2
    return y


SOLVERS: dict[str, Callable[[Denoiser, Tensor, Tensor], Iterator[Tensor]]] = {
    "euler": euler,
    "heun": heun,
    "multistep": multistep,
}
