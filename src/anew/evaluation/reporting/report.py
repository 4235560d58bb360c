"""The report of an evaluation: as an object, as report.json, and as report.html, one page that opens offline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from anew.core import files
from anew.core.wording import answer_of, percent
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.memorization.thresholds import DETECTION_POWER, RATES
from anew.evaluation.reporting import charts, verdict
from anew.evaluation.reporting.charts import ScaleChart
from anew.evaluation.reporting.content import ReportContent
from anew.evaluation.reporting.grading import UNLIMITED, Answer, Part, Supply, parts
from anew.evaluation.reporting.line_chart import LineChart
from anew.evaluation.reporting.outlook import Outlook
from anew.evaluation.reporting.page import format_number, render
from anew.evaluation.score import Group, Score

ABBREVIATIONS = {"gan": "GAN", "vae": "VAE"}  # families that have names in capitals
NOUNS = {"protein": "sequence"}  # name of a modality's data, if the name of the modality claims too much


@dataclass(frozen=True, slots=True)
class Basis:
    """The basis of a report.

    Attributes:
        answers: How many of the questions of closeness, variety and novelty it answers.
        measured: Largest number of samples that a figure was measured on.
        samples: Number of samples that were drawn.
        weights: SHA-256 of the weights that they were drawn with; "" if these are not a file of the run.
        time: When it was measured, in ISO 8601, UTC, to the second.
        is_stopped: Whether a signal ended the measuring, so that figures are missing.
        passes: Passes over the training data so far; None if they are not known.
    """

    answers: int
    measured: int
    samples: int
    weights: str
    time: str
    is_stopped: bool = False
    passes: float | None = None

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
        verdict: Sentences by question: closeness, variety, novelty, outlook, prediction, verbatim.
        grades: Answers to closeness, variety and novelty, without those that were not measured: "good" (yes), "fair" (partly),
            "poor" (no), "too_few" (items to tell) or "not_settled" (time was up before all figures were ready, or before enough
            samples were compared).
        figures: What decides each of the three grades, one clause each; or why a question was not measured.
        samples_needed: For each question with too few items, how many samples would do, or would let all held-out items be
            compared, which may show a difference; 0: only more data would help.
        parts: Answer of each figure to its question; for the rule see `anew.evaluation.reporting.grading`.
        notes: Sentences on figures that were not measured, and why.
        folder: Folder of report.html and report.json; None if they were not written.
        basis: Samples and weights of the report; None for samples made elsewhere.
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
    notes: tuple[str, ...] = ()
    folder: Path | None = None
    basis: Basis | None = None
    has_flattened: bool | None = None

    @classmethod
    def of(
        cls,
        scores: Sequence[Score],
        copies: CopyTestResult | None = None,
        *,
        run: str,
        family: str,
        modality: str,
        notes: Sequence[str] = (),
        too_few: str = "",
        unmeasured: Sequence[str] = (),
        supply: Supply = UNLIMITED,
        ended_by: str = "",
        steps: int | None = None,
        outlook: Outlook | None = None,
        folder: Path | None = None,
        basis: Basis | None = None,
    ) -> EvaluationReport:
        """Make the report of scores, with its verdict.

        Args:
            scores, copies, run, family, modality, notes, folder, basis: See the attributes.
            too_few: Why closeness and variety could not be measured, if there were too few items; else "".
            unmeasured: Names of what was not measured for lack of time.
            supply: What limits the number of items that were compared.
            ended_by: Why the measuring ended before everything was measured, one clause; "" if it did not.
            steps: Number of training steps, if known.
            outlook: What more training would bring, if known.
        """
        open_answers = verdict.too_few_answers(too_few)
        grades = verdict.grade(scores, copies, unmeasured, supply) | dict.fromkeys(open_answers, "too_few")
        ungraded = dict.fromkeys(verdict.FULL_QUESTIONS.keys() - grades.keys(), ended_by) if ended_by else {}
        return cls(
            run=run,
            family=family,
            modality=modality,
            scores=tuple(scores),
            copies=copies,
            verdict=verdict.verdict(scores, copies, steps, outlook, unmeasured, supply) | open_answers,
            grades=grades,
            figures=verdict.figures(scores, copies, unmeasured, supply)
            | dict.fromkeys(open_answers, too_few)
            | ungraded,
            samples_needed=verdict.samples_needed(scores, supply, unmeasured)
            | dict.fromkeys(open_answers, supply.samples_of_few()),
            parts=tuple(parts(scores)),
            notes=tuple(notes),
            folder=folder,
            basis=basis,
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
            "run": self.run,
            "family": self.family,
            "modality": self.modality,
            "scores": [score.to_json() for score in self.scores],
            "copies": None if self.copies is None else self.copies.to_json(),
            "verdict": dict(self.verdict),
            "grades": dict(self.grades),
            "figures": dict(self.figures),
            "samples_needed": dict(self.samples_needed),
            "parts": [part.to_json() for part in self.parts],
            "notes": list(self.notes),
            "basis": None if self.basis is None else asdict(self.basis),
            "has_flattened": self.has_flattened,
        }

    def __repr__(self) -> str:
        lines = [f"EvaluationReport of {self.run!r} ({self.family}, {self.modality})"]
        for card in verdict.cards(self.verdict, self.grades):
            lines.append(f"  {card.question} {answer_of(card.grade)}: {card.answer}")
        width = max((len(score.name) for score in self.scores), default=0)
        for score in self.scores:
            real = "" if score.real_baseline is None else f"   (real data: {format_number(score.real_baseline)})"
            lines.append(f"  {score.name:<{width}}  {format_number(score.value):>8}{real}")
        return "\n".join([*lines, *([] if self.folder is None else [f"  {self.folder / 'report.html'}"])])

    def _repr_html_(self) -> str:
        """The three answers and a table of the scores, for notebooks."""
        return render("summary.html", report=self, answer_of=answer_of, cards=verdict.cards(self.verdict, self.grades))


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A score as the page shows it."""

    score: Score
    scale: ScaleChart | None

    @property
    def source(self) -> str:
        return "; ".join(text for text in (self.score.source, self.score.note) if text)


@dataclass(frozen=True, slots=True)
class ScoreGroup:
    """Scores under one title, and which marks their scales show."""

    title: str
    rows: list[ScoreRow]

    @property
    def has_real_baseline(self) -> bool:
        return any(row.score.real_baseline is not None for row in self.rows)

    @property
    def has_naive_baseline(self) -> bool:
        return any(row.score.naive_baseline is not None for row in self.rows)

    @property
    def has_reference(self) -> bool:
        return any(row.score.spec.role == "reference" for row in self.rows)


def write_report(
    folder: Path,
    report: EvaluationReport,
    *,
    content: ReportContent,
    history: Sequence[Mapping[str, object]],
    settings: Mapping[str, object],
    plan: Mapping[str, object],
    command: str | None,
    subtitle: str | None = None,
) -> None:
    """Write report.html and report.json into `folder` (made if missing), each completely or not at all.

    Args:
        folder: The folder.
        report: The result.
        content: Items that the report shows, from `Evaluation.report_content`.
        history: One object for each training step, with step, seconds, loss (or loss_NAME) and rate.
        settings, plan: Settings and plan of the run, shown as tables.
        command: The command that made the report.
        subtitle: A sentence under the title; None for the usual one.
    """
    noun = NOUNS.get(report.modality, report.modality)
    family = ABBREVIATIONS.get(report.family, report.family)
    page = render_report(
        report,
        content=content,
        curves=charts.training_curves(history),
        tables={"Settings": flatten(settings), "Plan": flatten(plan)},
        command=command,
        subtitle=subtitle or f"New {noun} data from a {family} model, compared with real data that it never saw.",
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
    command: str | None,
    subtitle: str,
) -> str:
    """Render the page; for the arguments see `write_report`."""
    return render(
        "report.html",
        report=report,
        content=content,
        cards=verdict.cards(report.verdict, report.grades),
        further=_further(report.verdict),
        copies=report.copies,
        copies_json=None if report.copies is None else report.copies.to_json(),
        rates=[percent(rate) for rate in RATES],
        planted=_planted_table(report.copies),
        power=f"{DETECTION_POWER:.0%}",
        groups=group_scores(report.scores),
        curves=curves,
        tables={title: rows for title, rows in tables.items() if rows},
        command=command,
        subtitle=subtitle,
    )


def _further(sentences: Mapping[str, str]) -> list[str]:
    """The sentences below the answers, without what an answer says already."""
    further = [sentences[question] for question in verdict.FURTHER if question in sentences]
    return [sentence for sentence in further if sentence not in sentences.get("novelty", "")]


def group_scores(scores: Sequence[Score]) -> list[ScoreGroup]:
    """Scores by group, with their scales. Bits per unit and the rows next to them share one scale."""
    bits = [score for score in scores if score.spec.group is Group.PREDICTION]
    end = 1.1 * max((max(score.value, score.high or 0.0) for score in bits), default=0.0)
    groups = []
    for group in Group:
        rows = [
            ScoreRow(score, charts.scale_chart(score, end if group is Group.PREDICTION else None))
            for score in scores
            if score.spec.group is group
        ]
        if rows:
            groups.append(ScoreGroup(group.value, rows))
    return groups


def _planted_table(copies: CopyTestResult | None) -> dict[str, list[str]]:
    """The table of planted copies that were noticed, by kind and rate; below a rate that was missed none were planted."""
    table: dict[str, list[str]] = {}
    for control in [] if copies is None else copies.controls:
        cells = table.setdefault(control.kind, ["–"] * len(RATES))
        is_noticed = control.caught >= DETECTION_POWER
        cells[RATES.index(control.rate)] = "noticed" if is_noticed else f"rarely: {control.caught:.0%}"
    return table


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Flatten nested settings into "family.width": "256"; lists become JSON."""
    lines: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines |= flatten(value, f"{prefix}{name}.")
        elif value is not None and value != [] and value != ():
            plain = value if isinstance(value, str | int | float | bool) else json.dumps(value, default=str)
            lines[f"{prefix}{name}"] = f"{plain:.6g}" if isinstance(plain, float) else str(plain)
    return lines
