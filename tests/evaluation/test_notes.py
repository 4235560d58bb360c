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
    """By the pace after the first items: before these, loops were compiled for 9 s."""
    seconds = iter([100.0, 101.0, 200.0, 209.0, 300.0, 309.0])
    monkeypatch.setattr("anew.evaluation.notes.time.monotonic", lambda: next(seconds))
    announcements, heard = Announcements(in_limited_time=False), Heard()
    announcements.reporter = heard
    for count, total in ((0, 40), (20, 40), (40, 40), *2 * ((0, 9_000), (30, 9_000), (60, 9_000))):
        announcements.searching("searching", count, total)
    said = "  searching of 9,000 takes about 45 min; a smaller `n`, or a budget, takes less"
    assert [line for line in heard.said if "takes" in line] == [said]
