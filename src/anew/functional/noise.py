"""Noise levels: which of them training sees, and which a sample passes through.

Data and noise mix as y = x + sigma e (EDM, arXiv 2206.00364). The straight path x_t = t x + (1 - t) e of flow matching is
the same one on another scale, y = x_t / t with sigma = (1 - t) / t. All code uses sigma, in the units of the data.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from anew.core.machine.device import to_double


def lognormal_sigmas(uniform: Tensor, log_mean: float, log_std: float, sigma_min: float, sigma_max: float) -> Tensor:
    """Noise levels with log sigma ~ N(log_mean, log_std^2), truncated to [sigma_min, sigma_max].

    The truncated quantile function is used, so that no draw is rejected and each uniform number gives one level.

    Args:
        uniform: Numbers in [0, 1), of any shape.
        log_std: Standard deviation of log sigma.

    Returns:
        Levels of the same shape.
    """
    below = _normal_cdf((math.log(sigma_min) - log_mean) / log_std)
    above = _normal_cdf((math.log(sigma_max) - log_mean) / log_std)
    quantile = (below + (above - below) * uniform).clamp(1e-6, 1 - 1e-6)
    log_sigma: Tensor = log_mean + log_std * torch.special.ndtri(to_double(quantile)).to(uniform)
    return log_sigma.exp().clamp(sigma_min, sigma_max)


def _normal_cdf(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    """(steps + 1,) falling noise levels, the last one 0 (arXiv 2206.00364, eq. 5). rho: crowding towards sigma_min."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64) if steps > 1 else torch.zeros(1, dtype=torch.float64)
    sigmas = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)]).float()
