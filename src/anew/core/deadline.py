"""A hard stop for work that watches the clock by itself, in case one of its steps takes longer than it could know."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from types import FrameType

from anew.core.stop_signals import restore_handler

# Seconds until it is raised once more: Python drops what is raised in a callback, and some code is left to end first
REPEAT_INTERVAL_S = 0.5

# Work takes a turn before each part that it could leave out. This supply of turns never ends.
UNLIMITED_TURNS: Iterator[object] = repeat(None)

_running: list[float] = []  # the seconds of the hard stop that the main thread is in
_uninterrupted: list[int] = []  # one entry for each body that is not to be interrupted
_missed: list[int] = []  # one entry for each stop that came during such a body


class TimeIsUp(BaseException):
    """Raised in the main thread by `hard_stop`. Not an Exception: no handler of errors may take it for one."""


def can_stop() -> bool:
    """Whether `hard_stop` can stop the calling thread."""
    return hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()


@contextmanager
def hard_stop(
    seconds: float | None, *, during_imports: bool = False, goes_on: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Raise TimeIsUp in the body once the seconds are over, between two lines of Python: a call into C ends first, and so do
    an import and a destructor.

    Only the main thread of a system with SIGALRM can be stopped so; elsewhere the body has to watch the clock by itself.

    Args:
        seconds: From now on; None for no limit.
        during_imports: Whether imports are broken off, too, since nothing follows.
        goes_on: Asked once the seconds are over, and each REPEAT_INTERVAL_S from then on, whether the body may go on all the same.

    Raises:
        RuntimeError: Another hard stop is running, which this one would cancel.
    """
    if seconds is None or not can_stop():
        yield
        return

    if _running:
        raise RuntimeError(f"a hard stop of {seconds:g} s is within one of {_running[0]:g} s, which it would end")
    body = sys._getframe(2)  # above are this function and `contextlib`

    def stop(number: int, frame: FrameType | None) -> None:
        if _has_to_end_first(frame, body, during_imports=during_imports):
            return  # it is raised again soon
        if goes_on():
            return
        if not _uninterrupted:
            raise TimeIsUp
        _missed.append(number)

    previous = signal.signal(signal.SIGALRM, stop)
    try:
        _running.append(seconds)
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), REPEAT_INTERVAL_S)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        _running.clear()
        _missed.clear()
        restore_handler(signal.SIGALRM, previous)


def _has_to_end_first(frame: FrameType | None, body: FrameType, *, during_imports: bool) -> bool:
    """Whether a destructor is running at this frame, or a module is being imported, by what was called from the frame `body`.

    Python drops what a destructor raises and prints a line about it. A package whose import is broken off is imported anew, but
    modules of it that were loaded keep the types of the first time: PyAV then refuses its own frames (docs/log.md, 2026-11-29).
    """
    while frame is not None and frame is not body:
        is_import = frame.f_code.co_filename.startswith("<frozen importlib")
        if frame.f_code.co_name == "__del__" or (is_import and not during_imports):
            return True
        frame = frame.f_back
    return False


@contextmanager
def uninterrupted() -> Iterator[None]:
    """No TimeIsUp in the body, but right after it: for what must not be left half done, such as a child nobody would know of."""
    _uninterrupted.append(threading.get_ident())
    try:
        yield
    finally:
        _uninterrupted.pop()
    if _missed and not _uninterrupted and can_stop():  # work that is mostly held back would go on for long
        raise TimeIsUp
