"""Signals that ask a command to stop, and the moment from which they have nothing to add."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], object]

_ending = threading.Event()


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
        once: Whether a second signal of the same number acts as it did before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Read before any is replaced: a signal may come at once
    previous = {number: signal.getsignal(number) for number in stop_signals()}

    def handle(number: int, frame: FrameType | None) -> None:
        if once:
            restore_handler(number, previous[number])
        handler(number, frame)

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, before in previous.items():
            restore_handler(number, before)


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
