"""The command line: arguments in, one call of `anew.api`, text or JSON out. `main` is the console script.

Exit codes: 0 done; 1 a bug in Anew (the traceback is in a file that is named); 2 something given has to change, or the
machine has no room for it (one sentence); 75 stopped by Ctrl-C or SIGTERM (`anew resume RUN`, or the same `compare`,
goes on).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from anew.cli import faults
from anew.cli.parser import options_in, parse
from anew.core.allocator import keep_freed_memory


def process_start() -> float:
    """time.monotonic() at which this process began: a budget covers start-up too."""
    now = time.monotonic()
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            ticks = float(file.read().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        if 0.0 <= age < 60.0:
            return now - age
    return now


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    started = process_start()
    words = sys.argv[1:] if argv is None else argv

    def work() -> int:
        arguments = parse(words)
        from anew.cli import commands

        keep_freed_memory()
        _end_with_parent()
        with _signals() as stopped:
            commands.run(arguments, started)
        return faults.STOPPED if stopped else faults.DONE

    return faults.ended(work, words, lambda sentence: options_in(sentence, words))


def _end_with_parent() -> None:
    """A training of a comparison stops as on SIGTERM where the comparison was killed: nobody would go on with its run."""
    parent = os.environ.get("ANEW_PARENT", "")

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    if parent.isdecimal() and os.getppid() == int(parent):
        threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGTERM ends a command as Ctrl-C does. The list holds the signals that came: a verb may finish what it can and return."""
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield came
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
