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


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.09, 0.11])
def test_a_chunk_that_had_little_time_left_does_not_count_as_a_fast_one(seconds: float) -> None:
    """Chunks of which the third begins just before the time is up."""
    pace = measured_pace(lambda count: time.sleep(seconds), (1, 8, 32), 0.1)
    fixed, per_sample = pace._costs()
    assert fixed + 8 * per_sample > 0.7 * min(seconds, 0.1)


def test_without_alarms_no_chunk_begins_after_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.core.deadline.can_stop", lambda: False)
    counts: list[int] = []

    def draw(count: int) -> None:
        counts.append(count)
        time.sleep(0.05)

    measured_pace(draw, (1, 8, 32), 0.01)
    assert counts == [1]


def test_a_pace_is_scaled_by_its_parts() -> None:
    pace = Pace()
    pace.add(8, 1.8)
    pace.add(32, 4.2)  # 1 s, and 0.1 s for each
    assert pace.affordable(6.05) == 50
    assert pace.scaled(2.0, 1.0).affordable(6.05) == 40
    assert pace.scaled(1.0, 2.0).affordable(6.05) == 25


@pytest.mark.slow
def test_passages_that_take_too_long_are_said_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words, rng = [f"w{i}" for i in range(300)], random.Random(0)
    (tmp_path / "data").mkdir()
    for i in range(200):
        (tmp_path / "data" / f"{i}.txt").write_text(" ".join(rng.choices(words, k=2_000)))
    reporter = Lines()
    # As of samples a thousand times as long
    monkeypatch.setattr("anew.workflows.timing.sampling_trial.WHOLE_SAMPLES", 1000.0)
    anew.train(tmp_path / "data", tmp_path / "run", budget=20.0, reporter=reporter)
    assert any(line.startswith("a yes to Close? and Varied? needs about ") for line in reporter.lines)
