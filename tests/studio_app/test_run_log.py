"""What is shown of a log equals the log, however it grew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anew.runs import events
from anew.studio_app import run_log
from anew.studio_app.run_log import Curve, RunLog
from studio_runs import write_run


def step(number: int, loss: float) -> str:
    return json.dumps(
        {
            "event": "step",
            "time": 1.0,
            "step": number,
            "progress": 0.1,
            "examples": number,
            "loss": loss,
            "seconds": number,
        }
    )


def test_a_growing_log_is_read_as_it_grows(root: Path, tmp_path: Path) -> None:
    whole = (write_run(tmp_path / "run", root / "runs" / "shapes", 2000) / "events.jsonl").read_bytes()
    path = tmp_path / "events.jsonl"
    log = RunLog(path)
    log.refresh()
    assert not log.curves
    for end in (10, 1000, 1001, 50_000, len(whole)):  # in the middle of lines
        path.write_bytes(whole[:end])
        log.path = path
        log.refresh()
    steps = [event for event in events.read(path) if event["event"] == "step"]
    assert list(log.curves["loss"].values) == [event["loss"] for event in steps] and log.last == steps[-1]
    checks = [event["loss"] for event in events.read(path) if event["event"] == "validation"]
    assert list(log.curves["validation"].values) == checks and len(checks) == 4
    assert log.examples_per_second == pytest.approx(800.0)


def test_a_log_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f"{step(number, number)}\n" for number in range(1, 30)))
    log = RunLog(path)
    log.refresh()
    events.truncate(path, 10)
    log.refresh()
    assert list(log.curves["loss"].steps) == list(range(1, 11))
    path.unlink()
    log.refresh()
    assert not log.curves and not log.last


def test_steps_that_were_taken_back_are_not_drawn(tmp_path: Path) -> None:
    restored = json.dumps({"event": "non_finite", "time": 1.0, "phase": "main", "step": 4, "back_to": 2})
    lines = [step(1, 1.0), step(2, 2.0), step(3, 9.0), restored, step(3, 3.0), "{damaged", '{"event": "step"}']
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    log = RunLog(tmp_path / "events.jsonl")
    log.refresh()
    assert list(log.curves["loss"].values) == [1.0, 2.0, 3.0]
    assert "not finite" in log.warnings[0][1]


def test_thinned_points_are_points_of_the_log() -> None:
    curve = Curve()
    for number in range(10_000):
        curve.add(number, 100.0 if number == 7777 else (number * 7919) % 1000 / 1000)
    steps, values = curve.thinned(300)
    assert len(steps) <= 304 and steps == sorted(steps) and steps[0] == 0 and steps[-1] == 9999
    assert all(values[place] == curve.values[number] for place, number in enumerate(steps))
    assert 100.0 in values and min(values) == 0.0  # nothing that sticks out is lost


def test_an_average_of_a_constant_is_the_constant() -> None:
    curve = Curve()
    for number in range(1000):
        curve.add(number, 2.5)
    steps, values = curve.smoothed(100)
    assert steps[-1] == 999 and all(abs(value - 2.5) < 1e-9 for value in values)
    assert Curve().smoothed(10) == ([], [])


def test_a_log_of_any_size_takes_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "MAX_POINTS", 100)
    monkeypatch.setattr(run_log, "PIECE", 1000)
    path = tmp_path / "events.jsonl"
    many_names = [
        json.dumps({"event": "step", "step": number, "progress": 0} | {f"k{number}-{k}": 1 for k in range(40)})
        for number in range(9)
    ]
    warnings = [json.dumps({"event": "warning", "step": 1, "text": "t"})] * (2 * run_log.MAX_WARNINGS)
    steps = [step(number, 2.0) for number in range(5000)]
    path.write_text(
        "\n".join([*many_names, "x" * 10 * events.MAX_LINE_BYTES, *warnings, *steps, "y" * 10 * events.MAX_LINE_BYTES])
    )
    log = RunLog(path)
    log.refresh()
    assert len(log.curves) == run_log.MAX_CURVES and len(log.warnings) == run_log.MAX_WARNINGS
    assert len(log.seconds.steps) <= 104 and log.last["step"] == 4999 and len(log._incomplete) <= events.MAX_LINE_BYTES


def test_of_a_long_log_pieces_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_SHOWN_BYTES", 2 * events.PIECE)
    path = tmp_path / "events.jsonl"
    count = 6 * events.PIECE // len(step(50_000, 2.0))
    path.write_text("".join(f"{step(number, 2.0)}\n" for number in range(count)))
    log = RunLog(path)
    log.refresh()
    assert 0.2 * count < len(log.curves["loss"].steps) < 0.5 * count
    with open(path, "a") as file:
        file.write(f"{step(count, 2.0)}\n")
    log.refresh()
    assert log.last["step"] == count


def test_the_step_whose_weights_are_kept_is_known_until_training_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = RunLog(path)
    path.write_text(step(1, 1.0) + "\n" + '{"event": "kept", "time": 1.0, "step": 0}' + "\n")
    log.refresh()
    assert log.kept_step == 0
    with path.open("a") as file:
        file.write(step(2, 1.0) + "\n")
    log.refresh()
    assert log.kept_step is None


def test_lines_that_are_no_events_are_known(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(f"{step(1, 1.0)}\n{step(2, 1.0)[:20]}")  # the end is still being written
    log = RunLog(path)
    log.refresh()
    assert not log.is_damaged
    path.write_text(f"{step(1, 1.0)}\ngarbage\n{step(2, 1.0)}\n")
    log = RunLog(path)
    log.refresh()
    assert log.is_damaged and log.last["step"] == 2
