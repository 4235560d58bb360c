"""Where the report of a run goes, and what is written of it: report/ holds the best-founded one of the present weights."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anew.core import files
from anew.core import settings as cfg
from anew.core.provenance import command_line
from anew.core.reporter import Reporter
from anew.errors import RunError
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.reporting.content import ReportContent
from anew.evaluation.reporting.model_card import write_card
from anew.evaluation.reporting.outlook import outlook
from anew.evaluation.reporting.report import Basis, EvaluationReport, write_report
from anew.evaluation.score import Score
from anew.planning.pilots import describe_pilots
from anew.runs import events as events_file
from anew.runs.paths import WEIGHTS
from anew.runs.record import RunRecord
from anew.sampling.samples import Samples

REPORT, EARLIER = "report", "reports"  # folders of a run: the report, and those that others took the place of
EARLIER_SAMPLE = re.compile(r"(\d{4,}(-[\w-]+)?|samples|final)\.\w+")  # names that `Samples.save` and `save_sheet` give
CURVE_POINTS = 1000  # of the training curve that a report draws


@dataclass
class Measurements:
    """What an evaluation measured, all of it or up to where it was stopped."""

    scores: list[Score] = field(default_factory=list)
    copies: CopyTestResult | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ReportPlace:
    """Where a report of a run goes.

    Attributes:
        run: The run's folder.
        basis: What the report rests on.
        better: What the report that stays rests on, where it measured more samples of the same weights.
    """

    run: Path
    basis: Basis
    better: Basis | None

    @classmethod
    def choose(cls, run: Path, samples: int) -> ReportPlace:
        """The place of a report that measures so many samples of the run's present weights."""
        weights = run / WEIGHTS
        digest = ""
        if weights.exists():
            with weights.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        basis = Basis(samples, digest, datetime.now(UTC).isoformat(timespec="seconds"))
        earlier = _basis(run / REPORT)
        stays = earlier is not None and earlier.weights == digest != "" and earlier.samples > samples
        return cls(run, basis, earlier if stays else None)

    @property
    def is_best(self) -> bool:
        """Whether the report becomes that of the run."""
        return self.better is None

    def make_room(self, reporter: Reporter) -> Path:
        """The folder to write into; a report that loses its place is kept in reports/, which is said."""
        if self.better is not None:
            out = _unused(self.run / EARLIER, self.basis.time)
            reporter.message(
                f"{self.run / REPORT} stays as it is, since it measured more samples of these weights ({self.better.samples:,}); "
                f"the report of {self.basis.samples:,} is in {out}"
            )
            return out
        out, earlier = self.run / REPORT, _basis(self.run / REPORT)
        if earlier is not None:
            kept = _unused(self.run / EARLIER, earlier.time)
            kept.parent.mkdir(exist_ok=True)
            out.rename(kept)
            reporter.message(f"the earlier report is kept in {kept}; samples and README.md are replaced")
        return out


def _basis(folder: Path) -> Basis | None:
    """What the report in a folder rests on; None where there is none, or where it does not say."""
    try:
        value = files.read_json(folder / "report.json")["basis"]
        basis = Basis(**value)
        datetime.fromisoformat(basis.time)
    except (RunError, OSError, KeyError, TypeError, ValueError):
        return None
    fits = isinstance(basis.samples, int) and isinstance(basis.weights, str)
    return basis if fits else None


def _unused(folder: Path, time: str) -> Path:
    """A folder named by a time, with a number where that is taken."""
    files.check_folder(folder)
    name = datetime.fromisoformat(time).strftime("%Y-%m-%dT%H-%M-%S")
    places = (folder / (name if number == 1 else f"{name}-{number}") for number in range(1, 10_000))
    return next(place for place in places if not place.exists())


def write_run_report(
    place: ReportPlace, record: RunRecord, measurements: Measurements, content: ReportContent, reporter: Reporter
) -> EvaluationReport:
    """Write the report of a run and, where it is the best-founded one, the model card.

    Args:
        place: Where it goes.
        record: Of the run.
        measurements: What was measured.
        content: What it shows of the samples.
        reporter: Is told where it is, where that is not report/.
    """
    history, out = _history(place.run), place.make_room(reporter)
    report = EvaluationReport.of(
        measurements.scores,
        measurements.copies,
        run=place.run.name,
        family=record.family.name,
        modality=record.data.modality,
        notes=measurements.notes,
        steps=max((event["step"] for event in history), default=None),
        outlook=outlook(events_file.read(place.run / events_file.NAME), record.plan.epochs),
        folder=out,
        basis=place.basis,
    )
    write_report(
        out,
        report,
        content=content,
        history=history,
        settings={"family": record.family.config, "data": record.data.config, "train": record.train},
        plan=cfg.to_json(record.plan),
        command=command_line(),
    )
    if place.is_best:
        write_card(place.run, record.model_dump(), report, describe_pilots(record.plan.pilots))
    return report


def save_samples(samples: Samples, folder: Path) -> None:
    """Write samples and their sheet in the place of those of an earlier evaluation, whose names may differ (labels do).

    Everything else in the folder stays: previews of training, the user's own files.
    """
    for path in folder.glob("*"):
        if EARLIER_SAMPLE.fullmatch(path.name):
            path.unlink()
    samples.save(folder)
    samples.save_sheet(folder, "final")


def warnings(folder: Path) -> list[str]:
    """What training warned of, in its last part, as sentences: a run that was given more time may have recovered."""
    texts = [e for e in events_file.read(folder / events_file.NAME) if e["event"] == "warning" and e["text"]]
    return [f"Warning at step {e['step']:,} of training: {e['text']}." for e in texts[-1:]]


def _history(folder: Path) -> list[dict[str, Any]]:
    steps = [e for e in events_file.read(folder / events_file.NAME) if e["event"] == "step"]
    every = max(1, len(steps) // CURVE_POINTS)
    return steps[::every]
