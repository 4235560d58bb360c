"""How long data may be read before its training begins, by a clock that the test moves."""

from __future__ import annotations

import logging
import time

import pytest

from anew.core import reading_time
from anew.core.reading_time import ReadingTime, closed_form_seconds, progress_lines


def test_reading_has_a_share_of_the_budget_however_long_starting_took() -> None:
    now = [100.0]
    reading = ReadingTime(180.0, 6.0, clock=lambda: now[0])
    reading.begin_division()
    assert reading.left_to_divide() == pytest.approx(21.0) and reading.elapsed == 0.0  # 15% without the 6 s
    now[0] += 25.0
    assert reading.left_to_divide() < 0.0 and not reading.is_over()
    now[0] += 2.0
    assert reading.is_over() and reading.elapsed == 27.0
    late = ReadingTime(180.0, 90.0, clock=lambda: now[0])
    assert late.is_over()
    now[0] += 20.0  # a sample was looked at
    late.begin_division()
    assert late.left_to_divide() == pytest.approx(18.0) and not late.is_over()
    unlimited = ReadingTime(clock=lambda: now[0])
    now[0] += 1e9
    assert unlimited.left_to_divide() > 0.0 and not unlimited.is_over()


def test_closed_forms_end_at_a_third_of_the_budget() -> None:
    assert closed_form_seconds(180.0, 40.0) == 20.0
    assert closed_form_seconds(180.0, 100.0) == pytest.approx(5.4)


def test_lines_of_progress_come_while_one_call_runs(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_time, "LINE_SECONDS", 0.02)
    reading = ReadingTime()
    with caplog.at_level(logging.INFO, "anew.reading"), progress_lines(lambda: reading.stage):
        time.sleep(0.1)
    assert caplog.messages and all(line.startswith("reading the data (0 s") for line in caplog.messages)
