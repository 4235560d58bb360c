"""What listens to the steps of a training: a correction of its forecast, an extension of its time, and TensorBoard.

The number of steps and the time are worked out before the first step, from a few timed ones. Preparing may take longer than expected,
and other programs may use the cores more or less from then on: where they use them less, the report no longer needs its reserve.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anew.core.extras import require
from anew.core.machine.threads import CrowdingMeter
from anew.errors import about
from anew.planning.budget import MIN_CROWDING, remaining_training
from anew.planning.train_config import TrainConfig
from anew.training.loop import Listener
from anew.training.progress import Progress, TimeProgress
from anew.training.trainer import StepResult
from anew.workflows.job import TrainingJob

# Shares of a training after which its pace is looked at: the first steps of a training are slow by themselves; chosen.
CHECKED_AT = (0.05, 0.3)
MIN_STEPS = 3  # steps whose pace says something; chosen
# Ratio from which on a number is corrected: validation and previews take up to a tenth of the time; chosen.
MAX_DEVIATION = 1.25
NUM_CHECKS = 10  # times that the crowding is checked in a training, evenly; chosen
MIN_GAIN = 0.1  # share of the training that it must be longer by: less changes nothing that can be seen; chosen
FLUSH_STEPS = 100  # steps between flushes: TensorBoard can show a running training, and writing costs next to nothing


class StepForecast:
    """Called after each step of a training that ends by the clock. first_step: number of steps that were taken before."""

    def __init__(self, job: TrainingJob, progress: TimeProgress, first_step: int) -> None:
        self.job, self.progress = job, progress
        self.expected = float(job.plan.expected_steps or 0)
        self._first_step, self._begin = first_step, progress.spent
        self._length = progress.seconds - self._begin
        self._checks = list(CHECKED_AT)

    def report_length(self, planned_seconds: float) -> None:
        """Say how long the training is, if that is plainly less or more than was planned."""
        seconds = self.progress.seconds
        if not _is_wrong(seconds, planned_seconds):
            return
        self.expected *= seconds / planned_seconds
        self.job.context.reporter.message(
            f"{seconds:.0f} s are left for training, not {planned_seconds:.0f} s: about {about(round(self.expected))} steps"
        )

    def __call__(self, result: StepResult) -> None:
        num_steps, seconds = result.step - self._first_step, self.progress.spent - self._begin
        if not self._checks or num_steps < MIN_STEPS or seconds < self._checks[0] * self._length:
            return
        self._checks.pop(0)
        expected = result.step + num_steps / seconds * max(self.progress.seconds - self.progress.spent, 0.0)
        if _is_wrong(expected, self.expected):
            self.job.context.reporter.message(
                f"at its present pace the training will have about {about(round(expected))} steps, not {about(round(self.expected))}"
            )
            self.expected = expected


def _is_wrong(value: float, announced: float) -> bool:
    """Whether a number that was announced should be corrected."""
    return announced > 0.0 and not 1.0 / MAX_DEVIATION <= value / announced <= MAX_DEVIATION


def step_forecast(job: TrainingJob, progress: Progress, spent: float, first_step: int) -> list[Listener]:
    """What corrects the number of steps of a training that ends by the clock.

    Args:
        spent: Seconds of it that earlier processes took.
        first_step: Number of steps that they took.
    """
    if not isinstance(progress, TimeProgress):
        return []
    forecast = StepForecast(job, progress, first_step)
    if spent == 0.0 and job.plan.train_s:
        forecast.report_length(job.plan.train_s)
    return [forecast]


class LongerTraining:
    """Called after each step of a training whose budget was divided on crowded cores. progress: its progress, which is made longer."""

    def __init__(self, job: TrainingJob, progress: TimeProgress) -> None:
        self.job, self.progress = job, progress
        self._meter = CrowdingMeter()
        self._num_checks = 0
        self._is_reported = False

    def __call__(self, result: StepResult) -> None:
        num_checks = math.floor(result.progress * NUM_CHECKS)
        if num_checks <= self._num_checks:
            return
        self._num_checks = num_checks
        world, budget = self.job.world, self.job.plan.budget_s
        # Of the training so far: a moment says little of what will follow
        crowding = world.broadcast(self._meter.read())
        if budget is None or crowding >= self.job.context.crowding:
            return
        remaining = remaining_training(budget, self.job.context, crowding)
        gain = world.broadcast(self.progress.spent + remaining - self.progress.seconds)
        if gain > MIN_GAIN * self.progress.seconds:
            self._report_once()
            self.progress.extend(self.progress.seconds + gain)

    def _report_once(self) -> None:
        if not self._is_reported:
            self.job.context.reporter.message(
                "other programs use the cores less now, so time that was reserved for the report goes to training"
            )
        self._is_reported = True


def longer_training(job: TrainingJob, progress: Progress, is_divided_now: bool) -> list[Listener]:
    """What makes a training longer, if its budget was divided on crowded cores, by this process."""
    if not is_divided_now or not isinstance(progress, TimeProgress) or progress.only_training:
        return []
    return [LongerTraining(job, progress)] if job.context.crowding >= MIN_CROWDING else []


def check_tensorboard(config: TrainConfig) -> None:
    """Raise DataError if TensorBoard is asked for and is not installed. Called before any work is done."""
    if config.tensorboard:
        require("tensorboard", extra="track", purpose="tensorboard=true")


@contextmanager
def tensorboard_listeners(config: TrainConfig, folder: Path, is_main: bool) -> Iterator[list[Listener]]:
    """Within this context, give the callbacks after each step that write for TensorBoard, if any; then close their file.

    Args:
        config: Its `tensorboard` says whether anything is written.
        folder: Folder of the file.
        is_main: Whether this process writes.
    """
    if not config.tensorboard or not is_main:
        yield []
        return
    check_tensorboard(config)
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def write(result: StepResult) -> None:
        scalars = _named("loss", result.losses) | _named("grad_norm", result.grad_norms)
        for name, value in {**scalars, "learning_rate": result.lr_factor}.items():
            writer.add_scalar(f"train/{name}", value, result.step)
        if result.step % FLUSH_STEPS == 0:
            writer.flush()

    try:
        yield [write]
    finally:
        writer.close()


def _named(quantity: str, values: dict[str, float]) -> dict[str, float]:
    """Values by phase under the names that TensorBoard shows; a single phase is not named."""
    if len(values) == 1:
        return {quantity: next(iter(values.values()))}
    return {f"{quantity}_{phase}": value for phase, value in values.items()}
