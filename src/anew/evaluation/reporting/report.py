"""report.json and report.html: one page that opens offline, and the same figures for programs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anew.core import files
from anew.evaluation.memorization.result import CAUGHT, RATES, Copies, percent
from anew.evaluation.metrics.statistics import Score
from anew.evaluation.reporting import charts, verdict
from anew.evaluation.reporting.content import Shown

TEMPLATE = Path(__file__).with_name("templates") / "report.html"
KINDS = {"protein": "sequence"}  # what new data of a modality is called, where its name says too much


def write_report(
    folder: Path,
    *,
    run: str,
    family: str,
    modality: str,
    scores: list[Score],
    copies: Copies | None = None,
    shown: Shown,
    history: list[dict[str, Any]],
    settings: dict[str, Any],
    plan: dict[str, Any],
    notes: list[str],
    command: str | None,
    subtitle: str | None = None,
) -> dict[str, Any]:
    """Write both files into `folder` (made if missing), each whole or not at all; returns what report.json holds.

    shown: what an Evaluation's `show` gave; copies: of its audit, None where there was none;
    history: one object a step with step, seconds, loss (or loss_NAME), rate.
    """
    found: dict[str, Any] = {
        "run": run,
        "family": family,
        "modality": modality,
        "scores": [s.to_json() for s in scores],
        "copies": None if copies is None else copies.to_json(),
        "verdict": verdict.verdict(scores, copies, max((h["step"] for h in history), default=None)),
        "grades": verdict.grades(scores, copies),
        "notes": notes,
    }
    page = render(
        found,
        scores=scores,
        shown=shown,
        curve=charts.curve(history),
        tables={"Settings": flat(settings), "Plan": flat(plan)},
        command=command,
        subtitle=subtitle
        or f"New {KINDS.get(modality, modality)} data from a {family} model, measured against real data it never saw.",
    )
    files.check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / "report.html", page)
    files.write_json(folder / "report.json", found)
    return found


def render(
    found: Mapping[str, Any],
    *,
    scores: Sequence[Score],
    shown: Shown,
    curve: str,
    tables: Mapping[str, Mapping[str, str]],
    command: str | None,
    subtitle: str,
) -> str:
    """The page. All text is escaped, whatever was sampled; only pictures drawn here enter as they are."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    room = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    room.filters["image"] = _data_uri
    page = room.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return page.render(
        found=found,
        shown=shown,
        cards=verdict.cards(found["verdict"], found["grades"]),
        more=[found["verdict"][q] for q in verdict.FURTHER if q in found["verdict"]],
        groups=_groups(scores),
        subtitle=subtitle,
        rates=[percent(rate) for rate in RATES],
        planted=_planted(found["copies"]),
        curve=Markup(curve),
        tables={title: rows for title, rows in tables.items() if rows},
        command=command,
    )


def _groups(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Scores with their words and scale. Bits per unit and the naive rows of it share one scale."""
    bits = [s for s in scores if s.name.startswith("bits_per_")]
    rest = [s for s in scores if s not in bits]
    groups: list[dict[str, Any]] = []
    for title, names in verdict.GROUPS.items():
        rows = [_row(s) for s in rest if s.name in names or (not names and verdict.group_of(s.name) is None)]
        if rows:
            groups.append({"title": title, "rows": rows})
    if bits:
        top = 1.1 * max(max(s.value, s.high or 0.0) for s in bits)
        rows = [_row(s, top, verdict.is_naive(s.name)) for s in bits]
        groups.append({"title": "How well unseen data is predicted", "rows": rows})
    for group in groups:
        group["naive"] = any(r["naive"] for r in group["rows"])
        for end in ("floor", "ceiling"):
            group[end] = any(r[end] is not None for r in group["rows"])
    return groups


def _planted(copies: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """How often planted copies were caught, by kind and rate; empty cells were not tried once a higher rate was missed."""
    table: dict[str, list[str]] = {}
    for one in [] if copies is None else copies["controls"]:
        cells = table.setdefault(one["kind"], ["not tried"] * len(RATES))
        cells[RATES.index(one["rate"])] = "caught" if one["caught"] >= CAUGHT else f"caught {one['caught']:.0%}"
    return table


def _row(score: Score, top: float | None = None, naive: bool = False) -> dict[str, Any]:
    from markupsafe import Markup

    title, meaning = verdict.term(score.name)
    between = None if score.low is None or score.high is None else f"{number(score.low)} to {number(score.high)}"
    return {
        "name": score.name,
        "title": title,
        "meaning": meaning,
        "value": number(score.value),
        "between": between,
        "floor": None if score.floor is None else number(score.floor),
        "ceiling": None if score.ceiling is None else number(score.ceiling),
        "better": score.better,
        "naive": naive,
        "n": f"{score.n:,}",
        "source": "; ".join(s for s in (score.source, score.said) if s),
        "scale": Markup(charts.scale(score, top, naive)),
    }


def number(value: float) -> str:
    """Three figures that count, without an exponent where one is not needed."""
    if value == 0:
        return "0"
    if abs(value) < 0.0001:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as lines "family.width": "256"; lists of objects stay JSON."""
    lines: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines |= flat(value, f"{prefix}{name}.")
        elif value is not None and value != [] and value != ():
            plain = value if isinstance(value, str | int | float | bool) else json.dumps(value, default=str)
            lines[f"{prefix}{name}"] = f"{plain:.6g}" if isinstance(plain, float) else str(plain)
    return lines


def _data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64," + base64.b64encode(data).decode("ascii")
