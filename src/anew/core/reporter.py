"""Who shows how a long call is going: the caller of the library hands in a `Reporter`, the command line its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

RATE_STEPS = 50  # steps that a shown rate is averaged over: fewer would flicker, more would hide a change; chosen


def loss_steps(step: int) -> int:
    """How many of the last steps the loss that is shown after a step is a mean of: that of one batch is noisy, and in a short training
    the first half is far above where the training is."""
    return max(1, min(RATE_STEPS, (step + 1) // 2))


class FinishedStep(Protocol):
    """The part of a training step that a reporter may read; `training.trainer.StepResult` has it.

    Attributes:
        progress: Share of the training that is done, in [0, 1].
        losses: Mean loss of each phase that acted, by name.
        examples: Examples that have been taken so far.
    """

    @property
    def step(self) -> int: ...

    @property
    def progress(self) -> float: ...

    @property
    def losses(self) -> Mapping[str, float]: ...

    @property
    def examples(self) -> int: ...


class Reporter(Protocol):
    """Receives what happens, in the order in which it happens. All methods are called from the calling thread."""

    def message(self, text: str) -> None:
        """Show a sentence, or a few lines."""

    def step(self, result: FinishedStep, seconds_left: float | None) -> None:
        """Show a finished training step and the seconds until training is over, None where they are not known."""

    def progress(self, task: str, count: int, total: int) -> None:
        """Show that `count` of `total` parts of a task are done."""


class SilentReporter:
    """A Reporter that shows nothing."""

    def message(self, text: str) -> None: ...

    def step(self, result: FinishedStep, seconds_left: float | None) -> None: ...

    def progress(self, task: str, count: int, total: int) -> None: ...
