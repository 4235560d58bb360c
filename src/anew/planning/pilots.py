"""Rules for pilots, the beginnings of trainings among which one is chosen: how long they take, and which one wins.

`workflows/pilots.py` trains and measures them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from anew.families.base import Family
from anew.runs.record import Pilot

# Share of the budget, at most, for all pilots together (planning, training, judging). The winner's training continues; what
# the others cost is lost.
PILOT_SHARE = 0.12
# Seconds for all pilots, at most. Longer pilots would not make the choice surer: in a training of hours, a few percent of it
# suffice; chosen.
MAX_SECONDS = 900.0
# Smallest budget with pilots, in seconds: 12% of 180 s leaves each of two pilots 6 s of steps, 12% of 60 s hardly one
# (docs/log.md, 2026-11-26).
MIN_BUDGET = 180.0
# Share of a training before pilots can be compared: at 3%, distances named the better family on 6 of 6 datasets, at 1.6%
# and 0.9% nothing could be told (docs/log.md, 2026-11-26).
MIN_PROGRESS = 0.02
# Seconds on an idle core that planning, a closed form, a first step and the judging of a pilot take at least: measured 3.5 s
# (digits) and 6 s (emoji) before the judging of the first of two.
OVERHEAD_SECONDS = 4.0
# Least validation items, and training items, by which pilots are judged (docs/log.md, 2026-11-26).
MIN_ITEMS = 50
# Standard errors by which the best pilot must be ahead of the next to be chosen for it: 95% of differences between equal
# ones are smaller.
MIN_Z = 2.0
# What decides between pilots: their Fréchet distances, a classifier, or neither. The distance comes first: how it falls in a training was
# measured, while a classifier shows the quicker learner behind for longer (docs/log.md, 2026-11-26).
Criterion = Literal["distance", "classifier", "none"]


def pilot_seconds(budget: float) -> float:
    """The seconds of a budget for all pilots together; 0 if it is too small for pilots."""
    return min(MAX_SECONDS, PILOT_SHARE * budget) if budget >= MIN_BUDGET else 0.0


def can_judge(parts: Mapping[str, int]) -> bool:
    """Whether a division of the data, the number of items of each part, has enough of them to compare pilots."""
    return min(parts.get("validation", 0), parts.get("train", 0)) >= MIN_ITEMS


def can_tell(seconds: float, count: int, training_seconds: float, slowdown: float) -> bool:
    """Whether pilots are foreseeably long enough to be compared.

    Args:
        seconds: Seconds for all of them.
        count: How many they are.
        training_seconds: Seconds of the whole training of each.
        slowdown: How many times longer than on idle cores work takes.
    """
    return is_long_enough(seconds / count - OVERHEAD_SECONDS * slowdown, training_seconds)


def is_long_enough(seconds: float, training_seconds: float) -> bool:
    """Whether a pilot of this length can be compared with others."""
    return seconds >= MIN_PROGRESS * training_seconds


def describe_too_short(seconds: float, families: Sequence[str]) -> str:
    """A clause that says why pilots are not begun."""
    return f"{seconds:.0f} s are too short to tell {' and '.join(families)} apart at the present load"


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


def were_long_enough(pilots: Sequence[Pilot]) -> bool:
    """Whether all pilots were trained for long enough to choose one by its samples."""
    return all(pilot.progress >= MIN_PROGRESS for pilot in pilots)


def criterion(pilots: Sequence[Pilot]) -> Criterion:
    """The difference between the best of at least two pilots and the others: with few samples, it may be chance."""
    if not were_long_enough(pilots):
        return "none"
    if _is_clear(pilots, lambda pilot: (pilot.expected, pilot.expected_error)):
        return "distance"
    return "classifier" if _is_clear(pilots, lambda pilot: (pilot.two_sample_auc, pilot.auc_error)) else "none"


def _is_clear(pilots: Sequence[Pilot], measured: Callable[[Pilot], tuple[float, float]]) -> bool:
    """Whether the smallest of measured values is surely smaller than the next. measured: (value, standard error)."""
    (least, error), (next_least, next_error) = sorted(map(measured, pilots))[:2]
    return next_least - least > MIN_Z * math.hypot(error, next_error)


def ranked(pilots: Sequence[Pilot]) -> list[Pilot]:
    """Pilots, the most promising first; where nothing tells them apart, in their own order."""
    decisive = criterion(pilots)
    if decisive == "none":
        return list(pilots)
    return sorted(pilots, key=lambda pilot: pilot.expected if decisive == "distance" else pilot.two_sample_auc)


def num_rounds(pilots: int) -> int:
    """The rounds of successive halving (arXiv 1502.07943) until one pilot is left."""
    return max(1, math.ceil(math.log2(pilots)))


def num_kept(pilots: int) -> int:
    """How many pilots a round keeps."""
    return -(-pilots // 2)


def describe_trying(families: Sequence[str]) -> str:
    """A sentence on the families that a large enough budget would try first; "" if there is no choice."""
    if len(families) < 2:
        return ""
    return (
        f"With {MIN_BUDGET / 60:g} min or more, {' and '.join(families)} are tried on your data first, "
        f"in {PILOT_SHARE:.0%} of the time, if other programs leave the cores free. The more promising one is trained further."
    )


def describe_pilots(pilots: Sequence[Pilot]) -> str:
    """Sentences that say what was tried and why the first pilot continued; "" without pilots. pilots: the winner first."""
    if not pilots:
        return ""
    winner = pilots[0]
    continued = f"so {winner.family} was trained further"
    by_default = f"{continued}, which most often comes closest."
    if not were_long_enough(pilots):
        trained = ", ".join(f"{p.family} {p.seconds:.0f} s" for p in pilots)
        return f"Tried: {trained}. That was too short to tell them apart, {by_default}"
    distances = ", ".join(f"{p.family} {p.distance:.3g} after {p.seconds:.0f} s" for p in pilots)
    sentence = f"Tried: {distances} (Fréchet distance of {winner.items} samples to validation items; real items {winner.real:.3g})."
    decisive = criterion(pilots)
    if decisive == "distance":
        return f"{sentence} As each learns at its own pace, {winner.family} is expected to end closest; {continued}."
    shares = " and ".join(f"{p.two_sample_auc:.0%} ({p.family})" for p in pilots)
    compared = (
        f"{sentence} These are too few samples to choose by the distance. "
        f"A classifier picks the sample out of a pair with a real item in {shares} of cases"
    )
    if decisive == "classifier":
        return f"{compared}; {continued}."
    return f"{compared}, which is too close to tell them apart, {by_default}"
