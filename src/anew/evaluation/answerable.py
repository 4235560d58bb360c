"""Which answers a report will be able to give, before there are samples: by the numbers of items, and by the time.

It is a forecast, so it promises nothing: a yes also needs samples that are like the data, and new.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from anew.evaluation.audit_schedule import LEAST_EVIDENCE, AuditSchedule, AuditSize, RealItems, evidence
from anew.evaluation.memorization.thresholds import RATES
from anew.evaluation.reporting.grading import ENOUGH, LEAST_FOR_GOOD

Prospect = Literal["likely", "perhaps", "unlikely"]  # that a question can be answered

# Times as much as LEAST_EVIDENCE, from which on an audit is likely to prove them: lightly changed copies are not all the
# nearest. Those of emoji were caught at 13.5 nats, and not at 12.4 and 10.4 (docs/log.md, 2026-11-27).
AMPLE = 2.0


@dataclass(frozen=True, slots=True)
class AuditCosts:
    """What an audit for copies compares and takes here.

    Attributes:
        available: Real items that there are.
        most_real: Real items that memory holds.
        query_cost: See `AuditSchedule`.
        trials: Sizes of audits of real items, FIRST_AUDIT first, and the seconds that they took.
        is_whole: Whether the last of them came to its end; if not, it would have taken longer.
        pieces: Passages that a sample is cut into; 1 where it is compared whole.
    """

    available: RealItems
    most_real: int
    query_cost: int
    trials: tuple[tuple[AuditSize, float], ...]
    is_whole: bool = True
    pieces: float = 1.0


def novelty_prospect(costs: AuditCosts, n_samples: int, seconds: float = math.inf) -> Prospect:
    """Whether an audit of these samples can tell if there are copies, within the seconds."""
    nats = RATES[-1] * costs.pieces * _evidence(costs, n_samples, seconds)
    is_known = costs.is_whole or math.isinf(seconds)
    if nats >= AMPLE * LEAST_EVIDENCE and is_known:
        return "likely"
    return "perhaps" if nats >= LEAST_EVIDENCE else "unlikely"


def closeness_prospect(compared: int) -> Prospect:
    """Whether closeness and variety can be told by so many samples and as many held-out items."""
    return "likely" if compared >= ENOUGH else "perhaps" if compared >= LEAST_FOR_GOOD else "unlikely"


def held_out_needed(costs: AuditCosts, n_samples: int) -> int:
    """Held-out items, of all that there are, with which an audit of these samples could prove anything."""
    share = 1.0 - math.exp(-LEAST_EVIDENCE / max(RATES[-1] * costs.pieces * n_samples, 1e-9))
    return math.ceil(share * costs.available.total)


def _evidence(costs: AuditCosts, n_samples: int, seconds: float) -> float:
    """Evidence of the last audit for which there is time, in nats: see `audit_schedule.evidence`."""
    if not n_samples or not costs.available.held_out:
        return 0.0
    if math.isinf(seconds):
        return evidence(AuditSize(n_samples, costs.most_real), costs.available)
    schedule = AuditSchedule(n_samples, costs.query_cost)
    for trial_size, trial_seconds in costs.trials:
        schedule.add(trial_size, trial_seconds)
    left, reached = seconds - costs.trials[0][1], 0.0
    while left > 0.0:
        reached = evidence(schedule.size, costs.available)
        size = schedule.next(left, costs.available, costs.most_real)
        if size is None:
            break
        spent = schedule.seconds(size)
        left -= spent
        schedule.add(size, spent)
    return reached
