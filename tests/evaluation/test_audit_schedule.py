"""How much an audit compares in limited time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from anew.evaluation.audit_schedule import FEW_SAMPLES, FIRST_AUDIT, AuditSchedule, AuditSize, comparisons

QUERY_COST = 600


def audits(seconds: float, fixed: float, pace: float, n_samples: int = 1000, n_real: int = 4000) -> list[AuditSize]:
    """Sizes of the audits of a machine, until there is no time for another one."""
    schedule, spent, sizes = AuditSchedule(n_samples, QUERY_COST), 0.0, list[AuditSize]()
    size: AuditSize | None = schedule.size
    while size is not None:
        sizes.append(size)
        took = fixed + pace * comparisons(*size, QUERY_COST)
        spent += took
        schedule.add(size, took)
        size = schedule.next(seconds - spent, n_real)
    assert spent <= seconds or len(sizes) == 1
    return sizes


@pytest.mark.parametrize("fixed", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("seconds", [2.0, 5.0, 20.0])
def test_no_audit_takes_more_than_the_time_left(seconds: float, fixed: float) -> None:
    for pace in (1e-7, 5e-7, 2.5e-6):
        sizes = audits(seconds, fixed, pace)
        assert sizes[0] == FIRST_AUDIT
        seen = [size.samples * size.real for size in sizes]  # what can be found grows with it
        assert all(later > earlier for earlier, later in pairwise(seen))


def test_samples_are_few_until_all_real_items_are_compared() -> None:
    last = audits(4.0, 0.1, 5e-7)[-1]
    assert last.samples == FEW_SAMPLES and 1000 < last.real < 4000
    assert audits(100.0, 0.1, 5e-7)[-1] == AuditSize(1000, 4000)
    assert audits(100.0, 0.1, 5e-7, n_samples=40)[-1] == AuditSize(40, 4000)


def test_two_audits_of_one_size_say_nothing_of_what_is_fixed() -> None:
    schedule = AuditSchedule(64, QUERY_COST)
    for _ in range(2):  # memory held no more the second time
        schedule.add(FIRST_AUDIT, 0.3)
    assert schedule.next(5.0, FIRST_AUDIT.real) is None
