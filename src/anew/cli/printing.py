"""Progress and lines, as every command prints them."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import anew
from anew.cli.progress import ProgressLine
from anew.cli.summary import Line
from anew.cli.terminal import write, write_spans


def progress_of(arguments: argparse.Namespace) -> ProgressLine:
    """Progress on standard output; on standard error where that belongs to JSON."""
    verbose = getattr(arguments, "verbose", False)
    return ProgressLine(sys.stderr if arguments.json else sys.stdout, verbose=verbose)


@contextmanager
def said_after(seconds: float, text: str) -> Iterator[None]:
    """Print a line on standard error if what runs in this context takes more than so many seconds."""
    timer = threading.Timer(seconds, write, (text, sys.stderr))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def print_lines(lines: Iterable[Line]) -> None:
    for line in lines:
        write_spans(line)


def print_requests() -> None:
    """Print a line for each request that `anew serve` answers, on standard error."""
    logger = logging.getLogger("anew.server.requests")
    if logger.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def print_notes(model: anew.Model) -> None:
    """Print what the user should know about the model, on standard error."""
    for note in model.notes:
        write(note, sys.stderr)
