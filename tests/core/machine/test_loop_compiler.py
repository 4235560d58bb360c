"""Loops are compiled in a process of its own, which is waited for as long as its pace promises to be in time."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from anew.core.machine import loop_compiler
from anew.core.machine.loop_compiler import LoopCompiler, Loops

LOOPS = Loops("tests", "unused", 1.0)


@pytest.fixture
def compiler() -> Iterator[LoopCompiler]:
    with contextlib.closing(LoopCompiler()) as compiler:
        yield compiler


def _work(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(loop_compiler, "own_command", lambda module: [sys.executable, "-c", code])


def test_it_waits_for_work_that_ends_in_time(compiler: LoopCompiler, monkeypatch: pytest.MonkeyPatch) -> None:
    _work(monkeypatch, "print(0.5, flush=True)")
    assert not compiler.is_done()
    assert compiler.run(LOOPS, 60.0) and compiler.is_done() and compiler.loops == LOOPS


def test_it_says_how_far_it_is(compiler: LoopCompiler, monkeypatch: pytest.MonkeyPatch) -> None:
    _work(monkeypatch, "import time; print(0.2, flush=True); time.sleep(1); print(0.6, flush=True); time.sleep(1)")
    shares: list[float] = []
    assert compiler.run(LOOPS, None, shares.append) and shares == sorted(set(shares)) and {0.2, 0.6} <= set(shares)


def test_work_that_fails_has_compiled_nothing(compiler: LoopCompiler, monkeypatch: pytest.MonkeyPatch) -> None:
    _work(monkeypatch, "raise SystemExit(1)")
    assert not compiler.run(LOOPS, None) and not compiler.is_done()


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="no priorities on this system")
def test_work_that_is_too_slow_goes_on_with_the_lowest_priority(
    compiler: LoopCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    _work(monkeypatch, "import time; print(0.2, flush=True); time.sleep(600)")
    start = time.monotonic()
    assert not compiler.run(LOOPS, 0.5) and not compiler.is_done()
    assert time.monotonic() - start < 30.0
    process = compiler._process
    assert process is not None and process.poll() is None
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == loop_compiler.LOWEST_PRIORITY
    compiler.close()
    assert process.poll() is not None


def test_it_gives_up_at_once_where_the_pace_is_too_slow(
    compiler: LoopCompiler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A tenth of the work in two seconds is no work in fifteen."""
    _work(monkeypatch, "import time; time.sleep(2); print(0.1, flush=True); time.sleep(600)")
    start = time.monotonic()
    assert not compiler.run(LOOPS, 15.0)
    assert time.monotonic() - start < 14.0
