"""Forecast, before there are samples, of the answers that a report will be able to give: by numbers of items, and by time.

A forecast promises nothing: a yes also needs samples that are like the data, and new.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from anew.evaluation.audit_schedule import MIN_EVIDENCE, AuditSchedule, AuditSize, evidence
from anew.evaluation.inputs import RealItems
from anew.evaluation.memorization.thresholds import PLANTED_RATES
from anew.evaluation.reporting.grading import MIN_FOR_GOOD
from anew.evaluation.score import USUALLY_ENOUGH_ITEMS

Prospect = Literal["likely", "perhaps", "unlikely"]  # whether a question can be answered

# With this many times MIN_EVIDENCE, an audit is likely to prove copies; with less it may miss them, as some lightly changed copies
# rank behind other samples. Those of emoji were caught at 13.5 nats, and not at 12.4 and 10.4 (docs/log.md, 2026-11-27).
LIKELY_EVIDENCE_FACTOR = 2.0
# A comparison of an audit takes this many times as long as one of a single trial, of which more is fixed. Measured with 128 to
# 600 samples: .6 to .9 for images, .6 to .8 for sounds, clips and proteins, .1 to .4 for names and prose (docs/log.md, 2026-11-29).
LATER_COST_FACTOR = 0.75


@dataclass(frozen=True, slots=True)
class AuditCosts:
    """Items of an audit for copies, and its costs on this machine.

    Attributes:
        available: Numbers of real items in the data.
        max_real: Number of real items that memory holds.
        query_cost: See `AuditSchedule`.
        trials: Sizes of trial audits, FIRST_AUDIT first, and the seconds that they took.
        has_ended: Whether the last trial ended within its time; if not, it would have taken longer.
        pieces: Passages that a sample is cut into; 1 if it is compared whole.
    """

    available: RealItems
    max_real: int
    query_cost: int
    trials: tuple[tuple[AuditSize, float], ...]
    has_ended: bool = True
    pieces: float = 1.0


def novelty_prospect(costs: AuditCosts, n_samples: int, seconds: float = math.inf) -> Prospect:
    """Whether an audit of `n_samples` samples can tell, within the seconds, if there are copies."""
    nats = min(PLANTED_RATES[-1] * costs.pieces * _evidence(costs, n_samples, seconds), _most_evidence(costs.available))
    is_known = costs.has_ended or math.isinf(seconds)
    if nats >= LIKELY_EVIDENCE_FACTOR * MIN_EVIDENCE and is_known:
        return "likely"
    return "perhaps" if nats >= MIN_EVIDENCE else "unlikely"


def has_too_few_items(available: RealItems) -> bool:
    """Whether no number of samples, and no time, suffices to notice copies."""
    return _most_evidence(available) < MIN_EVIDENCE


def _most_evidence(available: RealItems) -> float:
    """The nats of copies of all training items: several copies of one item say no more than one copy of it."""
    return available.train * math.log(available.total / available.train) if available.train else 0.0


def closeness_prospect(compared: int) -> Prospect:
    """Whether closeness and variety can be told by `compared` samples and as many held-out items."""
    if compared >= USUALLY_ENOUGH_ITEMS:
        return "likely"
    return "perhaps" if compared >= MIN_FOR_GOOD else "unlikely"


def held_out_needed(costs: AuditCosts, n_samples: int) -> int:
    """How many of all real items must be held out so that an audit of this many samples could prove anything."""
    share = 1.0 - math.exp(-MIN_EVIDENCE / max(PLANTED_RATES[-1] * costs.pieces * n_samples, 1e-9))
    return math.ceil(share * costs.available.total)


def _evidence(costs: AuditCosts, n_samples: int, seconds: float) -> float:
    """The evidence in nats of the last audit for which there is time; see `audit_schedule.evidence`."""
    if not n_samples or not costs.available.held_out:
        return 0.0
    if math.isinf(seconds):
        return evidence(AuditSize(n_samples, costs.max_real), costs.available)
    schedule = AuditSchedule(n_samples, costs.query_cost)
    ratio = LATER_COST_FACTOR if len(costs.trials) == 1 else 1.0  # two trials tell what is fixed
    for trial_size, trial_seconds in costs.trials:
        schedule.add(trial_size, ratio * trial_seconds)
    remaining, nats = seconds - costs.trials[0][1], 0.0
    while remaining > 0.0:
        nats = evidence(schedule.size, costs.available)
        size = schedule.next(remaining, costs.available, costs.max_real)
        if size is None:
            break
        spent = schedule.seconds(size)
        remaining -= spent
        schedule.add(size, spent)
    return nats
