"""Place and contents of the report of a run: report/ holds the report on the present weights that says most."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from anew.core import files
from anew.core import settings as cfg
from anew.core.provenance import Provenance
from anew.core.reporter import Reporter
from anew.core.wording import discarded_training, short_training_warning
from anew.errors import RunError, command
from anew.evaluation.reporting.content import ReportContent
from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.reporting.model_card import describe_kept_data, write_card
from anew.evaluation.reporting.outlook import outlook
from anew.evaluation.reporting.report import Basis, EvaluationReport, write_report
from anew.planning.pilots import describe_pilots
from anew.runs import events as events_file
from anew.runs.portable import relative_path
from anew.runs.record import RunRecord
from anew.runs.report_record import REPORT, record_or_none
from anew.runs.weights import weights_digest
from anew.sampling.samples import Samples
from anew.workflows.timed_sampling import TimedSampling

EARLIER_REPORTS = "reports"  # folder of a run with reports that were replaced
SAMPLE_NAMES = ".evaluated.json"  # a file in the folder of samples: names of the files that the last evaluation wrote
MAX_NAMES_BYTES = 2**24  # size of that file: names of a million samples
# Factor of the passes of an earlier report below which weights are about as good: in the outlook of a report a loss falls
# by a few percent in the whole second half of a training; chosen.
MORE_PASSES = 1.1
# Factor of the same from which passes are the same: data that is read again may give a few examples more or less; chosen
SAME_PASSES = 0.99
CURVE_POINTS = 1000  # points of the training curve in a report: about one for each pixel of its width


def basis_of(
    run: Path,
    report: EvaluationReport,
    samples: int,
    is_stopped: bool,
    passes: float | None,
    steps: int | None = None,
) -> Basis:
    """The basis of a report on a run's present weights.

    Args:
        run: The run's folder.
        samples: Number of samples that were drawn.
        is_stopped: Whether a signal ended the sampling or the measuring.
        passes, steps: Passes over the training data, and steps of the training, so far, if they are known.
    """
    return Basis(
        answers=sum(grade in ("good", "fair", "poor") for grade in report.grades.values()),
        measured=max((score.n or 0 for score in report.scores), default=0),
        samples=samples,
        weights=weights_digest(run),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        is_stopped=is_stopped,
        passes=passes,
        steps=steps,
    )


def is_better(earlier: Basis, basis: Basis) -> bool:
    """Whether an earlier report of the same weights, or of weights that are about as good, says more."""
    return earlier.rank > basis.rank and (_has_same_weights(earlier, basis) or _is_trained_little_more(earlier, basis))


def _has_same_weights(earlier: Basis, basis: Basis) -> bool:
    return earlier.weights == basis.weights != ""


def _is_trained_little_more(earlier: Basis, basis: Basis) -> bool:
    if earlier.passes is None or basis.passes is None:
        return False
    return SAME_PASSES * earlier.passes <= basis.passes < MORE_PASSES * earlier.passes


def make_room(run: Path, basis: Basis, reporter: Reporter) -> tuple[Path, bool]:
    """The folder to write a report into, and whether it becomes the report of the run.

    The report that is not the run's any more, or does not become it, is kept in reports/; this is reported.
    """
    out = run / REPORT
    earlier = _basis(run)
    if earlier is None:
        return out, True
    if is_better(earlier, basis):
        out = _unused(run / EARLIER_REPORTS, basis.time)
        subject = (
            "these weights" if _has_same_weights(earlier, basis) else "weights that were trained for nearly as long"
        )
        reporter.message(f"{run / REPORT} stays as it is, since it says more about {subject}; this report is in {out}")
        return out, False
    replaced = _unused(run / EARLIER_REPORTS, earlier.time)
    replaced.parent.mkdir(exist_ok=True)
    out.rename(replaced)
    reporter.message(f"the earlier report is kept in {replaced}; samples and README.md are replaced")
    return out, True


def _basis(run: Path) -> Basis | None:
    """The basis of a run's report; None if there is no report, or it has no valid basis."""
    report = record_or_none(run)
    if report is None or report.basis is None:
        return None
    try:
        datetime.fromisoformat(report.basis.time)
    except ValueError:
        return None
    return Basis(**report.basis.model_dump())


def _unused(folder: Path, time: str) -> Path:
    """The path of a folder named by a time, with a number if that exists already."""
    files.check_folder(folder)
    name = datetime.fromisoformat(time).strftime("%Y-%m-%dT%H-%M-%S")
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}"
    return path


def write_run_report(
    sampling: TimedSampling,
    measurements: Measurements,
    content: ReportContent,
    *,
    reporter: Reporter,
    replaced: EvaluationReport | None,
    out: Path | None,
) -> EvaluationReport:
    """Write the report of a run and, if it becomes the run's report, the model card.

    Args:
        sampling: The model of the run and its samples.
        measurements: The results.
        content: Items that the report shows.
        reporter: Receives where the report is, if that is not report/.
        replaced: A report on the same samples that this one completes and replaces.
        out: A folder for the report outside the run, which keeps its own; None for one in the run.
    """
    run, record = sampling.model.folder.path, sampling.model.record
    sampled, discarded = events_file.sampled_step(run), events_file.discarded_step(run)
    steps = sampled.get("step")
    passes = record.plan.passes(float(sampled.get("examples") or 0))
    course = _Course()
    curve = outlook(course.watched(run), passes)
    report = EvaluationReport.of(
        measurements,
        run=run.name,
        family=record.family.name,
        modality=record.data.modality,
        notes=[note.sentence for note in measurements.notes] + _discarded_note(discarded),
        steps=steps,
        outlook=replace(curve, is_discarded=bool(discarded)) if curve is not None else None,
    )
    basis = basis_of(run, report, len(sampling.samples), measurements.is_stopped, passes, steps)
    if out is not None:
        folder, is_best = out, False
    else:
        folder, is_best = _place(run, basis, replaced, reporter)
    provenance = Provenance.now(
        sampling.seed, record.data.fingerprint, training_seed=record.plan.seed, weights=basis.weights
    )
    report = replace(report, folder=folder, basis=basis, provenance=provenance)
    write_report(
        folder,
        report,
        content=content,
        history=_history(run, course.num_steps),
        checks=course.checks,
        settings={"family": record.family.config, "data": record.data.config, "train": record.train},
        plan=cfg.to_json(record.plan),
        # Without the steps of the weights that were kept, the log repeats nothing
        repeat="" if discarded else _repeating_command(run, record),
    )
    if is_best:
        write_card(
            run,
            report,
            data_path=record.data.path,
            parameters=record.plan.parameters,
            kept_data=describe_kept_data(record.family.config, record.spec),
            tried=describe_pilots(record.plan.pilots),
        )
    if (warning := short_training_warning(steps)) and replaced is None:
        reporter.message(warning)
    return report


def save_samples(samples: Samples, folder: Path) -> None:
    """Write samples and their sheets, and remove those of an earlier evaluation, whose names may differ (by their labels).

    Everything else in the folder stays: previews of training, and the user's own files, unless a sample has their name.
    """
    earlier = _earlier_names(folder)
    for path in folder.glob("*"):
        if path.name in earlier and not path.is_dir():
            path.unlink()
    samples.save(folder, overwrite=True)
    sheets = [
        samples.save_sheet(folder, "final", overwrite=True),
        *samples.save_sprite_sheet(folder, overwrite=True),
    ]
    names = [*(name for name, _ in samples.files()), *(path.name for path in sheets)]
    files.write_json(folder / SAMPLE_NAMES, names)


def _earlier_names(folder: Path) -> set[str]:
    """The names of the files that an earlier evaluation wrote; none where that is not known."""
    try:
        names = files.read_json(folder / SAMPLE_NAMES, MAX_NAMES_BYTES)
    except (OSError, RunError):
        return set()
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def warnings(folder: Path) -> list[str]:
    """The last warning of the training as a sentence, or nothing. Only the last: the run may have recovered since."""
    sentences = []
    for event in events_file.read(folder / events_file.NAME):
        if event["event"] == "warning" and event["text"]:
            sentences = [f"Warning at step {event['step']:,} of training: {event['text']}."]
    return sentences


def _discarded_note(discarded: events_file.Event) -> list[str]:
    """A sentence on a longer training that was not kept, or nothing. discarded: its last step."""
    if not discarded:
        return []
    clause = discarded_training(discarded["step"], discarded.get("seconds") or 0.0)
    return [f"{clause[0].upper()}{clause[1:]}; the training curves show that one, as the log has its steps alone."]


def _place(run: Path, basis: Basis, replaced: EvaluationReport | None, reporter: Reporter) -> tuple[Path, bool]:
    """The folder of a report in its run, and whether that is the one that is read as the run's report.

    A report that was put aside becomes the run's report as soon as it says more.
    """
    if replaced is None or replaced.folder is None:
        return make_room(run, basis, reporter)
    if replaced.folder == run / REPORT:
        return replaced.folder, True
    earlier = _basis(run)
    if earlier is None or is_better(earlier, basis):
        return replaced.folder, False
    folder, is_best = make_room(run, basis, reporter)
    replaced.folder.rename(folder)
    return folder, is_best


def _repeating_command(run: Path, record: RunRecord) -> str:
    """The command that repeats a training step by step, from the folder that holds the run."""
    data_path = relative_path(record.data.path, run.resolve().parent).removeprefix("./")
    return command("anew", "train", data_path, "--run", "AGAIN", "--plan", run.name)


class _Course:
    """The parts of a log that a report keeps besides its outlook, read in one pass, since a long log takes seconds.

    Attributes:
        checks: Events of validation.
        num_steps: Number of steps.
    """

    def __init__(self) -> None:
        self.checks: list[events_file.Event] = []
        self.num_steps = 0

    def watched(self, run: Path) -> Iterator[events_file.Event]:
        """Yield the events that show the course of a run, and keep what the report needs of them."""
        for event in events_file.spread(run / events_file.NAME):
            self.num_steps += event["event"] == "step"
            if event["event"] == "validation":
                self.checks.append(event)
            yield event


def _history(run: Path, count: int) -> list[events_file.Event]:
    """Evenly spread steps of a log, about CURVE_POINTS. count: of all steps."""
    steps = (event for event in events_file.spread(run / events_file.NAME) if event["event"] == "step")
    return list(itertools.islice(steps, 0, None, max(1, count // CURVE_POINTS)))
