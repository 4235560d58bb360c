"""How fast samples are drawn, measured before the training."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

import anew
from anew.workflows.timing.pace import Pace
from anew.workflows.timing.sampling_trial import measured_pace
from reporters import Lines


def test_samples_that_are_not_over_in_time_take_that_long() -> None:
    pace = measured_pace(lambda count: time.sleep(0.02 * count), (1, 8, 32), 0.25)
    assert 0.1 < pace.seconds(32) < 5.0
    slow = measured_pace(lambda count: time.sleep(5.0), (1, 8), 0.05)
    assert slow.samples_within(1.0) < 60


def test_a_pace_is_scaled_by_its_parts() -> None:
    pace = Pace()
    pace.add(8, 1.8)
    pace.add(32, 4.2)  # 1 s, and 0.1 s for each
    assert pace.affordable(6.05) == 50
    assert pace.times(2.0, 1.0).affordable(6.05) == 40
    assert pace.times(1.0, 2.0).affordable(6.05) == 25


@pytest.mark.slow
def test_passages_that_take_too_long_are_said_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words, rng = [f"w{i}" for i in range(300)], random.Random(0)
    (tmp_path / "data").mkdir()
    for i in range(60):
        (tmp_path / "data" / f"{i}.txt").write_text(" ".join(rng.choices(words, k=900)))
    reporter = Lines()
    # As of samples a thousand times as long
    monkeypatch.setattr("anew.workflows.timing.sampling_trial.WHOLE_SAMPLES", 1000.0)
    anew.train(tmp_path / "data", tmp_path / "run", budget=20.0, reporter=reporter)
    assert any(line.startswith("a yes to Close? and Varied? needs about ") for line in reporter.lines)
