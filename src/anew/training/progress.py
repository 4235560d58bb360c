"""How far a run is: by steps, by the clock, or by the record of an earlier run. The schedule follows this alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Pace(Protocol):
    """`at(step)`: progress in [0, 1) at which that step is taken, or None where the run is over."""

    def at(self, step: int) -> float | None: ...

    def left(self, step: int) -> float | None:
        """Seconds left, where they are known."""

    def aside(self) -> AbstractContextManager[None]:
        """A context whose time does not count as training, where training alone is timed."""


class StepPace:
    """`total` steps, all alike."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._marks: list[tuple[float, int]] = []

    def at(self, step: int) -> float | None:
        return step / self.total if step < self.total else None

    def left(self, step: int) -> float | None:
        self._marks = [*self._marks[-40:], (time.monotonic(), step)]
        (t0, s0), (t1, s1) = self._marks[0], self._marks[-1]
        return (t1 - t0) / (s1 - s0) * (self.total - step) if s1 > s0 else None

    @contextmanager
    def aside(self) -> Iterator[None]:
        yield


class TimePace:
    """`seconds` of wall-clock time from `spent` on; the last step ends before they do.

    only_training: time inside `aside()` is given back, so that `seconds` is training alone. took: told what each step took.
    """

    def __init__(
        self,
        seconds: float,
        spent: float = 0.0,
        only_training: bool = False,
        took: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.seconds = seconds
        self.only_training = only_training
        self.took = took
        self._zero = time.monotonic() - spent
        self._last: float | None = None
        self._step_s = 0.0

    @property
    def spent(self) -> float:
        return time.monotonic() - self._zero

    def at(self, step: int) -> float | None:
        now = self.spent
        if self._last is not None:
            # Rises at once and falls slowly: a step that would not fit is not begun.
            took = now - self._last
            self.took(took)
            self._step_s = (
                took if self._step_s == 0.0 else max(0.9 * self._step_s + 0.1 * took, min(took, 2 * self._step_s))
            )
        self._last = now
        room = self.seconds - self._step_s
        return round(max(0.0, now / room), 7) if 0.0 <= now < room else None

    def left(self, step: int) -> float | None:
        return max(0.0, self.seconds - self.spent)

    @contextmanager
    def aside(self) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - start
            if self.only_training:
                self._zero += took
            elif self._last is not None:
                self._last += took  # pauses are no part of a step's time


class ReplayPace:
    """The progress that an earlier run logged, step by step."""

    def __init__(self, record: Sequence[float]) -> None:
        self.record = record

    def at(self, step: int) -> float | None:
        return self.record[step] if step < len(self.record) else None

    def left(self, step: int) -> float | None:
        return None

    @contextmanager
    def aside(self) -> Iterator[None]:
        yield
