"""Averages of weights by a power function of the step (EDM2, arXiv 2312.02696)."""

from __future__ import annotations

import numpy as np


def power_exponent(width: float) -> float:
    """Exponent gamma of the power-function average of weights with relative width sigma_rel (eq. 126).

    width: standard deviation of the averaging profile as a share of the run, in (0, 0.28).
    """
    target = width**-2
    return float(np.roots([1.0, 7.0, 16.0 - target, 12.0 - target]).real.max())


def power_decay(step: int, exponent: float) -> float:
    """Weight beta of the old average at finished step `step` >= 1 (eq. 127); 0 at the first step."""
    return float((1.0 - 1.0 / step) ** (exponent + 1.0))
