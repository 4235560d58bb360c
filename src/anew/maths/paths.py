"""Noise paths: how clean data and noise mix, which noise levels training sees, and what the network is asked for.

The straight path x_t = t x + (1 - t) e (flow matching) and the variance-exploding one y = x + s e (EDM) are the same
path read on two scales: y = x_t / t with s = (1 - t) / t. Everything here counts the noise level s, in data units.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def level_of_time(t: Tensor) -> Tensor:
    """Noise level s = (1 - t) / t of the straight path at time t in (0, 1]; t = 1 is clean."""
    return (1.0 - t) / t


def time_of_level(level: Tensor) -> Tensor:
    """Time t = 1 / (1 + s) of the straight path at noise level s >= 0."""
    return 1.0 / (1.0 + level)


def over(values: Tensor, x: Tensor) -> Tensor:
    """(B,) values shaped to multiply (B, ...) data."""
    return values.reshape(-1, *([1] * (x.ndim - 1)))


def lognormal_levels(uniform: Tensor, mean: float, deviation: float, low: float, high: float) -> Tensor:
    """Noise levels with log s ~ N(mean, deviation), truncated to [low, high], from uniform numbers in [0, 1).

    The truncated quantile function is used, so no draw is rejected and each uniform number gives one level.
    """
    below, above = (_cumulative((math.log(edge) - mean) / deviation) for edge in (low, high))
    share = (below + (above - below) * uniform).clamp(1e-6, 1 - 1e-6)
    log: Tensor = mean + deviation * torch.special.ndtri(share.double()).to(uniform.dtype)
    return log.exp().clamp(low, high)


def _cumulative(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


def edm_scales(level: Tensor, deviation: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(skip, out, into) of EDM preconditioning (arXiv 2206.00364, table 1): x = skip y + out F(into y).

    deviation: standard deviation of the data. With them the input and the target of F have unit variance at each level,
    and the squared error of F is the velocity loss of the straight path up to a bounded factor.
    """
    total = level.square() + deviation**2
    return deviation**2 / total, level * deviation / total.sqrt(), total.rsqrt()


def rho_levels(steps: int, low: float, high: float, rho: float) -> Tensor:
    """(steps + 1,) falling noise levels, the last one 0: EDM's grid (arXiv 2206.00364, eq. 5)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64) if steps > 1 else torch.zeros(1, dtype=torch.float64)
    grid = (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return torch.cat([grid, torch.zeros(1, dtype=torch.float64)]).float()
