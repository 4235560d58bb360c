"""Learning-rate schedules as functions of progress, the share of the plan that is done."""

from __future__ import annotations


def warmup_stable_decay(step: int, progress: float, *, warmup: int, decay: float, power: float = 1.0) -> float:
    """Rate relative to its peak: linear warm-up over `warmup` steps, flat, then zero at progress 1.

    decay: last share of the run in which the rate falls as ((1 - progress) / decay) ** power.
    The flat part makes a run extensible: more time goes on from the weights where the decay began.
    """
    rise = min(1.0, (step + 1) / max(1, warmup))
    left = max(0.0, 1.0 - progress)
    fall = 1.0 if decay <= 0.0 or left >= decay else (left / decay) ** power
    return rise * fall


def decay_start(decay: float) -> float:
    """Progress at which the rate begins to fall."""
    return 1.0 - min(1.0, max(0.0, decay))
