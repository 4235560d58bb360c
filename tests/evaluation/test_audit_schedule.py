"""How much an audit compares in limited time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from anew.evaluation.audit_schedule import (
    FIRST_AUDIT,
    AuditSchedule,
    AuditSize,
    RealItems,
    comparisons,
    evidence,
)
from anew.evaluation.inputs import AuditPool

QUERY_COST = 600
THERE_ARE = RealItems(train=3400, held_out=600)


def audits(
    seconds: float, fixed: float, pace: float, n_samples: int = 1000, there_are: RealItems = THERE_ARE
) -> list[AuditSize]:
    """Sizes of the audits of a machine, until there is no time for another one."""
    schedule, spent, sizes = AuditSchedule(n_samples, QUERY_COST), 0.0, list[AuditSize]()
    size: AuditSize | None = schedule.size
    while size is not None:
        sizes.append(size)
        took = fixed + pace * comparisons(*size, QUERY_COST)
        spent += took
        schedule.add(size, took)
        size = schedule.next(seconds - spent, there_are, there_are.total)
    assert spent <= seconds or len(sizes) == 1
    return sizes


@pytest.mark.parametrize("fixed", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("seconds", [2.0, 5.0, 20.0])
def test_no_audit_takes_more_than_the_time_left(seconds: float, fixed: float) -> None:
    for pace in (1e-7, 5e-7, 2.5e-6):
        sizes = audits(seconds, fixed, pace)
        assert sizes[0] == FIRST_AUDIT
        seen = [evidence(size, THERE_ARE) for size in sizes]
        assert all(later > earlier for earlier, later in pairwise(seen))


def test_samples_and_real_items_are_those_of_most_evidence() -> None:
    last = audits(4.0, 0.1, 5e-7)[-1]
    assert 300 < last.samples <= 1000 and 600 < last.real < 4000
    assert audits(100.0, 0.1, 5e-7)[-1] == AuditSize(1000, 4000)
    assert audits(100.0, 0.1, 5e-7, n_samples=40)[-1] == AuditSize(40, 4000)


def test_evidence_is_that_of_the_items_compared() -> None:
    items = list(range(4000))
    pool = AuditPool(items[:3400], items[3400:], None, 3400)
    for n in (128, 1000, 2000, 4000):
        head = pool.head(n)
        assert THERE_ARE.part(n) == RealItems(len(head.train), len(head.held_out))
    assert evidence(AuditSize(1000, 1200), THERE_ARE) == pytest.approx(1000 * 600 / 3400 * 0.6931, rel=1e-3)
    assert evidence(AuditSize(1000, 700), RealItems(1400, 0)) == pytest.approx(500)
    assert evidence(AuditSize(1000, 0), THERE_ARE) == 0.0


def test_two_audits_of_one_size_say_nothing_of_what_is_fixed() -> None:
    schedule = AuditSchedule(64, QUERY_COST)
    for _ in range(2):  # memory held no more the second time
        schedule.add(FIRST_AUDIT, 0.3)
    assert schedule.next(5.0, RealItems(64, 64), FIRST_AUDIT.real) is None
