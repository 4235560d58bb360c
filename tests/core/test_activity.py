"""Lines that say what goes on, while nothing else is said."""

from __future__ import annotations

import logging
import time

import pytest

from anew.core import activity
from anew.core.activity import CurrentWork, note_said, progress_lines, shown


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "LINE_SECONDS", 0.02)


def test_lines_come_while_one_call_runs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "anew.reading"), progress_lines(lambda: "reading the data"):
        time.sleep(0.1)
    assert caplog.messages and all(line == "reading the data" for line in caplog.messages)


def test_a_line_says_how_long_an_activity_takes_from_a_second_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    with caplog.at_level(logging.INFO, "anew.reading"), progress_lines(lambda: "reading the data"):
        clock[0] = time.monotonic() + 12.0
        monkeypatch.setattr("anew.core.activity.time.monotonic", lambda: clock[0])
        time.sleep(0.1)
    monkeypatch.undo()
    assert "reading the data (12 s so far)" in caplog.messages


def test_the_innermost_activity_is_named_and_its_time_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    stage = CurrentWork("starting")
    with caplog.at_level(logging.INFO, "anew.reading"), progress_lines(stage):
        with progress_lines(lambda: "reading the data"):
            time.sleep(0.1)
        inner = list(caplog.messages)
        stage.begin("measuring")
        time.sleep(0.1)
    assert inner and all(line.startswith("reading the data") for line in inner)
    outer = caplog.messages[len(inner) :]
    assert outer and all(line == "measuring" for line in outer)


def test_nothing_is_logged_while_something_else_is_said_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "anew.reading"), progress_lines(lambda: "training"):
        with shown():
            time.sleep(0.1)
        for _ in range(20):
            note_said()
            time.sleep(0.004)
    assert not caplog.messages


def test_a_long_command_has_lines_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    with progress_lines(lambda: "training"):
        assert activity.line_seconds() == 0.02
        monkeypatch.setattr(activity, "FREQUENT_UNTIL", -1.0)
        assert activity.line_seconds() == activity.LATE_LINE_SECONDS
