"""Contents of a run's page: plan, curves, samples over time, warnings."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from anew.core.wording import short_training_warning
from anew.runs import events
from anew.runs.record import RunRecord
from anew.studio_app import run_summary
from anew.studio_app.jobs import Job
from anew.studio_app.run_log import RunLog

MAX_LOGS = 12  # that stay in memory: each open page follows one; chosen
CURVE_POINTS = 900  # points of a curve at most: about one for each pixel of a wide window
TREND_POINTS = 300  # points of the smoothed curve, which has no detail to lose
# Sheets of samples during training, the latest ones: each is a position of the slider, which has some hundred pixels.
MAX_SHEETS = 400


class RunLogs:
    """Logs of the runs that were shown last. Thread-safe."""

    def __init__(self) -> None:
        self._logs: OrderedDict[Path, RunLog] = OrderedDict()
        self._lock = threading.Lock()

    def curves(self, run: Path, points: int = CURVE_POINTS) -> list[dict[str, object]]:
        """The curves of a run, its codec and its pilots, as JSON values.

        Args:
            run: Folder of the run.
            points: About the largest number of points of each curve.
        """
        with self._lock:
            return [
                {"title": title, "curves": self._curves(path, points)}
                for title, path in _trainings(run)
                if (path / events.NAME).is_file()
            ]

    def _curves(self, path: Path, points: int) -> list[dict[str, object]]:
        log = self._refreshed(path)
        curves = []
        for name, curve in log.curves.items():
            steps, values = curve.thinned(points)
            value: dict[str, object] = {"name": name, "steps": steps, "values": values}
            if name.startswith("loss"):
                trend_steps, trend = curve.smoothed(TREND_POINTS)
                value["trend"] = {"steps": trend_steps, "values": trend}
            curves.append(value)
        return curves

    def live(self, run: Path) -> dict[str, object]:
        """The newest figures of a run, as JSON values."""
        with self._lock:
            log = self._refreshed(run)
            validation = log.curves.get("validation")
            return {
                "last": dict(log.last),
                "kept_step": log.kept_step,
                "is_log_damaged": log.is_damaged,
                "rate": log.examples_per_second,
                "warnings": [{"step": step, "text": text} for step, text in log.warnings],
                "validation": validation.values[-1] if validation is not None and validation.values else None,
            }

    def _refreshed(self, run: Path) -> RunLog:
        log = self._logs.pop(run, None) or RunLog(run / events.NAME)
        self._logs[run] = log
        while len(self._logs) > MAX_LOGS:
            self._logs.popitem(last=False)
        log.refresh()
        return log


def _trainings(run: Path) -> list[tuple[str, Path]]:
    """(title, folder) of the training runs in a run: its own, that of its codec, and its pilots."""
    trainings = [("", run), ("codec", run / "codec")]
    pilots = run / "pilots"
    with contextlib.suppress(OSError):  # there are none, or a training has just removed them
        folders = [] if pilots.is_symlink() else sorted(pilots.iterdir())
        trainings += [(f"trying {path.name}", path) for path in folders if not path.is_symlink()]
    return trainings


def detail(name: str, run: Path, job: Job | None, logs: RunLogs) -> dict[str, object]:
    """Contents of a run's page besides the curves, as JSON values.

    Args:
        name: Name of the run.
        run: Its folder.
        job: The newest job that writes it; None without one.
    """
    value = run_summary.summary(name, run, job) | logs.live(run)
    sheets = run_summary.sheets(run)
    final = run_summary.final_sheet(run)
    has_weights = run_summary.has_weights(run)
    value |= {
        "sheets": [{"step": step, "file": file} for step, file in sheets[-MAX_SHEETS:]],
        "final": final,
        "has_report": (run / "report" / "report.html").is_file(),
        "has_weights": has_weights,
    }
    record = run_summary.read_record(run)
    value["own_code_commands"] = run_summary.own_code_commands(run, record, has_weights=has_weights)
    if isinstance(record, RunRecord):
        value |= {
            "plan": run_summary.plan_lines(record),
            "pilots": run_summary.pilots(record),
            "notes": list(record.data.notes),
            "shape": [record.spec.length] if hasattr(record.spec, "length") else list(record.spec.shape),
            "settings": dict(record.request.settings),
            "short_training": short_training_warning(_last_step(value)) if record.status == "finished" else "",
        }
    return value


def _last_step(value: Mapping[str, object]) -> int | None:
    """The last step in the contents of a run's page; None of a run that took none, since its family needs none."""
    step = value["step"]
    return step if isinstance(step, int) and step > 0 else None
