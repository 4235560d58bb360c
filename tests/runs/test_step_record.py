"""The record of how steps were taken, by which a run is replayed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anew.errors import RunError
from anew.runs.step_record import step_record

Line = dict[str, object]


def log(path: Path, *lines: Line) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def step(number: int, progress: float) -> Line:
    return {"event": "step", "step": number, "progress": progress}


def threads(number: int, count: int) -> Line:
    return {"event": "threads", "step": number, "threads": count}


def test_threads_are_read_by_the_step_that_they_took(tmp_path: Path) -> None:
    record = step_record(log(tmp_path / "log", threads(1, 2), step(1, 0.1), step(2, 0.2)))
    assert record.threads == {0: 2} and list(record.progress) == [0.1, 0.2]


def test_a_missing_step_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no record of step 2"):
        step_record(log(tmp_path / "log", step(1, 0.1), step(3, 0.3)))


def test_steps_that_were_taken_back_are_not_in_the_record(tmp_path: Path) -> None:
    """The record had seven steps of a training of five, with two that a loss that was not finite had taken back."""
    first = [threads(1, 2), *(step(number, number / 20) for number in range(1, 5)), threads(5, 4)]
    first += [step(number, number / 20) for number in range(5, 8)]
    first += [{"event": "validation", "step": number, "loss": 1.0} for number in (2, 6)]
    back = {"event": "non_finite", "phase": "main", "step": 7, "back_to": 3}
    record = step_record(log(tmp_path / "log", *first, back, step(4, 0.7), step(5, 0.75)))
    assert list(record.progress) == [0.05, 0.1, 0.15, 0.7, 0.75] and record.validated == {2}
    assert record.threads == {0: 2, 3: 4}  # the number stays as it was
    assert record.restores == {3: (0.5, 12)}


def test_a_second_return_lowers_the_rate_further_unless_the_first_was_overcome(tmp_path: Path) -> None:
    def back(number: int, to: int) -> Line:
        return {"event": "non_finite", "step": number, "back_to": to}

    steps = [step(number, 0.1) for number in range(1, 13)]
    again = step_record(log(tmp_path / "again", *steps[:5], back(5, 0), *steps[:7], back(7, 4), *steps[4:]))
    assert again.restores == {0: (0.5, 11), 4: (0.25, 11)}
    overcome = step_record(log(tmp_path / "overcome", *steps[:5], back(5, 2), *steps[2:12], back(12, 10), *steps[10:]))
    assert overcome.restores == {2: (0.5, 9), 10: (0.5, 15)} and len(overcome.progress) == 12
