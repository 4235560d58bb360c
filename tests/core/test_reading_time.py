"""How long data may be read before its training begins, by a clock that the test moves."""

from __future__ import annotations

import pytest

from anew.core.reading_time import ReadingTime, TooSlowToRead, closed_form_seconds


def test_reading_has_a_share_of_the_budget_however_long_starting_took() -> None:
    now = [100.0]
    reading = ReadingTime(180.0, 6.0, clock=lambda: now[0])
    reading.begin_division()
    assert reading.seconds_to_division() == pytest.approx(21.0) and reading.elapsed == 0.0  # 15% without the 6 s
    now[0] += 25.0
    assert reading.seconds_to_division() < 0.0 and not reading.is_over()
    now[0] += 2.0
    assert reading.is_over() and reading.elapsed == 27.0
    late = ReadingTime(180.0, 90.0, clock=lambda: now[0])
    assert late.is_over()
    now[0] += 20.0  # a sample was looked at
    late.begin_division()
    assert late.seconds_to_division() == pytest.approx(18.0) and not late.is_over()
    unlimited = ReadingTime(clock=lambda: now[0])
    now[0] += 1e9
    assert unlimited.seconds_to_division() > 0.0 and not unlimited.is_over()


def test_closed_forms_end_at_a_third_of_the_budget() -> None:
    assert closed_form_seconds(180.0, 40.0) == 20.0
    assert closed_form_seconds(180.0, 100.0) == pytest.approx(5.4)


def test_the_fewest_items_have_more_time_and_are_refused_early_where_none_is_left() -> None:
    now = [0.0]
    reading = ReadingTime(100.0, 5.0, clock=lambda: now[0], longest=70.0)
    reading.begin_division()
    assert reading.seconds_to_division() == pytest.approx(10.0) and reading.seconds_for_fewest() == pytest.approx(20.0)
    now[0] += 10.0
    reading.check_fewest(32, 59.0)
    with pytest.raises(TooSlowToRead) as refusal:
        reading.check_fewest(32, 61.0)
    assert refusal.value.num_items == 32 and refusal.value.seconds == 61.0
    ReadingTime(100.0, clock=lambda: now[0]).check_fewest(32, 1e9)
