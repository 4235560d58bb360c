"""Noise levels: which of them training sees, and which a sample passes through.

Data and noise mix as y = x + s e (EDM, arXiv 2206.00364). The straight path x_t = t x + (1 - t) e of flow matching is the same
one on another scale, y = x_t / t with s = (1 - t) / t. Everything counts the noise level s, in data units.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


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


def rho_levels(steps: int, low: float, high: float, rho: float) -> Tensor:
    """(steps + 1,) falling noise levels, the last one 0: EDM's grid (arXiv 2206.00364, eq. 5)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64) if steps > 1 else torch.zeros(1, dtype=torch.float64)
    grid = (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    return torch.cat([grid, torch.zeros(1, dtype=torch.float64)]).float()
