"""Choice between trainings that have just begun: how long they may take, and what is expected of each at the end.

The rules alone; `workflows/pilots.py` trains and measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from anew.families.base import Family
from anew.runs.record import Pilot

# Of the budget, at most, for all pilots together (planning, training, judging): the winner's training goes on; what
# others cost is lost.
PILOT_SHARE = 0.12
# A longer look would not make the choice surer: of hours, a few percent of the training suffice; chosen.
MOST_SECONDS = 900.0
# Seconds: 12% of 180 s leaves each of two pilots 6 s of steps, 12% of 60 s hardly one (docs/log.md, 2026-11-26).
LEAST_BUDGET = 180.0
# Of a training: at 3% distances named the better family on 6 of 6 data sets, at 1.6% and .9% nothing could be told
# (docs/log.md, 2026-11-26).
LEAST_PROGRESS = 0.02


def pilot_seconds(budget: float) -> float:
    """Seconds of a budget for all pilots together; 0 where it is too small for any."""
    return min(MOST_SECONDS, PILOT_SHARE * budget) if budget >= LEAST_BUDGET else 0.0


def expected_distance(family_class: type[Family], distance: float, real: float, progress: float) -> float:
    """The Fréchet distance that is to be expected at the end of a training.

    What lies beyond the distance of real items falls as a power of the progress, whose exponent was measured for each
    family over several data sets (docs/log.md): a fast learner is ahead early on.

    Args:
        family_class: What is trained.
        distance: Distance of its samples to validation items now.
        real: Distance of training items in the samples' place.
        progress: Share of the training that is done, in (0, 1].
    """
    return real + max(distance - real, 0.0) * math.pow(progress, family_class.learning_exponent)


def can_tell(pilots: Sequence[Pilot]) -> bool:
    """Whether all went on for long enough to say which one is to go on."""
    return all(pilot.progress >= LEAST_PROGRESS for pilot in pilots)


def num_rounds(pilots: int) -> int:
    """Rounds of successive halving (arXiv 1502.07943) until one of so many pilots is left."""
    return max(1, math.ceil(math.log2(pilots)))


def num_kept(pilots: int) -> int:
    """Pilots that a round leaves."""
    return -(-pilots // 2)


def describe_trying(families: Sequence[str]) -> str:
    """A sentence on the families that a large enough budget would try first; empty where there is no choice."""
    if len(families) < 2:
        return ""
    return (
        f"with {LEAST_BUDGET / 60:g} min or more, {' and '.join(families)} are tried on your data first, "
        f"in {PILOT_SHARE:.0%} of the time; the more promising one is trained further"
    )


def describe_pilots(pilots: Sequence[Pilot]) -> str:
    """What was tried and why the first of them went on, a sentence or two; empty without pilots.

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
    expected = ", ".join(f"{p.family} {p.expected:.3g}" for p in pilots)
    return f"{tried} Expected at the end: {expected}. So {winner.family} was trained further."
