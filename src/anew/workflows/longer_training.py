"""Extends the training when other programs use the cores less than before: the report no longer needs the reserve."""

from __future__ import annotations

import math

from anew.core.threads import CrowdingMeter
from anew.planning.budget import MIN_CROWDING, remaining_training
from anew.training.loop import Listener
from anew.training.progress import Progress, TimeProgress
from anew.training.trainer import StepResult
from anew.workflows.job import TrainingJob

NUM_CHECKS = 10  # times that the crowding is checked in a training, evenly; chosen
MIN_GAIN = 0.1  # share of the training that it must be longer by: less changes nothing that can be seen; chosen


class LongerTraining:
    """Called after each step of a training whose budget was divided on crowded cores.

    Args:
        job: The training.
        progress: Its progress, which is made longer.
    """

    def __init__(self, job: TrainingJob, progress: TimeProgress) -> None:
        self.job, self.progress = job, progress
        self._meter = CrowdingMeter()
        self._num_checks = 0
        self._is_said = False

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
        if not self._is_said:
            self.job.context.reporter.message(
                "other programs use the cores less now, so time that was reserved for the report goes to training"
            )
        self._is_said = True


def longer_training(job: TrainingJob, progress: Progress, is_divided_now: bool) -> list[Listener]:
    """What makes a training longer, if its budget was divided on crowded cores, by this process."""
    if not is_divided_now or not isinstance(progress, TimeProgress) or progress.only_training:
        return []
    return [LongerTraining(job, progress)] if job.context.crowding >= MIN_CROWDING else []
