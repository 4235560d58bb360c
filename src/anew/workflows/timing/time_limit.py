"""The time that an evaluation has, and when its parts have to be over."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Self

from anew.core.machine.threads import MIN_SLOWDOWN, SlowdownMeter, stretched
from anew.errors import BudgetError

# Share of the time, and seconds at most, for the nearest items, drawing and writing: measured 0.4 s for images, 0.9 for clips.
WRITING_SHARE, MAX_WRITING = 0.25, 1.2
PAGE_SECONDS = 0.6  # part of the writing time for drawing and writing alone; chosen
LEAVING_SECONDS = 0.3  # time that the interpreter takes to end; chosen
SHORT_REPORT = 10.0  # seconds on idle cores of a report that says something: chosen
# Seconds on idle cores of a report that measures more samples than answers need, of whatever kind: those of 1,000 molecules were not
# measured within 10 s, so two answers of three stayed open.
LONG_REPORT = 20.0
# Seconds on idle cores of a report of texts that answers all three questions: measured 2.9 for 400 lines of a log, 4.1 for 1,000
# names. In as many, other kinds have their first figures.
TEXT_REPORT = 4.0
MIN_REPORT_SECONDS = 1.0  # time of a report for which none is left: its page is written at least


@dataclass(frozen=True)
class TimeLimit:
    """The time of an evaluation.

    Attributes:
        begin: `time.monotonic()` at its beginning.
        seconds: How long it may take.
        slowdown: How many times longer than on idle cores work takes. Work that cannot be stopped begins earlier by this factor.
        ends_at: `time.monotonic()` at which the command must be over. Once the report is written, what it lacks for want of time
            is measured until then, and it is written again; None for no such supplement.
    """

    begin: float
    seconds: float
    slowdown: float = 1.0
    ends_at: float | None = None

    @classmethod
    def until(cls, ends_at: float, action: str, meter: SlowdownMeter, report_seconds: float = SHORT_REPORT) -> Self:
        """The time from now to the end of a command.

        Args:
            ends_at: `time.monotonic()` at which the command must be over.
            action: The step that has just ended, for the message: "the run was loaded".
            meter: Begun with that.
            report_seconds: Seconds on idle cores of a report that says something of the data.

        Raises:
            BudgetError: Too little is left to write a report.
        """
        if seconds_before_report(ends_at) < 0.0:
            raise budget_was_over(ends_at, action, meter.read_at_once(), report_seconds)
        slowdown = meter.read()
        return cls.of_rest(ends_at - time.monotonic(), slowdown, minimum=MIN_REPORT_SECONDS)

    @classmethod
    def of_rest(cls, left: float, slowdown: float, *, reserve: float = 0.0, minimum: float) -> Self:
        """The time from now to the end of a command.

        Args:
            left: Seconds until the command must be over.
            slowdown: See the attribute.
            reserve: Seconds of them that the evaluation leaves for what follows it.
            minimum: Seconds that the evaluation has even if fewer are left.
        """
        begin = time.monotonic()
        return cls(begin, max(minimum, left - reserve - LEAVING_SECONDS), slowdown, begin + left)

    @property
    def is_short(self) -> bool:
        """Whether the answers need all of the time, so that it is not to be spent on more samples than they need."""
        return self.seconds < SHORT_REPORT * self.slowdown

    @property
    def stop_at(self) -> float:
        """`time.monotonic()` at which measuring is stopped, wherever it is."""
        return self.begin + self.seconds - writing_seconds(self.seconds, self.slowdown)

    @property
    def page_at(self) -> float:
        """`time.monotonic()` at which the search for the items that the page shows is stopped."""
        return self.begin + self.seconds - page_seconds(self.seconds, self.slowdown)

    @property
    def usable(self) -> float:
        """Seconds of which sampling and measuring have shares. The shares were chosen on idle cores, with their time for writing."""
        return self.seconds - writing_seconds(self.seconds, self.slowdown) + writing_seconds(self.seconds)

    def remaining(self) -> float:
        """Seconds of `usable` that are left for measuring, 0.5 at least."""
        return max(0.5, self.usable - (time.monotonic() - self.begin))


def seconds_before_report(ends_at: float) -> float:
    """The seconds from now on after which too little is left of a command to write a report.

    ends_at: `time.monotonic()` at which the command must be over.
    """
    return ends_at - LEAVING_SECONDS - MIN_REPORT_SECONDS - time.monotonic()


def budget_was_over(ends_at: float, action: str, slowdown: float, report_seconds: float) -> BudgetError:
    """The error for a command that has no time left for a report. It says how much more time would do.

    Args:
        ends_at: `time.monotonic()` at which the command must be over.
        action: The step that was due by then: "the data was read".
        slowdown: How many times longer than on idle cores work takes.
        report_seconds: Seconds on idle cores of a report that says something.
    """
    late = max(0.0, time.monotonic() - ends_at)
    load = (
        f" (other programs use the cores: work takes {slowdown:.0f} times as long)" if slowdown >= MIN_SLOWDOWN else ""
    )
    more = math.ceil(late + report_seconds * slowdown)
    return BudgetError(f"the budget was over before {action}{load}; give at least {more} s more")


def writing_seconds(seconds: float, slowdown: float = 1.0) -> float:
    """The seconds of an evaluation that are kept for the nearest items, drawing and writing.

    Args:
        seconds: Seconds of the whole evaluation.
        slowdown: Factor by which busy cores make it longer; the result is at most half of the evaluation.
    """
    return stretched(min(MAX_WRITING, WRITING_SHARE * seconds), slowdown, seconds / 2)


def page_seconds(seconds: float, slowdown: float) -> float:
    """The seconds for drawing and writing alone, a part of `writing_seconds`; at most a quarter of the evaluation."""
    return stretched(PAGE_SECONDS, slowdown, seconds / 4)
