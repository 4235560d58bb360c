"""The command line: arguments in, one call of `anew.api`, text or JSON out. `main` is the console script.

Exit codes, and what they mean, are in `core/exit_codes.py`.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from anew.cli.errors import exit_code
from anew.cli.parser import options_in, parse
from anew.cli.terminal import open_closed_streams, write
from anew.core.activity import COMMAND, progress_lines, shown
from anew.core.exit_codes import DONE, STOPPED
from anew.core.machine.allocator import keep_freed_memory
from anew.core.machine.openmp import limit_spinning
from anew.core.processes.launcher import (
    STARTED,
    count_gpus,
    is_first_process,
    launch,
    leave_group,
    processes_to_start,
    quiet_transport,
)
from anew.core.stop_signals import forget_stops, is_ending, is_same_stop, restore_handler, stop_signals

SERVERS = ("serve", "studio")  # commands that wait for others, and need not say that they go on


def process_start() -> float:
    """time.monotonic() at which this process, or the one that launched it, began: a budget covers start-up too."""
    now = time.monotonic()
    with contextlib.suppress(KeyError, ValueError):
        return min(now, float(os.environ[STARTED]))
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
    open_closed_streams()
    words = sys.argv[1:] if argv is None else argv
    ending = _Ending()
    if argv is None:  # else the process is somebody else's
        atexit.register(ending.end)

    def work() -> int:
        arguments = parse(words)
        if not _is_divided(arguments) and not leave_group():
            return DONE
        limit_spinning()
        quiet_transport()
        # Imported after parsing, so that `--help` and mistakes are answered at once
        from anew.cli import commands

        keep_freed_memory()
        _end_with_parent()
        COMMAND.begin("starting")
        lines = contextlib.nullcontext() if arguments.command in SERVERS else progress_lines(COMMAND)
        with _signals() as signals, _waiting_shown(), lines:
            code = _launched(arguments, words, started)
            if code is None:
                code = commands.run(arguments, started)
        return STOPPED if signals else code

    ending.code = exit_code(work, words, lambda sentence: options_in(sentence, words))
    return ending.code


class _Ending:
    """The end of the process without taking down the interpreter, which takes seconds of a budget where cores are busy.

    Handlers of modules that are imported later than this is registered run before it.

    Attributes:
        code: The exit code of the command; None while it is not known: then the interpreter ends as always.
    """

    def __init__(self) -> None:
        self.code: int | None = None

    def end(self) -> None:
        if self.code is None:
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # nobody is left to tell
                stream.flush()
        os._exit(self.code)


def _is_divided(arguments: argparse.Namespace) -> bool:
    """Whether the processes that torchrun started share the work of a command; the others are carried out by the first."""
    if arguments.command in ("sample", "evaluate"):
        return (arguments.again if arguments.command == "sample" else arguments.samples) is None
    return arguments.command in ("train", "resume")


def _launched(arguments: argparse.Namespace, words: list[str], started: float) -> int | None:
    """The exit code of a training that several processes have carried out; None where this one is to do it."""
    if arguments.command not in ("train", "resume"):
        return None
    processes = processes_to_start(arguments.processes, _device(arguments))
    if processes < 2:
        return None
    write(f"starting {processes} processes, {'as asked' if arguments.processes else 'one for each GPU'}", sys.stderr)
    with shown():  # the first of them says what they do, and for how long
        return launch(processes, words, started)


def _device(arguments: argparse.Namespace) -> str:
    """The device that a training was asked for: by this command, or by the one that began its run."""
    if arguments.command == "resume":
        if count_gpus() < (1 if arguments.processes else 2):
            return "auto"  # no matter: nothing follows from it
        from anew import api

        return api.device_of(arguments.run)
    settings = dict(getattr(arguments, "set", ()))
    return str(settings.get("train.device", settings.get("device", "auto")))


def _end_with_parent() -> None:
    """Stop, as on SIGTERM, when the parent was killed: a comparison, as nobody would use its run, or the launcher of several
    processes, as a user who repeats its command would find the run in use."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    if os.environ.get("ANEW_PARENT") == str(parent) or "TORCHELASTIC_RUN_ID" in os.environ:
        threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _waiting_shown() -> Iterator[None]:
    """Show what is waited for: a store that does not answer, a long copy, data that takes long to read. Only the first of several
    processes shows it."""
    loggers = [logging.getLogger(name) for name in ("anew.stores", "anew.reading")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addFilter(_print_waiting)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeFilter(_print_waiting)
            logger.setLevel(level)


def _print_waiting(record: logging.LogRecord) -> bool:
    """Print a record to standard error in place of its handlers, which would not escape it."""
    if is_first_process():
        write(record.getMessage(), sys.stderr)
    return False


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGTERM and a closed terminal end a command as Ctrl-C does. The list fills with signals, as a command may finish what it can
    and return."""
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if (is_ending() and number != signal.SIGINT) or is_same_stop():
            return
        received.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield received
        return
    forget_stops()
    previous = {number: signal.signal(number, stop) for number in stop_signals()}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            if not is_ending():  # or the sentence that is still to be said would be lost
                restore_handler(number, handler)
