"""Progress and lines, as every command prints them."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TextIO

import anew
from anew.cli.progress import ProgressLine
from anew.cli.summary import Line
from anew.cli.terminal import write, write_spans
from anew.core.activity import COMMAND
from anew.core.reporter import FinishedStep


def progress_of(arguments: argparse.Namespace) -> ProgressLine:
    """Progress on standard output; on standard error where that belongs to JSON."""
    verbose = getattr(arguments, "verbose", False)
    return ProgressLine(sys.stderr if arguments.json else sys.stdout, verbose=verbose)


class LateDetails:
    """A Reporter of what takes long: once some seconds have passed, it prints the latest detail, and each that follows.

    Args:
        seconds: How long it is silent.
        stream: Where to print.
    """

    def __init__(self, seconds: float, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._is_late = False
        self._lock = threading.Lock()  # the timer runs in another thread
        self._timer = threading.Timer(seconds, self._begin)
        self._timer.daemon = True

    def __enter__(self) -> LateDetails:
        self._timer.start()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def _begin(self) -> None:
        with self._lock:
            self._is_late = True
            if self._text:
                write(self._text, self._stream)

    def message(self, text: str) -> None:
        """Take a detail."""
        COMMAND.begin(text.strip())
        with self._lock:
            self._text = text.strip()
            if self._is_late:
                write(self._text, self._stream)

    def step(self, result: FinishedStep, seconds_left: float | None) -> None: ...

    def progress(self, task: str, count: int, total: int) -> None: ...


def print_lines(lines: Iterable[Line]) -> None:
    for line in lines:
        write_spans(line)


@contextlib.contextmanager
def requests_printed() -> Iterator[None]:
    """A context in which a line for each request that `anew serve` answers is printed on standard error."""
    logger = logging.getLogger("anew.server.requests")
    level, propagates = logger.level, logger.propagate
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:  # a later server in this process would write to a standard error that may be closed by then
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


def print_notes(model: anew.Model) -> None:
    """Print what the user should know about the model, on standard error."""
    for note in model.notes:
        write(note, sys.stderr)
