"""The report of an evaluation: as an object, as report.json, and as report.html, one page that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

from anew.core import files
from anew.core.provenance import Provenance
from anew.core.version import REPORT_FORMAT
from anew.core.wording import QUESTIONS, answer_of, percent, plural
from anew.evaluation.memorization.copy_verdict import result_json
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.memorization.thresholds import DETECTION_POWER, PLANTED_RATES
from anew.evaluation.reporting import charts, verdict
from anew.evaluation.reporting.content import ReportContent
from anew.evaluation.reporting.figure_rows import Legend, group_figures
from anew.evaluation.reporting.grading import Answer, Part, parts
from anew.evaluation.reporting.line_chart import LineChart
from anew.evaluation.reporting.measurements import Measurements
from anew.evaluation.reporting.outlook import Outlook
from anew.evaluation.reporting.page import format_number, render
from anew.evaluation.score import Score

NOT_MEASURED = "Not measured."
ABBREVIATIONS = {"gan": "GAN", "vae": "VAE"}  # families that have names in capitals
NOUNS = {
    "protein": "sequences",
    "audio": "sound",
    "video": "clips",
    "image": "images",
    "molecule": "molecules",
}  # else the modality
MARKS = {
    "good": "✓",
    "fair": "~",
    "poor": "✗",
    "too_few": "?",
    "not_settled": "?",
    "not_measured": "–",
}  # marks before an answer


@dataclass(frozen=True, slots=True)
class Basis:
    """The basis of a report.

    Attributes:
        answers: How many of the questions of closeness, variety and novelty it answers.
        measured: Largest number of samples that a figure was measured on.
        samples: Number of samples that were drawn.
        weights: SHA-256 of the weights that they were drawn with; "" if these are not a file of the run.
        time: When it was measured, in ISO 8601, UTC, to the second.
        is_stopped: Whether a signal ended the sampling or the measuring, so that figures or samples are missing.
        passes: Passes over the training data so far; None if they are not known.
        steps: Steps of the training so far; None if they are not known.
    """

    answers: int
    measured: int
    samples: int
    weights: str
    time: str
    is_stopped: bool = False
    passes: float | None = None
    steps: int | None = None

    @property
    def rank(self) -> tuple[int, int, int, bool]:
        """Larger for a report that says more."""
        return self.answers, self.measured, self.samples, not self.is_stopped


@dataclass(frozen=True)
class EvaluationReport:
    """Result of an evaluation, shown in `report/`.

    Attributes:
        run: Name of the run, or of the samples made elsewhere.
        family: Family of the model; "unknown" for samples made elsewhere.
        modality: Modality of the data.
        scores: All scores, in the order in which they were measured; `report["NAME"]` gives one of them.
        copies: The copying test; None without one.
        verdict: Sentences by question: closeness, variety, novelty and, where there is something to say, outlook, prediction,
            verbatim.
        grades: Answers to closeness, variety and novelty: "good" (yes), "fair" (partly), "poor" (no), "too_few" (items to tell),
            "not_settled" (time was up before all figures were ready, or before enough samples were compared) or "not_measured".
        figures: The decisive figure of each of the three grades, one clause each; or why a question was not measured, "" if the
            notes say so.
        samples_needed: For each question with too few items, how many samples would do, or would let all held-out items be
            compared, which may show a difference; 0: only more data would help.
        needs_data: Questions with too few items that more samples cannot answer with a yes, since too few items are held out.
        parts: Answer of each figure to its question; for the rule see `anew.evaluation.reporting.grading`.
        notes: Sentences on figures that were not measured, and why.
        folder: Folder of report.html and report.json; None if they were not written.
        basis: Samples and weights of the report; None for samples made elsewhere.
        provenance: How it was made; None if it was not written.
        deciding: Names of the figures that decide closeness and variety, by question.
        has_flattened: Whether the loss of the run no longer falls; None if that is not known.
    """

    run: str
    family: str
    modality: str
    scores: tuple[Score, ...]
    copies: CopyTestResult | None
    verdict: Mapping[str, str]
    grades: Mapping[str, Answer]
    figures: Mapping[str, str]
    parts: tuple[Part, ...]
    samples_needed: Mapping[str, int] = field(default_factory=dict)
    needs_data: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    folder: Path | None = None
    basis: Basis | None = None
    provenance: Provenance | None = None
    deciding: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    has_flattened: bool | None = None

    @classmethod
    def of(
        cls,
        measurements: Measurements,
        *,
        run: str,
        family: str,
        modality: str,
        notes: Sequence[str] = (),
        steps: int | None = None,
        outlook: Outlook | None = None,
        folder: Path | None = None,
        provenance: Provenance | None = None,
    ) -> EvaluationReport:
        """Make the report of measurements, with its verdict.

        Args:
            measurements: The results.
            run, family, modality, folder, provenance: See the attributes.
            notes: The notes of the report, those of the measurements included.
            steps: Number of training steps, if known.
            outlook: Benefit of more training, if known.
        """
        scores, supply, too_few = measurements.scores, measurements.supply, measurements.too_few
        questions = ("closeness", "variety")
        open_answers = dict.fromkeys(questions, f"Too few to tell: {too_few}.") if too_few else {}
        answers = verdict.Verdict(scores, measurements.copies, measurements.unmeasured, supply)
        grades: dict[str, Answer] = dict.fromkeys(QUESTIONS, "not_measured")
        return cls(
            run=run,
            family=family,
            modality=modality,
            scores=tuple(scores),
            copies=measurements.copies,
            verdict=dict.fromkeys(QUESTIONS, NOT_MEASURED) | answers.sentences(steps, outlook) | open_answers,
            grades=grades | answers.grades | dict.fromkeys(open_answers, "too_few"),
            figures=dict.fromkeys(QUESTIONS, measurements.ended_by)
            | answers.figures
            | dict.fromkeys(open_answers, too_few),
            samples_needed=answers.samples_needed | dict.fromkeys(open_answers, supply.samples_of_few()),
            needs_data=tuple(open_answers) if too_few and not supply.samples_of_few() else answers.needs_data,
            parts=tuple(parts(scores)),
            notes=tuple(notes),
            folder=folder,
            provenance=provenance,
            deciding=answers.deciding,
            has_flattened=None if outlook is None else outlook.has_flattened,
        )

    def __getitem__(self, name: str) -> Score:
        """The score of a metric. Raises KeyError, which lists all names, if it was not measured."""
        for score in self.scores:
            if score.name == name:
                return score
        raise KeyError(f"{name!r} was not measured; measured: {', '.join(score.name for score in self.scores)}")

    def __contains__(self, name: object) -> bool:
        return any(score.name == name for score in self.scores)

    def to_json(self) -> dict[str, object]:
        """Contents of report.json."""
        return {
            "format": REPORT_FORMAT,
            "run": self.run,
            "family": self.family,
            "modality": self.modality,
            "scores": [score.to_json() | self._counts_from(score) for score in self.scores],
            "copies": None if self.copies is None else result_json(self.copies),
            "verdict": dict(self.verdict),
            "grades": dict(self.grades),
            "figures": dict(self.figures),
            "samples_needed": {question: self.samples_needed.get(question) for question in QUESTIONS},
            "needs_data": list(self.needs_data),
            "deciding": {question: list(names) for question, names in self.deciding.items()},
            "parts": [part.to_json() for part in self.parts],
            "notes": list(self.notes),
            "basis": None if self.basis is None else asdict(self.basis),
            "provenance": None if self.provenance is None else asdict(self.provenance),
            "has_flattened": self.has_flattened,
        }

    def has_too_few_items(self, score: Score) -> bool:
        """Whether a figure was measured on too few items to mean anything; see `Tolerance.least`."""
        tolerance = score.spec.tolerance
        return tolerance is not None and score.n < tolerance.least and all(part.score != score for part in self.parts)

    def _counts_from(self, score: Score) -> dict[str, int]:
        """From how many items on a figure says something, if it was measured on fewer."""
        tolerance = score.spec.tolerance
        return {"counts_from": tolerance.least} if tolerance is not None and self.has_too_few_items(score) else {}

    def __repr__(self) -> str:
        lines = [f"EvaluationReport of {self.run!r} ({self.family}, {self.modality})"]
        for card in verdict.cards(self.verdict, self.grades):
            lines.append(f"  {card.question} {answer_of(card.grade)}: {card.answer}")
        width = max((len(score.name) for score in self.scores), default=0)
        for score in self.scores:
            baseline = score.shown_baseline
            real = "" if baseline is None else f"   (real data: {format_number(baseline)})"
            lines.append(f"  {score.name:<{width}}  {format_number(score.shown_value):>8}{real}")
        return "\n".join([*lines, *([] if self.folder is None else [f"  {self.folder / 'report.html'}"])])

    def _repr_html_(self) -> str:
        """The three answers and a table of the scores, for notebooks."""
        return render("summary.html", report=self, answer_of=answer_of, cards=verdict.cards(self.verdict, self.grades))


def write_report(
    folder: Path,
    report: EvaluationReport,
    *,
    content: ReportContent,
    settings: Mapping[str, object],
    history: Sequence[Mapping[str, object]] = (),
    checks: Sequence[Mapping[str, object]] = (),
    plan: Mapping[str, object] = MappingProxyType({}),
    repeat: str = "",
    subtitle: str | None = None,
) -> None:
    """Write report.html and report.json into `folder` (made if missing), each completely or not at all.

    Args:
        report: The result.
        content: Items that the report shows, from `Evaluation.report_content`.
        settings: Settings of the run, or of what was measured, shown as a table.
        history: One object for each training step, with step, seconds, loss (or loss_NAME) and rate.
        checks: One object for each time that the validation part was scored, with step and loss.
        plan: The plan of the run, shown as a table.
        repeat: The command that repeats the training exactly; "" if there is none.
        subtitle: A sentence under the title; None for the usual one.
    """
    page = render_report(
        report,
        content=content,
        curves=charts.training_curves(history, checks),
        tables={"Settings": flatten(settings), "Plan": flatten(plan)},
        repeat=repeat,
        subtitle=subtitle or _usual_subtitle(report, content.form),
    )
    files.check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / "report.html", page)
    files.write_json(folder / "report.json", report.to_json())


def render_report(
    report: EvaluationReport,
    *,
    content: ReportContent,
    curves: Sequence[LineChart],
    tables: Mapping[str, Mapping[str, str]],
    repeat: str,
    subtitle: str,
) -> str:
    """Render the page; for the arguments see `write_report`."""
    deciding = [name for names in report.deciding.values() for name in names]
    too_few = [score.name for score in report.scores if report.has_too_few_items(score)]
    return render(
        "report.html",
        report=report,
        content=content,
        cards=verdict.cards(report.verdict, report.grades),
        further=_further(report.verdict),
        copies=report.copies,
        is_accused=report.grades["novelty"] == "poor",
        copies_json=None if report.copies is None else result_json(report.copies),
        rates=[percent(rate) for rate in PLANTED_RATES],
        planted=_planted_table(report.copies),
        power=f"{DETECTION_POWER:.0%}",
        groups=group_figures(report.scores, deciding, too_few),
        legend=Legend.of(report.scores),
        marks=MARKS,
        answer_of=answer_of,
        curves=curves,
        tables={title: rows for title, rows in tables.items() if rows},
        repeat=repeat,
        subtitle=subtitle,
    )


def _usual_subtitle(report: EvaluationReport, form: str) -> str:
    """form: see `ReportContent`."""
    noun = NOUNS.get(report.modality, report.modality)
    family = ABBREVIATIONS.get(report.family, report.family)
    counted = "Samples" if report.basis is None else plural(report.basis.samples, "sample").capitalize()
    learned = f", learned at {form}," if form else ","
    return f"{counted} of the run {report.run} ({family}, {noun}){learned} compared with real data that it was not trained on."


def _further(sentences: Mapping[str, str]) -> list[str]:
    """The sentences below the answers, without what an answer says already."""
    further = [sentences[question] for question in verdict.FURTHER_QUESTIONS if question in sentences]
    return [sentence for sentence in further if sentence not in sentences.get("novelty", "")]


def _planted_table(copies: CopyTestResult | None) -> dict[str, list[str]]:
    """The table of planted copies that were noticed, by variant and rate; below a rate that was missed none were planted."""
    table: dict[str, list[str]] = {}
    for control in [] if copies is None else copies.controls:
        cells = table.setdefault(control.variant, ["–"] * len(PLANTED_RATES))
        is_noticed = control.caught >= DETECTION_POWER
        missed = "missed" if control.caught < 0.005 else f"{control.caught:.0%}"
        cells[PLANTED_RATES.index(control.rate)] = "noticed" if is_noticed else missed
    return table


def flatten(values: Mapping[str, object]) -> dict[str, str]:
    """Settings by the names that `settings` takes, with the values as it takes them; nested ones by their own names.

    Lists of objects are left out: config.json holds them.
    """
    lines: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines |= flatten(value)
        elif value is not None and not _is_long(value):
            lines[name] = _plain(value)
    return lines


def _is_long(value: object) -> bool:
    return isinstance(value, list | tuple) and (not value or isinstance(value[0], Mapping))


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_plain, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)
