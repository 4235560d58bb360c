"""How long a training is, looked at again after each step: its forecast is corrected, or its time is extended.

The number of steps and the time are worked out before the first step, from a few timed ones. Preparing may take longer than expected,
and other programs may use the cores more or less from then on: where they use them less, the report no longer needs its reserve.
"""

from __future__ import annotations

import math

from anew.core.machine.threads import MIN_SLOWDOWN, SlowdownMeter
from anew.errors import about
from anew.planning.budget import remaining_training
from anew.training.loop import Listener
from anew.training.progress import Progress, TimeProgress
from anew.training.trainer import StepResult
from anew.workflows.job import TrainingJob

# Shares of a training after which its pace is looked at: the first steps of a training are slow by themselves; chosen. One correction
# is said at most, since several in a row are worth nothing.
CHECKED_AT = (0.1, 0.3)
MIN_STEPS = 8  # steps whose pace says something: the first ones are slow; chosen
# Ratio of an expected number of steps to the announced one from which on it is corrected: validation and previews take up to a tenth of the
# time; chosen.
MAX_DEVIATION = 1.25
NUM_CHECKS = 10  # times that the slowdown is checked in a training, evenly; chosen
MIN_GAIN = 0.1  # share of the training that it must be longer by: less changes nothing that can be seen; chosen


class StepForecast:
    """Called after each step of a training that ends by the clock. first_step: number of steps that were taken before."""

    def __init__(self, job: TrainingJob, progress: TimeProgress, first_step: int) -> None:
        self.job, self.progress = job, progress
        self.announced = self.expected = float(job.plan.expected_steps or 0)
        self._first_step, self._begin = first_step, progress.spent
        self._length = progress.seconds - self._begin
        self._checks = list(CHECKED_AT)

    def report_length(self, planned_seconds: float) -> None:
        """Say how long the training is, if that is plainly less or more than was planned; its steps are said once their pace is known."""
        seconds = self.progress.seconds
        if not _is_wrong(seconds, planned_seconds):
            return
        self.expected *= seconds / planned_seconds
        self.job.context.reporter.message(
            f"{seconds:.0f} s are left for training, not {planned_seconds:.0f} s, since preparing it took "
            f"{'longer' if seconds < planned_seconds else 'less'} than planned"
        )

    def __call__(self, result: StepResult) -> None:
        num_steps, seconds = result.step - self._first_step, self.progress.spent - self._begin
        if not self._checks or num_steps < MIN_STEPS or seconds < self._checks[0] * self._length:
            return
        self._checks.pop(0)
        expected = result.step + num_steps / seconds * max(self.progress.seconds - self.progress.spent, 0.0)
        if _is_wrong(expected, self.expected):
            self.job.context.reporter.message(
                f"at its present pace the training will have about {about(round(expected))} steps, not {about(round(self.announced))}"
            )
            self._checks.clear()


def _is_wrong(value: float, announced: float) -> bool:
    """Whether a number that was announced should be corrected."""
    return announced > 0.0 and not 1.0 / MAX_DEVIATION <= value / announced <= MAX_DEVIATION


def step_forecast(job: TrainingJob, progress: Progress, spent: float, first_step: int) -> list[Listener]:
    """Listeners that correct the forecast number of steps of a training that ends by the clock.

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
    """Called after each step of a training whose budget was divided on busy cores. progress: its progress, which is made longer."""

    def __init__(self, job: TrainingJob, progress: TimeProgress) -> None:
        self.job, self.progress = job, progress
        self._meter = SlowdownMeter()
        self._num_checks = 0
        self._is_reported = False

    def __call__(self, result: StepResult) -> None:
        num_checks = math.floor(result.progress * NUM_CHECKS)
        if num_checks <= self._num_checks:
            return
        self._num_checks = num_checks
        world, budget = self.job.world, self.job.plan.budget_s
        # The slowdown is that of the training so far, since that of a moment says little of what will follow
        slowdown = world.broadcast(self._meter.read())
        if budget is None or slowdown >= self.job.context.slowdown:
            return
        remaining = remaining_training(budget, self.job.context, slowdown)
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
    """Listeners that lengthen a training whose budget this process divided on busy cores."""
    if not is_divided_now or not isinstance(progress, TimeProgress) or progress.only_training:
        return []
    return [LongerTraining(job, progress)] if job.context.slowdown >= MIN_SLOWDOWN else []
