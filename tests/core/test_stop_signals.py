"""Which signals ask a command to stop."""

from __future__ import annotations

import signal
import threading

import pytest

from anew.core.stop_signals import forget_stops, handled_stops, restore_handler, stop_signals


def test_a_closed_terminal_stops_unless_nohup_has_it_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert stop_signals() == (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert stop_signals() == (signal.SIGINT, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_system_without_that_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP")
    assert stop_signals() == (signal.SIGINT, signal.SIGTERM)


def test_signals_are_handled_within_a_context_and_once_if_that_is_wanted() -> None:
    before = signal.getsignal(signal.SIGTERM)
    received: list[int] = []
    with handled_stops(lambda number, frame: received.append(number)):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    earlier: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: earlier.append(number))
    try:
        with handled_stops(lambda number, frame: received.append(number), once=True):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)  # torchrun hands on what Slurm has sent to all processes
            assert not earlier
            forget_stops()  # some seconds later
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM] * 3 and earlier == [signal.SIGTERM] * 2


def test_a_handler_that_was_set_outside_of_python_becomes_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(signal, "getsignal", lambda number: None)
            with handled_stops(lambda number, frame: None):
                pass
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        restore_handler(signal.SIGTERM, None)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_thread_has_no_handlers() -> None:
    before = signal.getsignal(signal.SIGTERM)
    handlers = []

    def work() -> None:
        with handled_stops(lambda number, frame: None):
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]
