"""The present activity of a command, logged at intervals while nothing else is: on busy cores one call may take minutes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# After so much silence a line is logged.
LINE_SECONDS = 10.0
# Seconds of a command after which lines come less often, and the seconds between lines from then on: else the log of a night would consist
# of them; chosen
FREQUENT_UNTIL, LATE_LINE_SECONDS = 600.0, 60.0
CHECKS = 5  # looks at the clock in the time of a line

_log = logging.getLogger("anew.reading")  # the program that uses Anew decides where it is shown


class _Activity:
    """The present activity, and when something was last logged. If activities are nested, it is the innermost one."""

    def __init__(self) -> None:
        self.descriptions: list[tuple[Callable[[], str], float]] = []  # each with its beginning
        self.said_at = self.begin = time.monotonic()
        self.num_shown = 0  # displays that move by themselves
        self.lock = threading.Lock()

    def log_if_silent(self) -> None:
        now = time.monotonic()
        with self.lock:
            if not self.descriptions or self.num_shown or now - self.said_at < line_seconds():
                return
            describe, begin = self.descriptions[-1]
            self.said_at = now
        elapsed = now - begin
        # Else "340 of 400 (0 s so far)", where the activity began as the line was due
        _log.info("%s%s", describe(), f" ({elapsed:.0f} s so far)" if elapsed >= 1.0 else "")


_ACTIVITY = _Activity()


class CurrentWork:
    """The present activity, for `progress_lines`: a call returns the latest clause.

    Args:
        text: A clause: "reading the data".
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self) -> str:
        return self._text

    def begin(self, text: str) -> None:
        """Something else begins; its time counts from now on."""
        if text == self._text:
            return
        self._text = text
        with _ACTIVITY.lock:
            _ACTIVITY.descriptions = [
                (describe, time.monotonic() if describe is self else begin)
                for describe, begin in _ACTIVITY.descriptions
            ]


COMMAND = CurrentWork("starting")  # what the command of this process is doing, where nothing within it is more exact


def line_seconds() -> float:
    """Seconds between two lines of progress, which are fewer in a long command."""
    return LINE_SECONDS if time.monotonic() - _ACTIVITY.begin < FREQUENT_UNTIL else LATE_LINE_SECONDS


def note_said() -> None:
    """Note that the user was told something just now, so that no line is due for a while."""
    _ACTIVITY.said_at = time.monotonic()


@contextmanager
def shown() -> Iterator[None]:
    """No lines while the body runs: a display moves that says the same."""
    with _ACTIVITY.lock:
        _ACTIVITY.num_shown += 1
    try:
        yield
    finally:
        with _ACTIVITY.lock:
            _ACTIVITY.num_shown -= 1
        note_said()


@contextmanager
def progress_lines(describe: Callable[[], str]) -> Iterator[None]:
    """Log a line after each LINE_SECONDS of silence while the body runs, from a thread, since a single call may take longer.

    describe: Returns the present activity as a clause."""
    entry = (describe, time.monotonic())
    with _ACTIVITY.lock:
        is_outermost = not _ACTIVITY.descriptions
        _ACTIVITY.descriptions.append(entry)
    if not is_outermost:
        try:
            yield
        finally:
            _forget(describe)
        return
    _ACTIVITY.begin = _ACTIVITY.said_at = entry[1]
    is_done = threading.Event()

    def repeat() -> None:
        while not is_done.wait(LINE_SECONDS / CHECKS):
            _ACTIVITY.log_if_silent()

    thread = threading.Thread(target=repeat, name="anew-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        _forget(describe)
        is_done.set()
        thread.join()


def _forget(describe: Callable[[], str]) -> None:
    with _ACTIVITY.lock:
        _ACTIVITY.descriptions = [entry for entry in _ACTIVITY.descriptions if entry[0] is not describe]
