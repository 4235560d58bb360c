"""Steps and seconds that were said before a training are corrected early where they turn out to be others, and the training gets more
time where other programs use the cores less than at the beginning."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from anew.core.processes.world import World
from anew.planning.budget import longest_training
from anew.planning.context import RunContext
from anew.training.progress import ReplayProgress, StepProgress, TimeProgress
from anew.workflows.timing import training_length
from anew.workflows.timing.training_length import LongerTraining, longer_training, step_forecast
from reporters import Lines

BUDGET = 300.0


class Clocked(TimeProgress):
    """Progress of 100 s by a clock that the test moves."""

    now = 0.0

    @property
    def spent(self) -> float:
        return self.now


def job_of(expected_steps: int, train_s: float = 100.0) -> Any:
    plan = SimpleNamespace(expected_steps=expected_steps, train_s=train_s)
    return SimpleNamespace(plan=plan, context=SimpleNamespace(reporter=Lines()))


def lines_of(job: Any, rates: list[float], spent: float = 0.0) -> list[str]:
    """What is said in a training with so many steps a second in each tenth of it."""
    progress = Clocked(100.0)
    progress.now = spent
    (listener,) = step_forecast(job, progress, spent, first_step=0)
    step = 0.0
    for rate in rates:
        for _ in range(10):
            progress.now += 1.0
            step += rate
            listener(SimpleNamespace(step=int(step)))  # type: ignore[arg-type]
    return list(job.context.reporter.lines)


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (10.0, []),
        (9.0, []),
        (3.0, ["at its present pace the training will have about 300 steps, not 1,000"]),
        (20.0, ["at its present pace the training will have about 2,000 steps, not 1,000"]),
    ],
)
def test_a_pace_that_is_plainly_another_is_said_once(rate: float, said: list[str]) -> None:
    assert lines_of(job_of(1_000), [rate] * 10) == said


def test_a_pace_that_changes_is_looked_at_again() -> None:
    assert lines_of(job_of(1_000), [10.0, *[2.0] * 9]) == [
        "at its present pace the training will have about 470 steps, not 1,000"
    ]


def test_time_that_preparing_took_is_said_before_the_first_step() -> None:
    assert lines_of(job_of(2_000, train_s=200.0), [10.0] * 10) == [
        "100 s are left for training, not 200 s, since preparing it took longer than planned"
    ]
    assert lines_of(job_of(2_000, train_s=200.0), [2.0, *[20.0] * 9])[1:] == [
        "at its present pace the training will have about 200 steps, not 2,000"
    ]
    assert not lines_of(job_of(1_000, train_s=110.0), [10.0] * 10)
    assert not lines_of(job_of(500, train_s=200.0), [10.0] * 5, spent=50.0)  # said by what continues it


def test_a_training_of_a_number_of_steps_has_no_forecast() -> None:
    assert step_forecast(job_of(10), StepProgress(10), 0.0, 0) == []


class Meter:
    """A meter of slowdown that says what it is told."""

    slowdown = 1.0

    def read(self) -> float:
        return self.slowdown


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> type[Meter]:
    monkeypatch.setattr(Meter, "slowdown", 1.0)
    monkeypatch.setattr(training_length, "SlowdownMeter", Meter)
    return Meter


def slowed_job(slowdown: float, budget: float | None = BUDGET) -> Any:
    context = RunContext(Lines(), time.monotonic(), World(), slowdown=slowdown)
    return SimpleNamespace(world=context.world, context=context, plan=SimpleNamespace(budget_s=budget))


def test_what_the_report_does_not_need_goes_to_the_training(meter: type[Meter]) -> None:
    job, progress = slowed_job(4.0), TimeProgress(180.0)
    (listener,) = longer_training(job, progress, True)
    meter.slowdown = 4.0
    listener(SimpleNamespace(progress=0.11))
    assert progress.seconds == 180.0 and not job.context.reporter.lines
    meter.slowdown = 1.0
    listener(SimpleNamespace(progress=0.15))  # looked at ten times in a training
    assert progress.seconds == 180.0
    listener(SimpleNamespace(progress=0.21))
    assert progress.seconds == pytest.approx(BUDGET - 27.0 - 2.2 - 7.0, abs=1.0)
    assert "time that was reserved for the report goes to training" in job.context.reporter.lines[-1]
    before = progress.seconds
    meter.slowdown = 0.9  # a further gain is too small
    listener(SimpleNamespace(progress=0.31))
    assert progress.seconds == before and len(job.context.reporter.lines) == 1


def test_that_the_training_is_made_longer_is_said_once(meter: type[Meter]) -> None:
    job, progress = slowed_job(4.0), TimeProgress(90.0)
    listener = LongerTraining(job, progress)
    meter.slowdown = 2.0
    listener(SimpleNamespace(progress=0.11))
    before = progress.seconds
    meter.slowdown = 1.0
    progress.seconds /= 2.0
    listener(SimpleNamespace(progress=0.21))
    assert progress.seconds > before / 2.0 and len(job.context.reporter.lines) == 1


def test_what_the_report_needs_on_idle_cores_is_kept_for_it(meter: type[Meter]) -> None:
    budget, reading = 60.0, 15.0
    job = slowed_job(4.0, budget)
    length = longest_training(budget) - reading  # all that idle cores leave for training
    progress = TimeProgress(length, spent=0.91 * length)
    job.context = replace(job.context, started=time.monotonic() - reading - 0.91 * length)
    LongerTraining(job, progress)(SimpleNamespace(progress=0.91))
    assert progress.seconds == length and not job.context.reporter.lines


def test_a_training_whose_end_is_not_that_of_a_budget_keeps_it(meter: type[Meter]) -> None:
    timed = TimeProgress(60.0, only_training=True)
    for progress in (StepProgress(5), ReplayProgress([0.5]), timed):
        assert not longer_training(slowed_job(4.0), progress, True)
    assert not longer_training(slowed_job(4.0), TimeProgress(60.0), False)  # its budget began with another process
    assert not longer_training(slowed_job(1.0), TimeProgress(60.0), True)  # nothing was kept for busy cores
