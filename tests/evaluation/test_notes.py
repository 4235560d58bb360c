"""What is measured is named in passing; searches are counted where they may take minutes."""

from __future__ import annotations

import pytest

from anew.core.reporter import SilentReporter
from anew.evaluation.notes import Announcements


class Heard(SilentReporter):
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    def progress(self, task: str, count: int, total: int) -> None:
        self.said.append(f"{task} {count}/{total}")


@pytest.mark.parametrize(
    ("in_limited_time", "said"),
    [(False, ["  features", "  searching", "searching 3/5"]), (True, ["  features"])],
)
def test_what_is_said(in_limited_time: bool, said: list[str]) -> None:
    announcements, heard = Announcements(in_limited_time=in_limited_time), Heard()
    announcements.measuring("features")  # nobody hears it
    announcements.reporter = heard
    announcements.measuring("features")
    announcements.searching("searching", 0, 5)
    announcements.searching("searching", 3, 5)
    announcements.searching("searching", 0, 2)  # another one
    assert heard.said == said


def test_the_first_long_search_says_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the pace after the first items: before these, loops were compiled for 50 s."""
    clock = [0.0]
    monkeypatch.setattr("anew.evaluation.notes.time.monotonic", lambda: clock[0])
    announcements, heard = Announcements(in_limited_time=False), Heard()
    announcements.reporter = heard
    for total, first_seconds in ((90, 50.0), (9_000, 50.0), (9_000, 1.0)):
        for count, seconds in ((0, 0.0), (30, first_seconds), (60, 3.0), (90, 3.0)):
            clock[0] += seconds
            announcements.searching("searching", count, total)
    said = "  searching of 9,000 takes about 16 min; a smaller `n`, or a budget, takes less"
    assert [line for line in heard.said if "takes" in line] == [said]


def test_searches_of_the_same_items_are_shown_once_unless_they_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log had "comparing real items with each other: 1,198 of 1,198" and nine more such lines."""
    clock = [0.0]
    monkeypatch.setattr("anew.evaluation.notes.time.monotonic", lambda: clock[0])
    announcements, heard = Announcements(in_limited_time=False), Heard()
    announcements.reporter = heard
    for total, seconds in ((100, 1.0), (90, 1.0), (110, 1.0), (300, 1.0), (120, 90.0)):
        announcements.searching("searching", 0, total)
        clock[0] += seconds
        announcements.searching("searching", total, total)
    shown = [line for line in heard.said if line.startswith("searching ")]
    assert shown == ["searching 100/100", "searching 300/300", "searching 120/120"]
