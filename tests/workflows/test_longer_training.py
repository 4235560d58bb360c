"""More time for the training where other programs use the cores less than at the beginning."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from anew.core.world import World
from anew.planning.budget import longest_training
from anew.planning.context import RunContext
from anew.training.progress import ReplayProgress, StepProgress, TimeProgress
from anew.workflows import fit
from anew.workflows import step_listeners as module
from anew.workflows.step_listeners import LongerTraining, longer_training
from reporters import Lines

BUDGET = 300.0


class Meter:
    """A meter of crowding that says what it is told."""

    crowding = 1.0

    def read(self) -> float:
        return self.crowding


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> type[Meter]:
    monkeypatch.setattr(Meter, "crowding", 1.0)
    monkeypatch.setattr(module, "CrowdingMeter", Meter)
    return Meter


def job_of(crowding: float, budget: float | None = BUDGET) -> Any:
    context = RunContext(Lines(), time.monotonic(), World(), crowding=crowding)
    return SimpleNamespace(world=context.world, context=context, plan=SimpleNamespace(budget_s=budget))


def test_what_the_report_does_not_need_goes_to_the_training(meter: type[Meter]) -> None:
    job, progress = job_of(4.0), TimeProgress(180.0)
    (listener,) = longer_training(job, progress, True)
    meter.crowding = 4.0
    listener(SimpleNamespace(progress=0.11))
    assert progress.seconds == 180.0 and not job.context.reporter.lines
    meter.crowding = 1.0
    listener(SimpleNamespace(progress=0.15))  # looked at ten times in a training
    assert progress.seconds == 180.0
    listener(SimpleNamespace(progress=0.21))
    assert progress.seconds == pytest.approx(BUDGET - 27.0 - 2.2 - 7.0, abs=1.0)
    assert "time that was reserved for the report goes to training" in job.context.reporter.lines[-1]
    before = progress.seconds
    meter.crowding = 0.9  # a further gain is too small
    listener(SimpleNamespace(progress=0.31))
    assert progress.seconds == before and len(job.context.reporter.lines) == 1


def test_that_the_training_is_made_longer_is_said_once(meter: type[Meter]) -> None:
    job, progress = job_of(4.0), TimeProgress(90.0)
    listener = LongerTraining(job, progress)
    meter.crowding = 2.0
    listener(SimpleNamespace(progress=0.11))
    before = progress.seconds
    meter.crowding = 1.0
    progress.seconds /= 2.0
    listener(SimpleNamespace(progress=0.21))
    assert progress.seconds > before / 2.0 and len(job.context.reporter.lines) == 1


def test_what_the_report_needs_on_idle_cores_is_kept_for_it(meter: type[Meter]) -> None:
    budget, reading = 60.0, 15.0
    job = job_of(4.0, budget)
    length = longest_training(budget) - reading  # all that idle cores leave for training
    progress = TimeProgress(length, spent=0.91 * length)
    job.context = replace(job.context, started=time.monotonic() - reading - 0.91 * length)
    LongerTraining(job, progress)(SimpleNamespace(progress=0.91))
    assert progress.seconds == length and not job.context.reporter.lines


def test_a_training_that_was_made_longer_is_resumed_with_its_length() -> None:
    plan = SimpleNamespace(steps=None, train_s=180.0, budget_s=BUDGET)
    job: Any = SimpleNamespace(
        plan=plan,
        request=SimpleNamespace(plan_from=None),
        train_config=SimpleNamespace(train_seconds=0.0),
        world=SimpleNamespace(size=2, device=None),
    )
    lengths = [fit._progress(job, 150.0, length, False) for length in (0.0, 260.0)]
    assert [progress.seconds for progress in lengths if isinstance(progress, TimeProgress)] == [180.0, 260.0]


def test_a_training_that_was_stopped_before_its_first_checkpoint_has_the_planned_time() -> None:
    """Sound took so long to read again that a resumed run had 1 s of the 28 s that it promised."""
    plan = SimpleNamespace(steps=None, train_s=28.0, budget_s=BUDGET)
    job: Any = SimpleNamespace(
        plan=plan,
        request=SimpleNamespace(plan_from=None),
        train_config=SimpleNamespace(train_seconds=0.0),
        world=World(),
        context=RunContext(Lines(), time.monotonic() - BUDGET, World(), crowding=1.0),
    )
    lengths = [fit._progress(job, 0.0, 0.0, is_divided_now) for is_divided_now in (True, False)]
    seconds = [progress.seconds for progress in lengths if isinstance(progress, TimeProgress)]
    assert seconds[0] <= 1.0 and seconds[1] == 28.0


def test_a_training_whose_end_is_not_that_of_a_budget_keeps_it(meter: type[Meter]) -> None:
    timed = TimeProgress(60.0, only_training=True)
    for progress in (StepProgress(5), ReplayProgress([0.5]), timed):
        assert not longer_training(job_of(4.0), progress, True)
    assert not longer_training(job_of(4.0), TimeProgress(60.0), False)  # its budget began with another process
    assert not longer_training(job_of(1.0), TimeProgress(60.0), True)  # nothing was kept for crowded cores
