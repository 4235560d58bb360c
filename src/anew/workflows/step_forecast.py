"""Corrects the number of steps and the time that were said before the training, where they turn out to be others.

Before the first step they are worked out from a few timed steps. Preparing may take longer than it was expected to, and other
programs may use the cores more or less from then on.
"""

from __future__ import annotations

from anew.errors import about
from anew.training.loop import Listener
from anew.training.progress import Progress, TimeProgress
from anew.training.trainer import StepResult
from anew.workflows.job import TrainingJob

# Shares of a training after which its pace is looked at: the first steps of a training are slow by themselves; chosen.
CHECKED_AT = (0.05, 0.3)
MIN_STEPS = 3  # steps whose pace says something; chosen
# Ratio from which on a number is corrected: validation and previews take up to a tenth of the time; chosen.
WRONG = 1.25


class StepForecast:
    """Called after each step of a training that ends by the clock.

    Args:
        job: The training.
        progress: Its progress.
        first_step: Number of steps that were taken before.
    """

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


def _is_wrong(value: float, said: float) -> bool:
    """Whether a number that was said should be corrected."""
    return said > 0.0 and not 1.0 / WRONG <= value / said <= WRONG


def step_forecast(job: TrainingJob, progress: Progress, spent: float, first_step: int) -> list[Listener]:
    """What corrects the number of steps of a training that ends by the clock.

    Args:
        job: The training.
        progress: Its progress.
        spent: Seconds of it that earlier processes took.
        first_step: Number of steps that they took.
    """
    if not isinstance(progress, TimeProgress):
        return []
    forecast = StepForecast(job, progress, first_step)
    if spent == 0.0 and job.plan.train_s:
        forecast.report_length(job.plan.train_s)
    return [forecast]
