"""The time that an evaluation has."""

from __future__ import annotations

import time

import pytest

from anew.core.machine.threads import SlowdownMeter
from anew.errors import BudgetError
from anew.workflows.timing.sample_counts import SampleTargets
from anew.workflows.timing.time_limit import (
    TEXT_REPORT,
    TimeLimit,
    budget_was_over,
    page_seconds,
    seconds_before_report,
    writing_seconds,
)


def test_on_busy_cores_writing_begins_earlier_but_something_is_measured() -> None:
    assert (writing_seconds(15.0), page_seconds(15.0, 1.0)) == (1.2, 0.6)
    assert (writing_seconds(15.0, 4.0), page_seconds(15.0, 4.0)) == pytest.approx((4.8, 2.4))
    for seconds in (1.0, 4.0, 15.0, 60.0):
        assert page_seconds(seconds, 30.0) <= writing_seconds(seconds, 30.0) <= seconds / 2 or seconds < 1.3


def test_measuring_stops_before_the_page_and_the_page_before_the_end() -> None:
    for slowdown in (1.0, 3.0, 30.0):
        limit = TimeLimit(100.0, 20.0, slowdown)
        assert 100.0 + 10.0 <= limit.stop_at < limit.page_at < 120.0
        assert 0 < limit.usable <= 20.0


def test_a_report_is_short_by_the_time_that_idle_cores_would_need() -> None:
    limits = [
        TimeLimit(100.0, seconds, slowdown)
        for seconds, slowdown in ((8.0, 1.0), (15.0, 1.0), (15.0, 4.0), (100.0, 6.0))
    ]
    assert [limit.is_short for limit in limits] == [True, False, True, False]
    assert SampleTargets(300, 1_000).in_short_report(is_busy=False) == SampleTargets(300, 300, most=300)
    assert SampleTargets(5, 1_000).with_figures_first() == SampleTargets(5, 1_000, most=20)


def test_a_budget_that_is_over_is_refused_and_another_is_kept() -> None:
    with pytest.raises(BudgetError, match=r"the budget was over before the run was loaded.*; give at least \d+ s more"):
        TimeLimit.until(time.monotonic() + 0.5, "the run was loaded", SlowdownMeter())
    limit = TimeLimit.until(time.monotonic() + 30.0, "the run was loaded", SlowdownMeter())
    assert limit.ends_at is not None and limit.begin + limit.seconds < limit.ends_at
    assert 25.0 < limit.seconds < 30.0


def test_more_time_is_asked_for_by_the_load_and_the_kind_of_report() -> None:
    now = time.monotonic()
    assert str(budget_was_over(now + 1.0, "the data was read", 1.0, TEXT_REPORT)) == (
        "the budget was over before the data was read; give at least 4 s more"
    )
    busy = str(budget_was_over(now - 5.0, "the data was read", 16.0, TEXT_REPORT))
    assert "16 times as long" in busy and busy.endswith("give at least 70 s more")
    assert seconds_before_report(now + 30.0) == pytest.approx(28.7, abs=0.1)
