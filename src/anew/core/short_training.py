"""Training runs too short to judge."""

from __future__ import annotations

from anew.core.wording import plural

BARELY_TRAINED = 50  # with fewer training steps, a run says little about its family; chosen


def short_training_warning(steps: int | None) -> str:
    """A warning if a model was hardly trained, else "". steps: number of training steps, if known."""
    if steps is None or steps >= BARELY_TRAINED:
        return ""
    return (
        f"The model was hardly trained ({plural(steps, 'step')}): give it more steps or more time. If a budget brought so few, "
        "check what else is using the CPU."
    )
