"""The comparison of several runs as a page that opens offline, as a table for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.reporting import charts
from anew.evaluation.reporting.content import ReportItem
from anew.evaluation.reporting.page import format_number, render
from anew.evaluation.reporting.ranking import RunResult, best_runs, claims, copy_summary, findings, ranked_metrics
from anew.evaluation.reporting.sheet import sheet, shrink
from anew.evaluation.score import MetricSpec, Score

SHEET, SHEET_COLUMNS = 36, 6  # images of each run
PATHS = 4  # interpolations of each run
TEXTS, TEXT_LENGTH = 2, 1_200  # samples of each run, and characters of each
REAL = "real, held out"
COPIES = ("found", "p", "share", "detection_limit", "samples", "verdict")  # of a run's copying test, in compare.json
MARKS = {"yes": "✓ True here", "no": "✗ Not here", "partly": "~ Partly", "tie": "≈ Tie"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A run's score in the table; interval: "" without one."""

    run: str
    value: str
    interval: str
    best: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A metric in the table. real: what real data gets, "" where that is not known."""

    spec: MetricSpec
    cells: list[Cell]
    real: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """What one run makes, or real items: a picture, items that play, or texts."""

    name: str
    image: bytes | None = None
    players: Sequence[ReportItem] = ()
    texts: Sequence[str] = ()
    explanation: str = ""


def page(
    runs: Sequence[RunResult],
    *,
    title: str,
    subtitle: str,
    real: Sequence[Any],
    spectrum: NDArray[Any] | None,
    notes: Sequence[str],
    command: str,
) -> str:
    """The page.

    Args:
        runs: What was measured; failed ones are left out.
        title, subtitle: Of the page.
        real: Held-out items.
        spectrum: (rings,) of held-out images, None for other data.
        notes: Whole sentences at the end.
        command: What made the page.
    """
    measured = [run for run in runs if not run.failed]
    rows = [_row(measured, spec) for spec in ranked_metrics(measured)]
    spectra = {run.name: np.asarray(run.spectrum) for run in measured if run.spectrum is not None}
    is_text = not len(real) or isinstance(real[0], str)
    return render(
        "comparison.html",
        title=title,
        subtitle=subtitle,
        runs=measured,
        findings=findings(measured),
        claims=[claim for claim in claims(measured) if claim.outcome != "not tested"],
        marks=MARKS,
        rows=rows,
        has_real=any(row.real for row in rows),
        galleries=_text_galleries(measured, real) if is_text else _galleries(measured, real),
        spectra=None if spectrum is None else charts.spectrum_chart(spectra, spectrum),
        paths=[] if is_text else _paths(measured),
        copies=[(run.name, copy_summary(run)) for run in measured],
        notes=notes,
        command=command,
    )


def _row(runs: Sequence[RunResult], spec: MetricSpec) -> Row:
    best = best_runs(runs, spec.name)
    cells = [_cell(run.name, run.scores.get(spec.name), run in best) for run in runs]
    return Row(spec, cells, _real_value(runs, spec.name))


def _real_value(runs: Sequence[RunResult], name: str) -> str:
    real = next((run.scores[name].real_baseline for run in runs if name in run.scores), None)
    return "" if real is None else format_number(real)


def _cell(run: str, score: Score | None, best: bool) -> Cell:
    if score is None:
        return Cell(run, "–", "", False)
    ends = score.interval
    interval = "" if ends is None else f"{format_number(ends[0])} to {format_number(ends[1])}"
    return Cell(run, format_value(score), interval, best)


def format_value(score: Score) -> str:
    """The value as text in a table; counts are whole."""
    return f"{score.value:,.0f}" if score.spec.format == "count" else format_number(score.value)


def _galleries(runs: Sequence[RunResult], real: Sequence[Any]) -> list[Gallery]:
    """Sheets of pictures, and items that play."""
    real_players = next((run.real_players for run in runs if run.real_players), [])
    items = [(run.name, run.samples, run.players) for run in runs if run.samples] + [(REAL, real, real_players)]
    return [
        Gallery(name, sheet([shrink(np.asarray(i)) for i in images[:SHEET]], columns=SHEET_COLUMNS, gap=2), players)
        for name, images, players in items
    ]


def _text_galleries(runs: Sequence[RunResult], real: Sequence[Any]) -> list[Gallery]:
    items = [(run.name, run.samples) for run in runs] + [(REAL, real)]
    return [
        Gallery(name, texts=[str(text)[:TEXT_LENGTH] for text in texts[:TEXTS]]) for name, texts in items if len(texts)
    ]


def _paths(runs: Sequence[RunResult]) -> list[Gallery]:
    """Interpolations, a row each; empty where no run has any."""
    galleries = []
    for run in runs:
        frames = [shrink(np.asarray(frame)) for path in run.paths[:PATHS] for frame in path]
        image = sheet(frames, columns=len(run.paths[0]), gap=2, least=40) if frames else None
        galleries.append(Gallery(run.name, image, explanation=run.no_interpolation))
    return galleries if any(gallery.image for gallery in galleries) else []


def table(runs: Sequence[RunResult], width: int = 34) -> str:
    """Metrics as rows and runs as columns, for a terminal; * marks the best and what ties with it."""
    measured = [run for run in runs if not run.failed]
    lines = [["", *(run.name for run in measured), "real data"]]
    for spec in ranked_metrics(measured):
        row = _row(measured, spec)
        cells = ["-" if cell.value == "–" else cell.value + ("*" if cell.best else " ") for cell in row.cells]
        lines.append([spec.title[:width], *cells, row.real])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]

    def padded(line: Sequence[str]) -> str:
        title, *cells = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join([title, *cells])

    return "\n".join(map(padded, lines))


def to_json(runs: Sequence[RunResult], about: Mapping[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """What compare.json holds. about: what was compared."""
    measured = [run for run in runs if not run.failed]
    best = {spec.name: [run.name for run in best_runs(measured, spec.name)] for spec in ranked_metrics(measured)}
    return {
        **about,
        "runs": [_run_json(run) for run in runs],
        "best": {name: winners for name, winners in best.items() if winners},
        "findings": findings(measured),
        "claims": [claim.to_json() for claim in claims(measured)],
        "notes": list(notes),
    }


def _run_json(run: RunResult) -> dict[str, Any]:
    return {
        "name": run.name,
        "family": run.family,
        "run": run.run,
        "failed": run.failed or None,
        "no_interpolation": run.no_interpolation or None,
        "copies": run.copies and {key: run.copies[key] for key in COPIES},
        "scores": [run.scores[name].to_json() for name in sorted(run.scores)],
    }
