"""Rules for pilots, the beginnings of trainings among which one is chosen: how long they take, and which one wins.

`workflows/pilots.py` trains and measures them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from anew.families.base import Family
from anew.runs.record import Pilot

# Share of the budget, at most, for all pilots together (planning, training, judging). The winner's training continues; what
# the others cost is lost.
PILOT_SHARE = 0.12
# Seconds for all pilots, at most. Longer pilots would not make the choice surer: in a training of hours, a few percent of it
# suffice; chosen.
MOST_SECONDS = 900.0
# Smallest budget with pilots, in seconds: 12% of 180 s leaves each of two pilots 6 s of steps, 12% of 60 s hardly one
# (docs/log.md, 2026-11-26).
LEAST_BUDGET = 180.0
# Share of a training before pilots can be compared: at 3%, distances named the better family on 6 of 6 datasets, at 1.6%
# and .9% nothing could be told (docs/log.md, 2026-11-26).
LEAST_PROGRESS = 0.02


def pilot_seconds(budget: float) -> float:
    """The seconds of a budget for all pilots together; 0 if it is too small for pilots."""
    return min(MOST_SECONDS, PILOT_SHARE * budget) if budget >= LEAST_BUDGET else 0.0


def expected_distance(family_class: type[Family], distance: float, real: float, progress: float) -> float:
    """The Fréchet distance that is expected at the end of a training.

    The excess over the distance of real items is assumed to fall as a power of the progress. The exponent of each family was
    measured over several datasets (docs/log.md): a fast learner is ahead early on.

    Args:
        family_class: The family that is trained.
        distance: Distance of its samples to validation items now.
        real: Distance of training items to validation items.
        progress: Share of the training that is done, in (0, 1].
    """
    return real + max(distance - real, 0.0) * math.pow(progress, family_class.learning_exponent)


def can_tell(pilots: Sequence[Pilot]) -> bool:
    """Whether all pilots were trained for long enough to choose one by its samples."""
    return all(pilot.progress >= LEAST_PROGRESS for pilot in pilots)


def num_rounds(pilots: int) -> int:
    """The rounds of successive halving (arXiv 1502.07943) until one of so many pilots is left."""
    return max(1, math.ceil(math.log2(pilots)))


def num_kept(pilots: int) -> int:
    """How many of so many pilots a round keeps."""
    return -(-pilots // 2)


def describe_trying(families: Sequence[str]) -> str:
    """A sentence on the families that a large enough budget would try first; "" if there is no choice."""
    if len(families) < 2:
        return ""
    return (
        f"with {LEAST_BUDGET / 60:g} min or more, {' and '.join(families)} are tried on your data first, "
        f"in {PILOT_SHARE:.0%} of the time; the more promising one is trained further"
    )


def describe_pilots(pilots: Sequence[Pilot]) -> str:
    """Sentences that say what was tried and why the first pilot continued; "" without pilots.

    Args:
        pilots: The winner first.
    """
    if not pilots:
        return ""
    distances = ", ".join(f"{p.family} {p.distance:.3g} after {p.seconds:.0f} s" for p in pilots)
    winner = pilots[0]
    tried = f"Tried: {distances} (Fréchet distance of {winner.items} samples to validation items; real items {winner.real:.3g})."
    if not can_tell(pilots):
        return f"{tried} That was too short to tell them apart, so {winner.family} was trained further, which most often comes closest."
    expected_distances = ", ".join(f"{p.family} {p.expected:.3g}" for p in pilots)
    return f"{tried} Expected at the end: {expected_distances}. So {winner.family} was trained further."
