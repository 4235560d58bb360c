"""How long the data of a command may be read before its training begins, and a line every ten seconds that says how far that is."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Shares of a budget, from the start of the command: up to the first, items are read to be divided; up to the second, clips are
# compared to choose a scale; up to the third, closed forms are fitted. A sound set at a load of 10 had no step otherwise
# (docs/log.md, 2026-11-30).
DIVISION_SHARE, SCALE_SHARE, CLOSED_FORM_SHARE = 0.15, 0.18, 1 / 3
# Least shares, whatever starting or an earlier stage took: what is divided by few items, or fitted to few, is worth little; chosen
MIN_DIVISION_SHARE, MIN_STAGE_SHARE = 0.1, 0.03
BUDGET_LIMIT = "in the time that the budget leaves for it at this load; a longer budget uses more"
LINE_SECONDS = 10.0  # between two lines of progress

_log = logging.getLogger("anew.reading")  # the program that uses Anew decides where it is shown


class ReadingTime:
    """The time that a budget leaves for reading, by the clock.

    Attributes:
        stage: What is being done, as a clause; lines of progress repeat it.
        limit: See `__init__`.
    """

    def __init__(
        self,
        budget: float | None = None,
        elapsed: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        limit: str = BUDGET_LIMIT,
    ) -> None:
        """
        Args:
            budget: Seconds of the command; None for no limit.
            elapsed: Seconds of it that are over.
            clock: Seconds from any beginning.
            limit: What the time is, and how to get more of it, for the note on items that are left out.
        """
        self.stage = "reading the data"
        self.limit = limit
        self._clock = clock
        self._begin = clock()
        self._budget = math.inf if budget is None else budget
        self._division_ends = self._begin + DIVISION_SHARE * self._budget - elapsed
        self._scale_ends = self._begin + SCALE_SHARE * self._budget - elapsed

    def begin_division(self) -> None:
        """Give the items that are to be divided their least share, from now on."""
        self._division_ends = max(self._division_ends, self._clock() + MIN_DIVISION_SHARE * self._budget)
        self._scale_ends = max(self._scale_ends, self._division_ends + MIN_STAGE_SHARE * self._budget)

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget."""
        return self._budget < math.inf

    @property
    def elapsed(self) -> float:
        """Seconds since reading began."""
        return self._clock() - self._begin

    def left_to_divide(self) -> float:
        """Seconds left to read items before they are divided; below 0 where it took longer."""
        return self._division_ends - self._clock()

    def is_over(self) -> bool:
        """Whether the data should have been read, and its scale chosen."""
        return self._clock() >= self._scale_ends


def closed_form_seconds(budget: float, elapsed: float) -> float:
    """The seconds from now on in which closed forms may read data. elapsed: seconds of the budget that are over."""
    return max(CLOSED_FORM_SHARE * budget - elapsed, MIN_STAGE_SHARE * budget)


@contextmanager
def progress_lines(describe: Callable[[], str]) -> Iterator[None]:
    """Log lines while the body runs, from a thread, since a single call may take longer than LINE_SECONDS.

    describe: What is being done at that time, as a clause."""
    is_done, begin = threading.Event(), time.monotonic()

    def repeat() -> None:
        while not is_done.wait(LINE_SECONDS):
            _log.info("%s (%.0f s so far)", describe(), time.monotonic() - begin)

    thread = threading.Thread(target=repeat, name="anew-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()
