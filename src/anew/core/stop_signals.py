"""Signals that ask a command to stop, and the moment from which they have nothing to add."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], object]

# Seconds in which another signal says the same again. Where Slurm stops a job step, or systemd a unit, all of its processes get the signal,
# and torchrun, which is one of them, sends it to the others again within milliseconds. Longer than that on a busy machine; chosen.
SAME_STOP_S = 2.0

_ending = threading.Event()
_heard_at = [-math.inf]  # `time.monotonic()` of the last signal that was not one before again


def stop_signals() -> tuple[int, ...]:
    """SIGINT and SIGTERM, and SIGHUP of a terminal that was closed: not where there is none, or `nohup` has it ignored."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, hangup


@contextmanager
def handled_stops(handler: Handler, *, once: bool = False) -> Iterator[None]:
    """A context in which a handler receives the signals that ask to stop; outside of the main thread, which alone has handlers,
    nothing changes.

    Args:
        handler: As for `signal.signal`.
        once: Whether a second signal of the same number, unless it is the first one again, acts as it did before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Read before any is replaced: a signal may come at once
    previous = {number: signal.getsignal(number) for number in stop_signals()}
    handled: set[int] = set()
    if once:
        forget_stops()

    def handle(number: int, frame: FrameType | None) -> None:
        if once and is_same_stop():
            return
        if once and number in handled:
            restore_handler(number, previous[number])
            signal.raise_signal(number)
            return
        handled.add(number)
        handler(number, frame)

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, before in previous.items():
            restore_handler(number, before)


def is_same_stop() -> bool:
    """Whether a signal to stop that came now is the one before, which came again."""
    now = time.monotonic()
    if now - _heard_at[0] < SAME_STOP_S:
        return True
    _heard_at[0] = now
    return False


def forget_stops() -> None:
    """The next signal is none of those before: another piece of work begins."""
    _heard_at[0] = -math.inf


def restore_handler(number: int, previous: Handler | int | None) -> None:
    """Put back what `signal.signal` or `signal.getsignal` returned. A handler that was set outside of Python, where another
    program embeds it, is None there; Python cannot put that back, so the default follows."""
    signal.signal(number, signal.SIG_DFL if previous is None else previous)


def begin_ending() -> None:
    """An error ends this process, one of several: what torchrun sends now shall not replace it."""
    _ending.set()


def is_ending() -> bool:
    """Whether an error ends this process anyway. torchrun stops all processes where one has ended, and the first process
    would say nothing but that it was stopped."""
    return _ending.is_set()
