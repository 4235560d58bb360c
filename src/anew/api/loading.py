"""Imports of PyTorch and what uses it, which take seconds, within the time of a command."""

from __future__ import annotations

import importlib
import time

from anew.core.deadline import TimeIsUp, hard_stop
from anew.errors import BudgetError


def load_in_time(module: str, ends_at: float | None) -> None:
    """Import a module that needs PyTorch.

    Args:
        module: Its name: "anew.workflows.train".
        ends_at: `time.monotonic()` at which the command must be over; None for no limit.

    Raises:
        BudgetError: The command would be over before the import.
    """
    try:
        with hard_stop(None if ends_at is None else ends_at - time.monotonic(), during_imports=True):
            importlib.import_module(module)
    except TimeIsUp:
        raise BudgetError(
            "the budget was over before PyTorch was loaded, which takes some 3 s where no other programs use the CPU or the "
            "memory; give more time, or wait until they are done"
        ) from None
