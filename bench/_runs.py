"""What the benchmarks read of a run, as records of the package: type checking sees a field that is there no more."""

from __future__ import annotations

import json
from pathlib import Path

import _common  # noqa: F401  (with it the package of this checkout is found)
from anew.runs import events, report_record
from anew.runs import record as run_record
from anew.runs.events import Event
from anew.runs.record import RunRecord
from anew.runs.report_record import ReportRecord, ScoreRecord


def read_status(run: Path) -> str:
    """How far a run is: begun, training, ..."""
    return run_record.read(run / "config.json").status


def read_config(run: Path) -> RunRecord:
    """The config.json of a run whose training has begun."""
    config = run_record.read(run / "config.json")
    if not isinstance(config, RunRecord):
        raise SystemExit(f"the training of {run} has not begun")
    return config


def read_steps(run: Path) -> list[Event]:
    """The steps in the log of a run; none where there is no log yet."""
    return list(events.steps_of(run))


def train_seconds(run: Path) -> tuple[float | None, int]:
    """Seconds since training began and the number of the last step, as the run's log has them."""
    steps = read_steps(run)
    return (steps[-1]["seconds"], steps[-1]["step"]) if steps else (None, 0)


def seconds_between(earlier: Event, later: Event) -> float:
    """Seconds of training from one step to another."""
    begin, end = earlier["seconds"], later["seconds"]
    assert begin is not None and end is not None
    return end - begin


def read_report(folder: Path) -> ReportRecord:
    """The report.json of a run, or of a folder that `anew evaluate` wrote into."""
    return report_record.read_record(folder)


def by_name(scores: list[ScoreRecord]) -> dict[str, ScoreRecord]:
    return {score.name: score for score in scores}


def read_comparison(folder: Path) -> list[dict[str, ScoreRecord]]:
    """Scores by name of each run in the compare.json of a folder."""
    runs = json.loads((folder / "compare.json").read_text())["runs"]
    return [by_name([ScoreRecord.model_validate(score) for score in run["scores"]]) for run in runs]
