"""Progress of a run: by steps, by the clock, or by the log of another run. The schedule depends on progress, not on steps."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

# Last steps from which the remaining time is estimated: enough to even out pauses, few enough to follow changes.
RECENT_STEPS = 40


class Progress(ABC):
    """Says how far a run is.

    Attributes:
        has_early_decay: Whether the progress contains an early decay already, as the logged progress of a run does.
    """

    has_early_decay = False

    @abstractmethod
    def at(self, step: int) -> float | None:
        """The progress in [0, 1] at which this step is taken; None if the run is over."""

    def seconds_left(self, step: int) -> float | None:
        """The seconds until the run is over; None if that is not known."""
        return None

    def paused(self) -> AbstractContextManager[None]:
        """A context whose time does not count as training, if only training is timed."""
        return nullcontext()


class StepProgress(Progress):
    """Progress by a number of steps."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._marks: list[tuple[float, int]] = []  # (time, step)

    def at(self, step: int) -> float | None:
        return step / self.total if step < self.total else None

    def seconds_left(self, step: int) -> float | None:
        self._marks = [*self._marks[-RECENT_STEPS:], (time.monotonic(), step)]
        first_time, first_step = self._marks[0]
        last_time, last_step = self._marks[-1]
        if last_step == first_step:
            return None
        return (last_time - first_time) / (last_step - first_step) * (self.total - step)


class TimeProgress(Progress):
    """Progress by wall-clock time. No step is begun that would end after it. It grows evenly, unless the run is made longer.

    Args:
        spent: Seconds of it that earlier processes have used.
        only_training: Whether time inside `paused()` does not count, so that `seconds` is time of training alone.
        on_step_time: Called with the seconds that each step took.

    Attributes:
        seconds: Length of the run now.
        is_extended: Whether it was made longer.
    """

    def __init__(
        self,
        seconds: float,
        spent: float = 0.0,
        only_training: bool = False,
        on_step_time: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.seconds = seconds
        self.only_training = only_training
        self.on_step_time = on_step_time
        self._start = time.monotonic() - spent
        self._last_begin: float | None = None
        self._step_seconds = 0.0
        self._reached = 0.0
        self._even_from = (0.0, 0.0)  # seconds spent and progress from which on it grows evenly
        self.is_extended = False

    @property
    def spent(self) -> float:
        """Seconds of the run so far."""
        return time.monotonic() - self._start

    def extend(self, seconds: float) -> None:
        """Make the run `seconds` long in all: what is left of the progress is spread over the time that is left."""
        self._even_from = (self.spent, self._reached)
        self.seconds, self.is_extended = seconds, True

    def at(self, step: int) -> float | None:
        spent = self.spent
        if self._last_begin is not None:
            duration = spent - self._last_begin
            self.on_step_time(duration)
            self._step_seconds = self._smoothed(duration)
        self._last_begin = spent
        available = self.seconds - self._step_seconds  # a step that would not fit is not begun
        if not 0.0 <= spent < available:
            return None
        spent_before, progress_before = self._even_from
        share = max(0.0, spent - spent_before) / (available - spent_before)
        self._reached = round(progress_before + (1.0 - progress_before) * share, 7)
        return self._reached

    def _smoothed(self, duration: float) -> float:
        """The expected time of a step. It rises at once, at most to the double, and falls slowly."""
        if self._step_seconds == 0.0:
            return duration
        mean = 0.9 * self._step_seconds + 0.1 * duration
        return max(mean, min(duration, 2 * self._step_seconds))

    def seconds_left(self, step: int) -> float | None:
        return max(0.0, self.seconds - self.spent)

    @contextmanager
    def paused(self) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            duration = time.monotonic() - start
            if self.only_training:
                self._start += duration
            elif self._last_begin is not None:
                self._last_begin += duration  # a pause is not part of a step's time


class ReplayProgress(Progress):
    """Progress that an earlier run logged, step by step.

    Args:
        record: Progress of each step, beginning with step 0.

    Attributes:
        before_step: Called with the number of each step before it is taken.
    """

    has_early_decay = True

    def __init__(self, record: Sequence[float]) -> None:
        self.record = record
        self.before_step: Callable[[int], None] = lambda step: None

    def at(self, step: int) -> float | None:
        self.before_step(step)
        return self.record[step] if step < len(self.record) else None
