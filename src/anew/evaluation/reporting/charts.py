"""Pictures of figures as SVG that stands inside a page: the training curve, and a scale for one score."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from anew.evaluation.metrics.statistics import Score

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#6b7280"  # of the palette of Okabe and Ito: told apart by all eyes
SHARES = ("precision", "recall", "density", "coverage", "novelty_auc")
COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7")
WIDTH, HEIGHT = 300, 40


def curve(history: Sequence[Mapping[str, Any]]) -> str:
    """Losses (keys `loss` or `loss_NAME`) and rate over time as inline SVG; empty where there are fewer than two steps."""
    names = [k for k in (history[0] if history else {}) if k == "loss" or k.startswith("loss_")]
    rows = [r for r in history if all(_number(r.get(k)) for k in names)]
    if len(rows) < 2 or not names:
        return ""
    import matplotlib
    from matplotlib.figure import Figure

    x, unit = _time(rows)
    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "anew",
        "font.size": 11,
        "font.family": "sans-serif",
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _losses(upper, x, {k: np.array([float(r[k]) for r in rows]) for k in names})
        if all(_number(r.get("rate")) for r in rows):
            lower.plot(x, np.array([float(r["rate"]) for r in rows]), color=ORANGE, linewidth=1.5)
        lower.set(ylabel="rate", xlabel=unit)
        lower.set_ylim(bottom=0)
        for axes in (upper, lower):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.25)
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", metadata=nothing)
    return inline(buffer.getvalue(), "Training loss and learning rate over the run")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def _time(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray[Any, Any], str]:
    """Where each row lies on the time axis, and what the axis says."""
    if not all(_number(r.get("seconds")) for r in rows):
        return np.array([float(r["step"]) for r in rows]), "step"
    x = np.array([float(r["seconds"]) for r in rows])
    return (x / 60.0, "minutes of training") if x[-1] > 180 else (x, "seconds of training")


def _losses(axes: Any, x: np.ndarray[Any, Any], losses: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Each loss as it was, pale, and as a running mean; the first steps may leave the picture at the top."""
    ends = []
    for (name, loss), colour in zip(losses.items(), COLOURS, strict=False):
        axes.plot(x, loss, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(x, running_mean(loss), color=colour, linewidth=1.8, label=name.removeprefix("loss_"))
        calm = loss[len(loss) // 50 :]
        ends += [float(calm.min()), float(np.quantile(calm, 0.995))]
    low, high = min(ends), max(ends)
    if high > low:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.1 * (high - low))
    axes.set_ylabel("training loss")
    if len(losses) > 1:
        axes.legend(frameon=False)


def running_mean(values: np.ndarray[Any, Any], share: float = 0.04) -> np.ndarray[Any, Any]:
    """Mean over a window of that share of the values, shorter at the ends."""
    width = max(1, round(len(values) * share))
    total = np.convolve(values, np.ones(width), "same")
    return total / np.convolve(np.ones(len(values)), np.ones(width), "same")


def inline(svg: str, title: str) -> str:
    """A whole SVG file as an element of a page: no prolog, no metadata, as wide as the page."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    head, rest = body.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>{rest}'


def scale(score: Score, top: float | None = None, naive: bool = False) -> str:
    """A line with the score as a dot, its interval as a bar, the floor and the ceiling as ticks, inline SVG. It begins at
    zero (at guessing for `two_sample_auc`) and ends at `top`, or where what is drawn does; a ceiling far behind that is
    named at the end."""
    numbers = [v for v in (score.value, score.high, score.floor) if v is not None and np.isfinite(v)]
    low = 0.5 if score.name == "two_sample_auc" else 0.0
    high = top if top is not None else _top(score, max(numbers, default=0.0))
    if high <= low or not np.isfinite(score.value):
        return ""

    def at(value: float) -> float:
        return 10 + (WIDTH - 20) * min(max((value - low) / (high - low), 0.0), 1.0)

    colour, x, y = (GREY if naive else BLUE), at(score.value), 14
    parts = [_line(10, WIDTH - 10, y, y, "#d1d5db", 2)]
    if score.low is not None and score.high is not None:
        parts.append(_line(at(score.low), at(score.high), y, y, colour, 7, 0.35))
    if score.floor is not None:
        parts.append(_line(at(score.floor), at(score.floor), 3, 25, ORANGE, 3))
    far = score.ceiling is not None and score.ceiling > high * 1.001
    if score.ceiling is not None:
        place = at(score.ceiling)
        parts += [_arrow(place, y)] if far else [_line(place, place, 3, 25, GREY, 3, dash=True)]
    circle = f'<circle cx="{x:.1f}" cy="{y}" r="6" fill="{colour}"/>'
    square = f'<rect x="{x - 5:.1f}" y="{y - 5}" width="10" height="10" fill="{colour}"/>'
    end = f"naive: {score.ceiling:.3g}" if far else f"{high:.2g}"
    parts += [square if naive else circle, _word(10, "start", f"{low:g}"), _word(WIDTH - 10, "end", end)]
    parts.append(_word(WIDTH / 2, "middle", "← better" if score.better == "lower" else "better →"))
    said = "".join(
        f", {name} {value:.4g}"
        for name, value in (("real against real", score.floor), ("naive generator", score.ceiling))
        if value is not None
    )
    label = escape(f"{score.name}: {score.value:.4g}{said}")
    return f'<svg class="scale" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


FAR = 4.0  # times what is drawn, behind which a ceiling is named only


def _top(score: Score, largest: float) -> float:
    """Where the scale of a score ends: at 1 for shares of everything, else a little behind the largest number."""
    if score.name in SHARES and largest <= 1.0:
        return 1.0
    if score.ceiling is not None and np.isfinite(score.ceiling) and score.ceiling <= FAR * largest:
        largest = max(largest, score.ceiling)
    bounded = score.name.endswith(("_divergence", "_rate", "_share", "_auc"))
    return min(1.15 * largest, 1.0) if bounded and largest <= 1.0 else 1.15 * largest


def _arrow(x: float, y: float) -> str:
    return f'<path d="M{x - 8:.1f} {y - 5} L{x:.1f} {y} L{x - 8:.1f} {y + 5}" fill="none" stroke="{GREY}" stroke-width="2"/>'


def _line(
    x1: float, x2: float, y1: float, y2: float, colour: str, width: float, opacity: float = 1.0, dash: bool = False
) -> str:
    dashes = ' stroke-dasharray="4 2"' if dash else ""
    ends = f'x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}"{dashes}/>'


def _word(x: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - 3}" text-anchor="{anchor}" font-size="10" fill="{GREY}">{text}</text>'
