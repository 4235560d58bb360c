"""Steps and seconds that were said before a training are corrected early where they turn out to be others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anew.core import extras
from anew.errors import DataError
from anew.planning.train_config import TrainConfig
from anew.training.progress import StepProgress, TimeProgress
from anew.workflows import step_listeners
from anew.workflows.step_listeners import step_forecast, tensorboard_listeners
from reporters import Lines


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
        "100 s are left for training, not 200 s: about 1,000 steps"
    ]
    assert not lines_of(job_of(1_000, train_s=110.0), [10.0] * 10)
    assert not lines_of(job_of(500, train_s=200.0), [10.0] * 5, spent=50.0)  # said by what continues it


def test_a_training_of_a_number_of_steps_has_no_forecast() -> None:
    assert step_forecast(job_of(10), StepProgress(10), 0.0, 0) == []


def test_a_missing_package_is_said_before_data_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    monkeypatch.setattr(step_listeners, "require", extras.require)
    with pytest.raises(DataError, match="tensorboard=true needs the package tensorboard"):
        step_listeners.check_tensorboard(TrainConfig(tensorboard=True))
    step_listeners.check_tensorboard(TrainConfig())


def test_nothing_is_written_where_it_is_not_asked_for(tmp_path: Path) -> None:
    with tensorboard_listeners(TrainConfig(), tmp_path, is_main=True) as listeners:
        assert listeners == []
    with tensorboard_listeners(TrainConfig(tensorboard=True), tmp_path, is_main=False) as listeners:
        assert listeners == []
    assert not list(tmp_path.iterdir())
