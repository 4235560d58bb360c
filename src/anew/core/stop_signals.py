"""Signals that ask a command to stop, and the moment from which they have nothing to add."""

from __future__ import annotations

import signal
import threading

_ending = threading.Event()


def stop_signals() -> tuple[int, ...]:
    """SIGINT and SIGTERM, and SIGHUP of a terminal that was closed: not where there is none, or `nohup` has it ignored."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, hangup


def begin_ending() -> None:
    """An error ends this process, one of several: what torchrun sends now shall not replace it."""
    _ending.set()


def is_ending() -> bool:
    """Whether an error ends this process anyway. torchrun stops all processes where one has ended, and the first process
    would say nothing but that it was stopped."""
    return _ending.is_set()
