"""The comparison of several runs as a page that opens offline, as a table for a terminal, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anew.evaluation.metrics.image_comparison import shown
from anew.evaluation.metrics.statistics import Score
from anew.evaluation.reporting import charts, report, verdict
from anew.evaluation.reporting.line_chart import Line, Panel, line_chart
from anew.evaluation.reporting.ranking import PLAIN, Entrant, best, claims, copied, findings, rows, term
from anew.evaluation.reporting.sheet import sheet

TEMPLATE = report.TEMPLATE.with_name("comparison.html")
SHEET, SHEET_COLUMNS = 36, 6
WALKS = 4  # that the page shows of each run
TEXTS = 2
COPIES = ("found", "p", "share", "detection_limit", "samples", "verdict")  # of a run's audit, in compare.json
MARKS = {"yes": "✓ held", "no": "✗ did not", "partly": "~ partly", "tie": "≈ a tie", "not tested": "– not tested"}
DASHES = ("7 3", "7 3 2 3", "2 2", "9 2 2 2 2 2", "1 2", "12 4")  # with colours, for eyes that see none
SPECTRA_HEIGHT = 240


def page(
    entrants: Sequence[Entrant],
    *,
    title: str,
    subtitle: str,
    real: Sequence[Any],
    spectrum: Any,
    notes: Sequence[str],
    command: str | None,
) -> str:
    """The page. real: held-out items; spectrum: (rings,) of held-out images, None for other data."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    measured = [e for e in entrants if not e.failed]
    room = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    room.filters["image"] = report._data_uri
    style = re.search(r"<style>.*?</style>", report.TEMPLATE.read_text(encoding="utf-8"), re.DOTALL)
    images = bool(real) and not isinstance(real[0], str)
    table = [_row(measured, name) for name in rows(measured)]
    tested = [c for c in claims(measured) if c.held != "not tested"]
    return room.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        subtitle=subtitle,
        style=Markup(style[0] if style else ""),
        entrants=measured,
        findings=findings(measured),
        claims=tested,
        marks=MARKS,
        rows=table,
        floors=any(row["floor"] for row in table),
        sheets=_sheets(measured, real) if images else [],
        texts=[] if images else _texts(measured, real),
        spectra=Markup(spectra(measured, spectrum)) if spectrum is not None else "",
        walks=_walks(measured) if images else [],
        copies=[(e.name, copied(e)) for e in measured],
        notes=notes,
        command=command,
    )


def _row(entrants: Sequence[Entrant], name: str) -> dict[str, Any]:
    title, meaning = term(name)
    winners = [] if verdict.is_naive(name) else best(entrants, name)
    floor = next((e.scores[name].floor for e in entrants if name in e.scores), None)
    cells = [_cell(e.scores.get(name)) | {"best": e in winners} for e in entrants]
    return {
        "name": name,
        "title": title,
        "meaning": meaning,
        "cells": cells,
        "floor": "" if floor is None else report.number(floor),
    }


def _cell(score: Score | None) -> dict[str, Any]:
    if score is None:
        return {"value": "–", "between": ""}
    between = ""
    if score.low is not None and score.high is not None:
        between = f"{report.number(score.low)} to {report.number(score.high)}"
    return {"value": plain(score), "between": between}


def plain(score: Score) -> str:
    """The value as text; counts are whole."""
    whole = score.name in PLAIN or (score.name.startswith("passes") and score.value >= 100)
    return f"{score.value:,.0f}" if whole else report.number(score.value)


def _sheets(entrants: Sequence[Entrant], real: Sequence[Any]) -> list[dict[str, Any]]:
    named = [(e.name, e.samples) for e in entrants if e.samples] + [("real, held out", real)]
    return [{"name": n, "image": sheet(shown(i[:SHEET]), columns=SHEET_COLUMNS, gap=2)} for n, i in named]


def _texts(entrants: Sequence[Entrant], real: Sequence[Any]) -> list[dict[str, str]]:
    named = [(e.name, e.samples) for e in entrants] + [("real, held out", real)]
    return [{"name": n, "text": str(t)[:1200]} for n, i in named for t in i[:TEXTS]]


def _walks(entrants: Sequence[Entrant]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for e in entrants:
        frames = [f for walk in e.walks[:WALKS] for f in walk]
        image = sheet(shown(frames), columns=len(e.walks[0]), gap=2, least=40) if frames else None
        found.append({"name": e.name, "image": image, "why": e.no_walk})
    return found if any(w["image"] for w in found) else []


def spectra(entrants: Sequence[Entrant], real: Any) -> str:
    """Mean radial power spectra in decibels, inline SVG."""
    at = np.linspace(0, 0.5, len(real) + 1)[1:]
    lines = [Line(at, _decibels(real), "#111827", "real, held out", width=2.6)]
    for index, e in enumerate(e for e in entrants if e.spectrum is not None):
        colour, dash = charts.COLOURS[index % len(charts.COLOURS)], DASHES[index % len(DASHES)]
        lines.append(Line(at, _decibels(e.spectrum), colour, e.name, dash=dash))
    panel = Panel(lines, "power, dB", SPECTRA_HEIGHT)
    return line_chart([panel], "cycles a pixel", "Power spectra of samples and of real images")


def _decibels(power: Any) -> Any:
    return 10.0 * np.log10(np.asarray(power) + 1e-9)


def table(entrants: Sequence[Entrant], width: int = 34) -> str:
    """Figures as rows and runs as columns, for a terminal; * marks the best and what ties with it."""
    measured = [e for e in entrants if not e.failed]
    names = rows(measured)
    floors = {n: next((e.scores[n].floor for e in measured if n in e.scores), None) for n in names}
    lines = [["", *(e.name for e in measured), "real"]]
    for name in names:
        winners = best(measured, name)
        cells = [
            "-" if name not in e.scores else plain(e.scores[name]) + ("*" if e in winners else " ") for e in measured
        ]
        floor = floors[name]
        lines.append([term(name)[0][:width], *cells, "" if floor is None else report.number(floor)])
    wide = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, wide, strict=True))
        )
        for line in lines
    )


def to_json(entrants: Sequence[Entrant], about: Mapping[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """What compare.json holds."""
    measured = [e for e in entrants if not e.failed]
    runs = [
        {"name": e.name, "family": e.kind, "run": e.run, "failed": e.failed or None, "no_walk": e.no_walk or None,
         "copies": e.copies and {k: e.copies[k] for k in COPIES}, "scores": [e.scores[n].to_json() for n in sorted(e.scores)]}
        for e in entrants
    ]  # fmt: skip
    winners = {n: [e.name for e in best(measured, n)] for n in rows(measured)}
    return {
        **about,
        "runs": runs,
        "best": {n: w for n, w in winners.items() if w},
        "findings": findings(measured),
        "claims": [c.to_json() for c in claims(measured)],
        "notes": list(notes),
    }
