"""Loops that are compiled at their first use on a machine, and their compilation in a process of its own."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from anew.core.programs import own_command

MIN_SHARE = 0.1  # share of the work from which its pace predicts how long the rest takes; chosen
POLL_SECONDS = 0.05  # time between two looks at the process: none that anyone notices; chosen
LOWEST_PRIORITY = 19  # a process of this priority gets only what all others leave of the cores, in Unix


@dataclass(frozen=True, slots=True)
class Loops:
    """Loops that are not yet compiled on this machine.

    Attributes:
        name: Name of the loops in messages, such as "context mixing".
        module: The module of this package that compiles them when it is run; see `LoopCompiler`.
        seconds: That this takes on an idle core, about.
    """

    name: str
    module: str
    seconds: float


class LoopCompiler:
    """One process at most, which runs a module that compiles loops and keeps the machine code on disk.

    The module writes a line after each part of its work: the share of all work that is done.
    """

    def __init__(self) -> None:
        self.loops: Loops | None = None  # that were given to `run`
        self._process: subprocess.Popen[str] | None = None
        self._share = 0.0

    def run(self, loops: Loops, seconds: float | None, report: Callable[[float], None] = lambda share: None) -> bool:
        """Whether all loops are compiled within the seconds; no limit for None.

        If they are not, or will not be at the pace so far, that goes on with what other work leaves of the cores until `close`.

        report: called with the share of the work that is done, at the beginning and whenever it has grown.
        """
        if self._process is None:
            self._start(loops)
        start, reported = time.monotonic(), -1.0
        while (status := self._status()) is None:
            spent = time.monotonic() - start
            if self._share > reported:
                reported = self._share
                report(reported)
            if seconds is not None and (spent > seconds or self._expected(spent) > seconds):
                self._lower_priority()
                return False
            time.sleep(POLL_SECONDS)
        return status == 0

    def is_done(self) -> bool:
        """Whether all loops are compiled."""
        return self._process is not None and self._status() == 0

    def close(self) -> None:
        """End the process; what it has compiled so far is kept."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self, loops: Loops) -> None:
        self.loops = loops
        self._process = subprocess.Popen(
            own_command(loops.module),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._follow, args=(self._process,), daemon=True).start()

    def _follow(self, process: subprocess.Popen[str]) -> None:
        """Note the shares that a process writes, until it ends."""
        assert process.stdout is not None, "it is a pipe"
        with process.stdout as lines:
            for line in lines:
                self._share = float(line)

    def _status(self) -> int | None:
        assert self._process is not None, "it was started"
        return self._process.poll()

    def _expected(self, spent: float) -> float:
        """Seconds that all of the work takes at its pace so far; 0 while that is not known."""
        return spent / self._share if self._share >= MIN_SHARE else 0.0

    def _lower_priority(self) -> None:
        if hasattr(os, "setpriority") and self._process is not None:
            os.setpriority(os.PRIO_PROCESS, self._process.pid, LOWEST_PRIORITY)
