"""How long the data of a command may be read before its training begins."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

# Shares of a budget, from the start of the command: up to the first, items are read to be divided; up to the second, clips are
# compared to choose a scale; up to the third, closed forms are fitted. A sound set at a load of 10 had no step otherwise
# (docs/log.md, 2026-11-30).
DIVISION_SHARE, SCALE_SHARE, CLOSED_FORM_SHARE = 0.15, 0.18, 1 / 3
# Share of the budget up to which the fewest items that are worth a training are read, where reading is too slow to do so earlier; chosen
LATE_DIVISION_SHARE = 0.25
# Where the data is useless after some time (`longest`), the shares of the time left until then at which items are divided, the scale is
# chosen, and both are late; chosen
DIVISION_OF_REST, SCALE_OF_REST, LATE_OF_REST = 0.4, 0.6, 0.75
# Least shares of the budget for the division and for each stage after it, however long the start or an earlier stage took: a division or
# a fit that saw few items is worth little; chosen
MIN_DIVISION_SHARE, MIN_STAGE_SHARE = 0.1, 0.03
BUDGET_LIMIT = "in the time that the budget leaves for it at this load; a longer budget uses more"


class TooSlowToRead(Exception):
    """There is not enough time to read the fewest items that are worth a training.

    Args:
        num_items: How many these are.
        seconds: Seconds that reading them takes, with all that is read of them again.
    """

    def __init__(self, num_items: int, seconds: float) -> None:
        super().__init__(f"{num_items} items take {seconds:.1f} s to read")
        self.num_items, self.seconds = num_items, seconds


class ReadingTime:
    """The time that a budget leaves for reading, by the clock.

    Attributes:
        stage: The present activity as a clause, for lines of progress.
        limit: See `__init__`.
    """

    def __init__(
        self,
        budget: float | None = None,
        elapsed: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        limit: str = BUDGET_LIMIT,
        longest: float = math.inf,
    ) -> None:
        """
        Args:
            budget: Seconds of the command; None for no limit.
            elapsed: Seconds of it that are over.
            clock: Seconds from any beginning.
            limit: A clause on the time limit and how to raise it, for the note on items that are left out.
            longest: Seconds from now on after which the command has no use for the data.
        """
        self.stage = "reading the data"
        self.limit = limit
        self._clock = clock
        self._begin = clock()
        self._budget = math.inf if budget is None else budget
        self._useless_at = self._begin + longest
        self._division_ends = self._begin + DIVISION_SHARE * self._budget - elapsed
        self._late_division_ends = self._begin + LATE_DIVISION_SHARE * self._budget - elapsed
        self._scale_ends = self._begin + SCALE_SHARE * self._budget - elapsed
        self._bound_by_rest(self._begin)

    def begin_division(self) -> None:
        """Give the items that are to be divided their least share, from now on."""
        self._division_ends = max(self._division_ends, self._clock() + MIN_DIVISION_SHARE * self._budget)
        self._scale_ends = max(self._scale_ends, self._division_ends + MIN_STAGE_SHARE * self._budget)
        self._bound_by_rest(self._clock())

    def _bound_by_rest(self, now: float) -> None:
        """End each stage so early that there is time for those that follow."""
        rest = self._useless_at - now if self.is_limited else math.inf
        self._division_ends = min(self._division_ends, now + DIVISION_OF_REST * rest)
        self._late_division_ends = min(self._late_division_ends, now + DIVISION_OF_REST * rest)
        self._scale_ends = min(self._scale_ends, now + SCALE_OF_REST * rest)
        self._late_at = now + LATE_OF_REST * rest

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget."""
        return self._budget < math.inf

    @property
    def elapsed(self) -> float:
        """Seconds since reading began."""
        return self._clock() - self._begin

    def seconds_to_division(self) -> float:
        """Seconds left to read items before they are divided; below 0 where it took longer."""
        return self._division_ends - self._clock()

    def seconds_for_fewest(self) -> float:
        """Seconds left to read the fewest items that are worth a training, before they are divided."""
        return max(self._division_ends, self._late_division_ends) - self._clock()

    def check_fewest(self, num_items: int, seconds: float) -> None:
        """Raise TooSlowToRead if that many items cannot be read in time. seconds: what reading them takes."""
        if self._clock() + seconds > self._useless_at:
            raise TooSlowToRead(num_items, seconds)

    def is_over(self) -> bool:
        """Whether the data should have been read, and its scale chosen."""
        return self._clock() >= self._scale_ends

    def is_late(self) -> bool:
        """Whether that is so overdue that as little as possible is still read."""
        return self._clock() >= self._late_at


def closed_form_seconds(budget: float, elapsed: float) -> float:
    """The seconds from now on in which closed forms may read data. elapsed: seconds of the budget that are over."""
    return max(CLOSED_FORM_SHARE * budget - elapsed, MIN_STAGE_SHARE * budget)
