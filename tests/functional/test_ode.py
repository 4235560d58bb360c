from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from anew.functional.noise import karras_sigmas
from anew.functional.ode import SOLVERS, STOCHASTIC, Denoiser, solve

DEVIATION = 0.6


def gaussian(y: Tensor, level: Tensor) -> Tensor:
    """The exact denoiser of N(0, DEVIATION^2)."""
    return y * DEVIATION**2 / (DEVIATION**2 + level**2)


def error(solver: str, steps: int) -> float:
    """Distance to the exact solution at the smallest positive level, which is y scaled by the change of deviation."""
    levels = karras_sigmas(steps, 0.02, 5.0, 3.0)
    y = torch.linspace(-10, 10, 11, dtype=torch.float64)
    *_, last = SOLVERS[solver](gaussian, y, levels.double())
    exact = y * DEVIATION / (DEVIATION**2 + 25) ** 0.5
    return float((last - exact).abs().max())


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2), ("multistep", 2)])
def test_converges_at_its_order(solver: str, order: int) -> None:
    coarse, fine = error(solver, 16), error(solver, 64)
    assert fine < coarse / 4 ** (order - 0.5)


def test_second_order_beats_first_at_few_steps() -> None:
    assert error("multistep", 12) < error("euler", 12) / 1.5
    assert error("heun", 12) < error("euler", 12) / 2


@pytest.mark.parametrize(("solver", "passes"), [("euler", 5), ("heun", 9), ("multistep", 5)])
def test_passes_and_drafts(solver: str, passes: int) -> None:
    calls = []

    def denoise(y: Tensor, level: Tensor) -> Tensor:
        calls.append(float(level))
        return gaussian(y, level)

    drafts = list(SOLVERS[solver](denoise, torch.ones(3), karras_sigmas(5, 0.02, 5.0, 3.0)))
    assert len(drafts) == 5
    assert len(calls) == passes


def stochastic(denoise: Denoiser, steps: int, solver: str = STOCHASTIC) -> tuple[Tensor, Tensor]:
    """Starts and samples of a solver."""
    source = torch.Generator().manual_seed(0)
    start = (DEVIATION**2 + 25) ** 0.5 * torch.randn(20_000, generator=source)
    noise = partial(torch.randn, 20_000, generator=source)
    *_, last = solve(solver, denoise, start, karras_sigmas(steps, 0.02, 5.0, 3.0), noise)
    return start, last


def test_new_noise_keeps_the_distribution_and_forgets_the_start() -> None:
    start, last = stochastic(gaussian, 64)
    assert abs(float(last.std()) - DEVIATION) < 0.02 and abs(float(last.mean())) < 0.02
    assert abs(float(torch.corrcoef(torch.stack([start, last]))[0, 1])) < 0.5
    flow_start, flow_last = stochastic(gaussian, 64, "multistep")
    assert float(torch.corrcoef(torch.stack([flow_start, flow_last]))[0, 1]) > 0.99


def test_new_noise_corrects_errors_at_high_noise() -> None:
    def shifted(y: Tensor, level: Tensor) -> Tensor:
        return gaussian(y, level) + (0.5 if level > 2.0 else 0.0)

    means = {solver: abs(float(stochastic(shifted, 24, solver)[1].mean())) for solver in (STOCHASTIC, "multistep")}
    assert means[STOCHASTIC] < 0.7 * means["multistep"]
