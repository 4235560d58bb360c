"""What is measured is named in passing; searches are counted where they may take minutes."""

from __future__ import annotations

import pytest

from anew.evaluation.notes import Announcements
from reporters import Lines


@pytest.mark.parametrize(
    ("in_limited_time", "messages", "progress"),
    [(False, ["  features", "  searching"], [("searching", 3, 5)]), (True, ["  features"], [])],
)
def test_announcements(in_limited_time: bool, messages: list[str], progress: list[tuple[str, int, int]]) -> None:
    announcements, reporter = Announcements(in_limited_time=in_limited_time), Lines()
    announcements.measuring("features")  # before there is a reporter
    announcements.reporter = reporter
    announcements.measuring("features")
    announcements.searching("searching", 0, 5)
    announcements.searching("searching", 3, 5)
    announcements.searching("searching", 0, 2)  # another one
    assert (reporter.lines, reporter.parts) == (messages, progress)


def test_the_first_long_search_says_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the pace after the first items: before these, loops were compiled for 50 s."""
    clock = [0.0]
    monkeypatch.setattr("anew.evaluation.notes.time.monotonic", lambda: clock[0])
    announcements, reporter = Announcements(in_limited_time=False), Lines()
    announcements.reporter = reporter
    for total, first_seconds in ((90, 50.0), (9_000, 50.0), (9_000, 1.0)):
        for count, seconds in ((0, 0.0), (30, first_seconds), (60, 3.0), (90, 3.0)):
            clock[0] += seconds
            announcements.searching("searching", count, total)
    expected = "  searching of 9,000 takes about 16 min; a smaller `n`, or a budget, takes less"
    assert [line for line in reporter.lines if "takes" in line] == [expected]


def test_searches_of_the_same_items_are_shown_once_unless_they_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log had "comparing real items with each other: 1,198 of 1,198" and nine more such lines."""
    clock = [0.0]
    monkeypatch.setattr("anew.evaluation.notes.time.monotonic", lambda: clock[0])
    announcements, reporter = Announcements(in_limited_time=False), Lines()
    announcements.reporter = reporter
    for total, seconds in ((100, 1.0), (90, 1.0), (110, 1.0), (300, 1.0), (120, 90.0)):
        announcements.searching("searching", 0, total)
        clock[0] += seconds
        announcements.searching("searching", total, total)
    assert reporter.parts == [("searching", total, total) for total in (100, 300, 120)]
