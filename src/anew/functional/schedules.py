"""The learning rate of a training by its progress, the share of the plan that is done, and averages of weights by a power function
of the step (EDM2, arXiv 2312.02696)."""

from __future__ import annotations

import numpy as np


def warmup_stable_decay(step: int, progress: float, *, warmup_steps: int, decay: float, power: float = 1.0) -> float:
    """Learning rate relative to its peak: linear warm-up, flat, then zero at progress 1.

    The flat part makes a run extensible: more time goes on from the weights where the decay began.

    Args:
        progress: Share of the plan that is done, in [0, 1].
        decay: Last share of the run in which the rate falls as ((1 - progress) / decay) ** power.
        power: Exponent of the fall.
    """
    warmup_factor = min(1.0, (step + 1) / max(1, warmup_steps))
    remaining = max(0.0, 1.0 - progress)
    decay_factor = 1.0 if decay <= 0.0 or remaining >= decay else (remaining / decay) ** power
    return warmup_factor * decay_factor


def decay_start(decay: float) -> float:
    """Progress at which the learning rate begins to fall."""
    return 1.0 - min(1.0, max(0.0, decay))


def power_exponent(width: float) -> float:
    """Exponent gamma of the power-function average of weights with relative width sigma_rel (eq. 126).

    width: standard deviation of the averaging profile as a share of the run, in (0, 0.28).
    """
    target = width**-2
    return float(np.roots([1.0, 7.0, 16.0 - target, 12.0 - target]).real.max())


def power_decay(step: int, exponent: float) -> float:
    """Weight beta of the old average at finished step `step` >= 1 (eq. 127); 0 at the first step."""
    return float((1.0 - 1.0 / step) ** (exponent + 1.0))
