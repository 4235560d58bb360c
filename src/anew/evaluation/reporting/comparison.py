"""The comparison of several runs as a page that opens offline, as a table for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from anew.core.provenance import Provenance
from anew.data.types import DecodedItem
from anew.evaluation.reporting import charts
from anew.evaluation.reporting.content import ReportItem
from anew.evaluation.reporting.page import format_number, render
from anew.evaluation.reporting.ranking import (
    Claim,
    RunResult,
    best_runs,
    claims,
    copy_summary,
    findings,
    has_figure,
    ranked_metrics,
)
from anew.evaluation.reporting.sheet import sheet, shrink
from anew.evaluation.reporting.spread import (
    leading_spreads,
    ranked_spreads,
    repeated_families,
    spread_findings,
    spread_metrics,
    spreads,
)
from anew.evaluation.score import MetricSpec, Score

FORMAT = 3  # version of compare.json, which grows when a field is renamed or means something else
SHEET, SHEET_COLUMNS = 36, 6  # images of each run
PATHS = 4  # interpolations of each run
TEXTS, TEXT_LENGTH = 2, 1_200  # samples of each run, and characters of each
SHORT_TEXTS, SHORT_LENGTH = 20, 60  # the same where texts are no longer than this: names, words, addresses
REAL = "real, held out"
MARKS = {"yes": "✓ True here", "no": "✗ Not here", "partly": "~ Partly", "tie": "≈ Tie"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A run's score in the table; interval: "" without one."""

    run: str
    value: str
    interval: str
    best: bool


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric in the table. real: the value of real data, "–" if it has none."""

    spec: MetricSpec
    cells: list[Cell]
    real: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Samples of one run, or real items: a picture, items that play, or texts."""

    name: str
    image: bytes | None = None
    players: Sequence[ReportItem] = ()
    texts: Sequence[str] = ()
    explanation: str = ""


@dataclass(frozen=True)
class ComparisonReport:
    """Result of a comparison, shown in compare.html.

    Attributes:
        folder: Where the runs, compare.html and compare.json are.
        runs: All runs; one that could not be measured says why in `failed`.
        about: Conditions of the comparison: data, budget, seed, number of samples.
        notes: Further remarks, whole sentences.
        provenance: How it was made; None if it was not written.
        differences: The settings in which the runs differ: name -> run -> value.
    """

    folder: Path
    runs: tuple[RunResult, ...]
    about: Mapping[str, object]
    notes: tuple[str, ...] = ()
    provenance: Provenance | None = None
    differences: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def measured(self) -> list[RunResult]:
        """The runs that could be measured."""
        return [run for run in self.runs if not run.failed]

    @property
    def failure(self) -> str:
        """A sentence on the runs that failed; "" if none did."""
        failed = [run.name for run in self.runs if run.failed]
        if not failed:
            return ""
        return f"{len(failed)} of {len(self.runs)} runs failed, which the notes explain: {', '.join(failed)}."

    @property
    def findings(self) -> list[str]:
        """The winner of each award, a sentence each; of several trainings of a family, by their spread."""
        return spread_findings(self.runs) if repeated_families(self.runs) else findings(self.measured)

    @property
    def claims(self) -> list[Claim]:
        """Textbook claims about the families, compared with what was measured."""
        return claims(self.measured)

    @property
    def table(self) -> str:
        """Metrics as rows and runs as columns, for a terminal."""
        return table(self.measured)

    def best(self, metric: str) -> list[str]:
        """The names of the best run by a metric and of those that tie with it; empty if fewer than two have it.

        Where families were trained with several seeds: the best family, and those whose trainings overlap with its own."""
        if repeated_families(self.runs):
            return [spread.family for spread in leading_spreads(ranked_spreads(self.measured, metric))]
        return [run.name for run in best_runs(self.measured, metric)]

    def to_json(self) -> dict[str, object]:
        """Contents of compare.json."""
        best = {spec.name: self.best(spec.name) for spec in ranked_metrics(self.measured)}
        return {
            "format": FORMAT,
            **self.about,
            "runs": [_run_json(run) for run in self.runs],
            "best": {name: winners for name, winners in best.items() if winners},
            "findings": self.findings,
            "claims": [claim.to_json() for claim in self.claims],
            "notes": list(self.notes),
            "differences": {name: dict(values) for name, values in self.differences.items()},
            **({"trainings": _spreads_json(self.measured)} if repeated_families(self.runs) else {}),
        }

    def __repr__(self) -> str:
        names = ", ".join(run.name for run in self.runs)
        return "\n".join(
            [f"ComparisonReport of {names}", self.table, *self.findings, f"{self.folder / 'compare.html'}"]
        )

    def _repr_html_(self) -> str:
        """The findings and the table, for notebooks."""
        return render("findings.html", report=self)


def page(report: ComparisonReport, *, title: str, subtitle: str, real: Sequence[DecodedItem]) -> str:
    """Render the page. real: held-out items."""
    measured = report.measured
    rows = [_row(measured, spec) for spec in ranked_metrics(measured)]
    spectra = {run.name: np.asarray(run.spectrum) for run in measured if run.spectrum is not None}
    real_spectrum = next((run.real_spectrum for run in measured if run.real_spectrum is not None), None)
    is_text = not len(real) or isinstance(real[0], str)
    return render(
        "comparison.html",
        title=title,
        subtitle=subtitle,
        runs=measured,
        findings=report.findings,
        claims=[claim for claim in report.claims if claim.outcome != "not tested"],
        marks=MARKS,
        rows=rows,
        families=repeated_families(measured),
        spreads=[(spec, {s.family: s for s in spreads(measured, spec.name)}) for spec in spread_metrics(measured)],
        has_real=any(row.real != "–" for row in rows),
        has_best=any(cell.best for row in rows for cell in row.cells),
        galleries=_text_galleries(measured, real) if is_text else _galleries(measured, real),
        spectra=None if real_spectrum is None else charts.spectrum_chart(spectra, real_spectrum),
        paths=[] if is_text else _paths(measured),
        copies=[(run.name, copy_summary(run)) for run in measured],
        notes=report.notes,
        differences=report.differences,
        provenance=report.provenance,
    )


def _row(runs: Sequence[RunResult], spec: MetricSpec) -> MetricRow:
    # Which training of a family is the best one is chance.
    best = [] if repeated_families(runs) else best_runs(runs, spec.name)
    if len(best) == sum(has_figure(run, spec.name) for run in runs):  # no run is told from another
        best = []
    cells = [_cell(run.name, run.scores.get(spec.name), run in best) for run in runs]
    return MetricRow(spec, cells, _real_value(runs, spec.name))


def _real_value(runs: Sequence[RunResult], name: str) -> str:
    real = next((run.scores[name].shown_baseline for run in runs if name in run.scores), None)
    return "–" if real is None else format_number(real)


def _cell(run: str, score: Score | None, best: bool) -> Cell:
    if score is None:
        return Cell(run, "–", "", best=False)
    ends = score.shown_interval
    interval = "" if ends is None else f"{format_number(ends[0])} to {format_number(ends[1])}"
    return Cell(run, format_value(score), interval, best)


def format_value(score: Score) -> str:
    """The value as text in a table; counts are whole."""
    return f"{score.value:,.0f}" if score.spec.format == "count" else format_number(score.shown_value)


def _galleries(runs: Sequence[RunResult], real: Sequence[DecodedItem]) -> list[Gallery]:
    """Sheets of pictures, with items that can be played."""
    real_players = next((run.real_players for run in runs if run.real_players), [])
    items = [(run.name, run.samples, run.players) for run in runs if run.samples] + [(REAL, real, real_players)]
    return [
        Gallery(name, sheet([shrink(np.asarray(i)) for i in images[:SHEET]], columns=SHEET_COLUMNS, gap=2), players)
        for name, images, players in items
    ]


def _text_galleries(runs: Sequence[RunResult], real: Sequence[DecodedItem]) -> list[Gallery]:
    items = [(run.name, run.samples) for run in runs] + [(REAL, real)]
    shown = {name: [str(text) for text in texts[:SHORT_TEXTS]] for name, texts in items if len(texts)}
    if all(len(text) <= SHORT_LENGTH for texts in shown.values() for text in texts):
        return [Gallery(name, texts=["\n".join(texts)]) for name, texts in shown.items()]
    return [Gallery(name, texts=[text[:TEXT_LENGTH] for text in texts[:TEXTS]]) for name, texts in shown.items()]


def _paths(runs: Sequence[RunResult]) -> list[Gallery]:
    """The interpolations of each run, one in a row; empty if no run has any."""
    galleries = []
    for run in runs:
        frames = [shrink(np.asarray(frame)) for path in run.paths[:PATHS] for frame in path]
        image = sheet(frames, columns=len(run.paths[0]), gap=2, min_side=40) if frames else None
        galleries.append(Gallery(run.name, image, explanation=run.no_interpolation))
    return galleries if any(gallery.image for gallery in galleries) else []


def table(runs: Sequence[RunResult]) -> str:
    """Metrics as rows and runs as columns, for a terminal. * marks the best and what ties with it, unless all do or families were
    trained several times."""
    lines = [["", *(run.name for run in runs), "real data", "better"]]
    for spec in ranked_metrics(runs):
        row = _row(runs, spec)
        cells = ["-" if cell.value == "–" else cell.value + ("*" if cell.best else " ") for cell in row.cells]
        better = "-" if spec.role == "fact" else spec.better
        lines.append([spec.title, *cells, row.real.replace("–", "-"), better])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]

    def padded(line: Sequence[str]) -> str:
        cells = [cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True)]
        return "  ".join([line[0].ljust(widths[0]), *cells])

    return "\n".join(map(padded, lines))


def _spreads_json(runs: Sequence[RunResult]) -> dict[str, dict[str, object]]:
    """The spread of each metric over the trainings of each family: family, metric, values."""
    families: dict[str, dict[str, object]] = {}
    for spec in spread_metrics(runs):
        for spread in spreads(runs, spec.name):
            families.setdefault(spread.family, {})[spec.name] = spread.to_json()
    return families


def _run_json(run: RunResult) -> dict[str, object]:
    return {
        "name": run.name,
        "family": run.family,
        "run": run.run,
        "failed": run.failed or None,
        "training_seed": run.training_seed,
        "weights": run.weights or None,
        "hardly_trained": run.is_hardly_trained,
        "no_interpolation": run.no_interpolation or None,
        "copies": None if run.copies is None else asdict(run.copies),
        "scores": [run.scores[name].to_json() for name in sorted(run.scores)],
    }
