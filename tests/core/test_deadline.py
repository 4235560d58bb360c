"""The hard stop ends what does not watch the clock, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from anew.core.deadline import TimeIsUp, hard_stop, uninterrupted

needs_alarm = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no SIGALRM")


@needs_alarm
def test_the_body_ends_when_the_time_is_up() -> None:
    begin = time.monotonic()
    with pytest.raises(TimeIsUp), hard_stop(0.1):
        while True:
            with contextlib.suppress(Exception):  # no handler of errors stops it
                time.sleep(0.01)
    assert time.monotonic() - begin < 5.0


class Slow:
    """Something whose destructor takes long; what is raised there is dropped, and Python prints a line about it."""

    ended = 0

    def __del__(self) -> None:
        time.sleep(0.3)
        Slow.ended += 1


@needs_alarm
def test_a_destructor_ends_first() -> None:
    """The destructor of soundfile's files was broken off at times, for all to see."""
    begin = time.monotonic()
    with pytest.raises(TimeIsUp), hard_stop(0.1):
        Slow()
        time.sleep(20.0)
    assert Slow.ended == 1 and time.monotonic() - begin < 10.0


@needs_alarm
@pytest.mark.parametrize("seconds", [0.05, None])
def test_nothing_comes_after_the_body(seconds: float | None) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with hard_stop(seconds):
        pass
    time.sleep(0.1)
    assert signal.getsignal(signal.SIGALRM) is before


@needs_alarm
def test_a_stop_within_a_stop_is_refused() -> None:
    """It would have ended the time of the outer one in silence."""
    with hard_stop(60.0):
        with hard_stop(None):
            pass
        with pytest.raises(RuntimeError, match="a hard stop of 5 s is within one of 60 s"), hard_stop(5.0):
            pass
    with hard_stop(60.0):
        pass


@needs_alarm
def test_time_that_was_up_before_stops_at_once() -> None:
    with pytest.raises(TimeIsUp), hard_stop(-1.0):
        time.sleep(5.0)


def test_another_thread_is_left_alone() -> None:
    ended: list[bool] = []

    def work() -> None:
        with hard_stop(0.01):
            time.sleep(0.05)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]


@needs_alarm
def test_an_import_ends_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a package whose import was broken off do not fit those of its second import."""
    (tmp_path / "slow_import.py").write_text("import time\nfor _ in range(20):\n    time.sleep(0.01)\nend = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    begin = time.monotonic()
    with pytest.raises(TimeIsUp), hard_stop(0.05):
        importlib.import_module("slow_import")
        time.sleep(20.0)
    assert sys.modules["slow_import"].end and time.monotonic() - begin < 5.0


@needs_alarm
def test_work_of_a_module_that_is_imported_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import time\nfrom anew.core.deadline import TimeIsUp, hard_stop\nis_stopped = False\ntry:\n    with hard_stop(0.05):\n"
        "        time.sleep(20.0)\nexcept TimeIsUp:\n    is_stopped = True\n"
    )
    (tmp_path / "experiment.py").write_text(script)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.import_module("experiment").is_stopped


@needs_alarm
def test_what_is_not_interrupted_ends_first() -> None:
    whole: list[bool] = []
    with pytest.raises(TimeIsUp), hard_stop(0.05):
        with uninterrupted():
            time.sleep(0.2)
            whole.append(True)
        time.sleep(5.0)
    assert whole == [True]


@needs_alarm
def test_work_that_is_hardly_ever_interrupted_ends_in_time() -> None:
    begin = time.monotonic()
    with pytest.raises(TimeIsUp), hard_stop(0.05):
        while True:
            with uninterrupted():
                time.sleep(0.02)
    assert time.monotonic() - begin < 0.4
    with uninterrupted():  # nothing is left of it
        pass
