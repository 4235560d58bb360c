"""The learning rate of a training by its progress, the share of the plan that is done."""

from __future__ import annotations


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
