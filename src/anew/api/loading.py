"""Imports of PyTorch and what uses it, which take seconds, within the time of a command."""

from __future__ import annotations

import importlib
import logging
import math
import sys
import time

from anew.core.deadline import TimeIsUp, hard_stop
from anew.errors import BudgetError

# Seconds on idle cores of a short command: 2 to import PyTorch and what uses it, 1 to read, 4 for the rest; measured for names and logs
SHORT_COMMAND = 7.0
MIN_METERED = 0.25  # seconds on a core: after less, how crowded the cores are would be a guess

_log = logging.getLogger("anew.reading")  # the program that uses Anew decides where it is shown


def note_loading(what: str) -> None:
    """Log what a command waits for, if PyTorch is still to be imported: seconds, and half a minute on crowded cores."""
    if "torch" not in sys.modules:
        _log.info("loading %s", what)


def load_in_time(module: str, ends_at: float | None) -> None:
    """Import a module that needs PyTorch.

    Args:
        module: Its name: "anew.workflows.train".
        ends_at: `time.monotonic()` at which the command must be over; None for no limit.

    Raises:
        BudgetError: The command would be over before the import.
    """
    note_loading("PyTorch")
    begin, cpu_begin = time.monotonic(), time.thread_time()
    try:
        with hard_stop(None if ends_at is None else ends_at - time.monotonic(), during_imports=True):
            importlib.import_module(module)
    except TimeIsUp:
        advice = time_advice(time.monotonic() - begin, time.thread_time() - cpu_begin)
        raise BudgetError(
            "the budget was over before PyTorch was loaded, which takes some 3 s where no other programs use the CPU or the "
            f"memory; {advice}, or wait until they are done"
        ) from None


def time_advice(seconds: float, on_core: float) -> str:
    """How much more time to give. seconds: of the import so far, of which it had a core for `on_core`."""
    if on_core < MIN_METERED:
        return "give more time"
    more = max(1, math.ceil(SHORT_COMMAND * seconds / on_core - seconds))
    return f"give at least {more:,} s more"
