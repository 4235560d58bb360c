"""Imports of PyTorch and what uses it, which take seconds, within the time of a command."""

from __future__ import annotations

import importlib
import logging
import math
import sys
import time
from typing import NamedTuple

from anew.core.activity import COMMAND
from anew.core.deadline import TimeIsUp, hard_stop
from anew.core.machine.schedule import scheduled_seconds
from anew.errors import BudgetError

# Seconds on idle cores of a short command: 2 to 4 to import PyTorch and what uses it, 1 to read, 3 to 4 for the rest; measured for names,
# logs, pictures and sounds
SHORT_COMMAND = 8.0
LEAST_COMMAND = 5.0  # the same for the least that is worth it, should the load ease a little
BUSY = 1.5  # times longer than on idle cores: below, how long a command takes is not known so exactly; chosen
# Share of the time of a command after which its import is given up where there will be no time for the rest; chosen
EARLY_SHARE = 1 / 3
ADVICE_FACTOR = 1.2  # times that time that is advised, since the load changes; chosen
MIN_METERED = 0.25  # seconds on a core: after less, how busy the cores are would be a guess

_log = logging.getLogger("anew.reading")  # the program that uses Anew decides where it is shown


def note_loading(what: str) -> None:
    """Log what a command waits for, if PyTorch is still to be imported: seconds, and half a minute on busy cores."""
    COMMAND.begin(f"loading {what}")
    if "torch" not in sys.modules:
        _log.info("loading %s", what)


def load_in_time(module: str, ends_at: float | None) -> None:
    """Import a module that needs PyTorch.

    Args:
        module: Its name: "anew.workflows.train".
        ends_at: `time.monotonic()` at which the command must be over; None for no limit.

    Raises:
        BudgetError: The command would be over before the import, or its pace leaves no time for the rest. That is seen early.
    """
    note_loading("PyTorch")
    begin, scheduled_before, is_loaded = time.monotonic(), scheduled_seconds(), "torch" in sys.modules

    def load() -> ImportPace:
        on_core, queued = scheduled_seconds()
        return ImportPace(time.monotonic() - begin, on_core - scheduled_before[0], queued - scheduled_before[1])

    def can_end_in_time() -> bool:
        now, end = load(), math.inf if ends_at is None else ends_at - begin
        is_known = now.slowdown >= BUSY and not is_loaded  # whether it is known what is left
        return now.seconds < end and (not is_known or now.command_seconds(LEAST_COMMAND) < end)

    early = None if ends_at is None else EARLY_SHARE * (ends_at - begin)
    try:
        with hard_stop(early, during_imports=True, goes_on=can_end_in_time):
            importlib.import_module(module)
        COMMAND.begin("preparing")
    except TimeIsUp:
        assert ends_at is not None, "without a limit nothing is stopped"
        is_over = time.monotonic() >= ends_at
        reason = (
            "the budget was over before PyTorch was loaded"
            if is_over
            else f"the budget would be over before anything was done: after {time.monotonic() - begin:.0f} s PyTorch is still being loaded"
        )
        raise BudgetError(
            f"{reason}, which takes some 3 s where no other programs use the CPU or the memory; "
            f"{time_advice(load(), ends_at - begin)}, or wait until they are done"
        ) from None


class ImportPace(NamedTuple):
    """How an import goes on.

    Attributes:
        seconds: How long it has taken so far.
        on_core, queued: Seconds of them that it had a core, and waited for one; zeros if the system does not say.
    """

    seconds: float
    on_core: float
    queued: float

    @property
    def slowdown(self) -> float:
        """How many times longer than on idle cores work takes."""
        return 1.0 + self.queued / self.on_core if self.on_core >= MIN_METERED else 1.0

    def command_seconds(self, idle_seconds: float) -> float:
        """How long a command takes that takes so long on idle cores. Waiting for files is over once the import is."""
        return self.seconds + max(idle_seconds - self.on_core, 0.0) * self.slowdown


def time_advice(load: ImportPace, budget_seconds: float) -> str:
    """How much more time to give. budget_seconds: seconds that the command had after its start."""
    if load.on_core < MIN_METERED:
        return "give more time"
    more = max(1, math.ceil(ADVICE_FACTOR * load.command_seconds(SHORT_COMMAND) - budget_seconds))
    return f"give at least {more:,} s more"
