"""Solvers of the probability-flow equation dy/dsigma = (y - D(y, sigma)) / sigma, and of the stochastic equation with the same
marginals, as functions of a denoiser D.

Each takes noisy data y = x + sigma e at `sigmas[0]` and falling noise levels that end in 0, and yields the denoised
estimate that each step is built on; the last one yielded is the sample. No step waits for the device to say what a level is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]  # (y, sigma ()) -> denoised estimate, same shape as y
Noise = Callable[[], Tensor]  # -> normal numbers of the shape of y, new ones at each call
STOCHASTIC = "sde-multistep"  # the solver that takes noise
# Share of new noise, 0 for the flow and 1 for the reverse-time equation: the larger, the more errors are corrected, and the
# more steps it takes to be exact (docs/log.md, 2026-11-27).
ETA = 0.5


def euler(denoise: Denoiser, y: Tensor, sigmas: Tensor) -> Iterator[Tensor]:
    """First order, one evaluation a step."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = denoise(y, sigma)
        yield denoised
        y = denoised + (sigma_next / sigma) * (y - denoised)


def heun(denoise: Denoiser, y: Tensor, sigmas: Tensor) -> Iterator[Tensor]:
    """Second order, two evaluations a step but one in the last (arXiv 2206.00364, algorithm 1)."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas), 1):
        denoised = denoise(y, sigma)
        yield denoised
        y_next = denoised + (sigma_next / sigma) * (y - denoised)
        if step < len(sigmas) - 1:
            slope = (y - denoised) / sigma
            slope_next = (y_next - denoise(y_next, sigma_next)) / sigma_next
            y_next = y + (sigma_next - sigma) * (slope + slope_next) / 2
        y = y_next


def multistep(denoise: Denoiser, y: Tensor, sigmas: Tensor, noise: Noise | None = None) -> Iterator[Tensor]:
    """Second order, one evaluation a step, first order in the last step: DPM-Solver++ 2M (arXiv 2211.01095, algorithm 2).

    With noise, SDE-DPM-Solver++ 2M, between the flow (eta 0) and the reverse SDE of the same paper (eta 1) at ETA, as
    `sample_dpmpp_2m_sde` of k-diffusion: each step but the last removes more noise than it has to and adds new noise in its
    place, which corrects errors of the denoiser that the flow would carry to the end.
    """
    eta = 0.0 if noise is None else ETA
    previous: tuple[Tensor, Tensor] | None = None  # the denoised estimate and log sigma of the step before
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas), 1):
        is_last = step == len(sigmas) - 1
        denoised = denoise(y, sigma)
        yield denoised
        extrapolated = denoised
        if previous is not None and not is_last:
            previous_denoised, previous_log_sigma = previous
            ratio = (torch.log(sigma) - torch.log(sigma_next)) / (previous_log_sigma - torch.log(sigma))
            extrapolated = denoised + 0.5 * ratio * (denoised - previous_denoised)
        previous = (denoised, torch.log(sigma))
        y = extrapolated + (sigma_next / sigma) ** (1.0 + eta) * (y - extrapolated)
        if noise is not None and not is_last:
            y = y + sigma_next * (1.0 - (sigma_next / sigma) ** (2.0 * eta)).sqrt() * noise()


def encode_flow(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """The same equation from clean to noisy: y at sigmas[-1], from x at sigmas[0]. Second order (Heun). sigmas: rising, the first of them
    small."""
    y = x
    for sigma, sigma_next in pairwise(sigmas):
        slope = (y - denoise(y, sigma)) / sigma
        y_next = y + (sigma_next - sigma) * slope
        slope_next = (y_next - denoise(y_next, sigma_next)) / sigma_next
        y = y + (sigma_next - sigma) * (slope + slope_next) / 2
    return y


# Solvers of the probability flow, by name
SOLVERS: dict[str, Callable[[Denoiser, Tensor, Tensor], Iterator[Tensor]]] = {
    "euler": euler,
    "heun": heun,
    "multistep": multistep,
}


def solve(solver: str, denoise: Denoiser, y: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[Tensor]:
    """The solver of this name. noise: Used by the stochastic one alone."""
    if solver == STOCHASTIC:
        return multistep(denoise, y, sigmas, noise)
    return SOLVERS[solver](denoise, y, sigmas)
