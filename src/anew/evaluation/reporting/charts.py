"""Charts of a report as plain geometry that the templates draw as SVG: scales of scores, training curves, spectra."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.reporting.line_chart import Line, LineChart, line_chart
from anew.evaluation.score import Score

# Colours of the palette of Okabe and Ito, which colour-blind readers can tell apart. The page, light or dark, defines them.
COLOURS = ("var(--blue)", "var(--orange)", "var(--green)", "var(--pink)")
DASHES = ("", "7 3", "8 3 2 3", "2 3", "7 3 2 3 2 3")  # in addition to colours, for readers who see none
SMOOTHING = 0.04  # window of a running mean, as a share of the steps; chosen by eye
ARROWS = {"lower": "← better", "higher": "better →", "closer to real": "better: near 1"}
MAX_DRAWN_RATIO = 4.0  # a naive baseline beyond this many times the largest other value is named, not drawn

# ---- the scale of a score ----


@dataclass(frozen=True, slots=True)
class ScaleChart:
    """A scale with the score as a dot. All positions are shares of its length; None for what is missing.

    Attributes:
        value, low, high: The score and its 95% interval.
        real_baseline, naive_baseline: Marks on the line.
        start, end: Texts at the ends of the line.
        naive_is_far: Whether the naive baseline lies beyond the end, whose text then names it.
        better: Which way is better, as an arrow with a word.
        is_reference: Whether the score is there for comparison only.
        label: The same in words, for screen readers.
    """

    value: float
    low: float | None
    high: float | None
    real_baseline: float | None
    naive_baseline: float | None
    start: str
    end: str
    naive_is_far: bool
    better: str
    is_reference: bool
    label: str


def scale_chart(score: Score, end: float | None = None, *, is_percent: bool = False) -> ScaleChart | None:
    """The scale from the metric's minimum to `end`, or to a fitting end; None if the score is not finite.

    is_percent: whether its numbers are shown in percent.
    """
    values = [v for v in (score.shown_value, score.high, score.real_baseline) if v is not None and math.isfinite(v)]
    start = score.spec.minimum
    end = _scale_end(score, max(values, default=0.0)) if end is None else end
    if end <= start or not math.isfinite(score.value):
        return None

    def share(value: float | None) -> float | None:
        return None if value is None else min(max((value - start) / (end - start), 0.0), 1.0)

    naive = score.naive_baseline
    naive_is_far = naive is not None and naive > end * 1.001

    def number(value: float) -> str:
        return f"{100.0 * value:.3g}%" if is_percent else f"{value:.4g}"

    label = f"{score.spec.title}: {number(score.shown_value)}"
    label += "" if score.real_baseline is None else f", real data {number(score.real_baseline)}"
    label += "" if naive is None else f", naive generator {number(naive)}"
    return ScaleChart(
        value=share(score.shown_value) or 0.0,
        low=None if score.interval is None else share(score.low),
        high=None if score.interval is None else share(score.high),
        real_baseline=share(score.real_baseline),
        naive_baseline=share(naive),
        start=_short(start, is_percent),
        end=f"naive: {_short(naive, is_percent)}" if naive is not None and naive_is_far else _short(end, is_percent),
        naive_is_far=naive_is_far,
        better=ARROWS[score.better],
        is_reference=score.spec.role == "reference",
        label=label,
    )


def _short(number: float, is_percent: bool) -> str:
    """Format a number with two digits, or as a whole number from 100 on, without an exponent. is_percent: it is a share."""
    if is_percent:
        return f"{_short(100.0 * number, is_percent=False)}%"
    return f"{number:,.0f}" if number >= 100.0 else f"{number:.2g}"


def _scale_end(score: Score, largest: float) -> float:
    """The end of the scale of a score: a little beyond the largest number, at most the metric's maximum."""
    spec = score.spec
    if spec.full_axis and spec.maximum is not None and largest <= spec.maximum:
        return spec.maximum
    naive = score.naive_baseline
    if naive is not None and math.isfinite(naive) and naive <= MAX_DRAWN_RATIO * largest:
        largest = max(largest, naive)
    end = 1.15 * largest
    return min(end, spec.maximum) if spec.maximum is not None and largest <= spec.maximum else end


# ---- the training curves ----


def training_curves(
    history: Sequence[Mapping[str, object]], checks: Sequence[Mapping[str, object]] = ()
) -> list[LineChart]:
    """Charts of losses (keys `loss` or `loss_NAME`) and the learning rate over time; none for fewer than two steps.

    checks: Events of validation, with step and loss.
    """
    names = [key for key in (history[0] if history else {}) if key == "loss" or key.startswith("loss_")]
    rows = [row for row in history if all(finite(row, name) is not None for name in names)]
    if len(rows) < 2 or not names:
        return []
    x, x_label = _time_axis(rows)
    losses = {name.removeprefix("loss_"): _column(rows, name) for name in names}
    lines = []
    for (name, loss), colour in zip(losses.items(), COLOURS, strict=False):
        lines.append(Line(name, x, loss, colour, faint=True))
        lines.append(Line(name, x, running_mean(loss), colour))
    charts = [line_chart("Training loss", lines, x_label=x_label, y_label="training loss", y_range=_loss_range(losses))]
    charts += _validation_chart(checks, _column(rows, "step"), x, x_label)
    rate = _column(rows, "rate")
    if np.isfinite(rate).all():
        line = Line("learning rate", x, rate, COLOURS[1])
        top = max(float(rate.max()), 1e-12)
        charts.append(
            line_chart(
                "Learning rate", [line], x_label=x_label, y_label="learning rate", height=60, y_range=(0.0, 1.1 * top)
            )
        )
    return charts


def _validation_chart(checks: Sequence[Mapping[str, object]], steps: Array, x: Array, x_label: str) -> list[LineChart]:
    """The chart of the validation loss, which the report speaks of; none for fewer than two checks.

    steps, x: (n,) numbers of training steps, and their places on the time axis.
    """
    points = {
        step: loss for check in checks if None not in (step := finite(check, "step"), loss := finite(check, "loss"))
    }
    if len(points) < 2 or not np.isfinite(steps).all():
        return []
    checked, losses = np.array(sorted(points.items()), dtype=np.float64).T
    line = Line("validation loss", np.interp(checked, steps, x), losses, COLOURS[0])
    return [line_chart("Validation loss", [line], x_label=x_label, y_label="validation loss", height=100)]


def _column(rows: Sequence[Mapping[str, object]], name: str) -> Array:
    """A number of each row; NaN for a row without it."""
    return np.array([np.nan if (value := finite(row, name)) is None else value for row in rows])


def _time_axis(rows: Sequence[Mapping[str, object]]) -> tuple[Array, str]:
    """The position of each row on the time axis, and the label of the axis."""
    x = _column(rows, "seconds")
    if not np.isfinite(x).all():
        return _column(rows, "step"), "step"
    return (x / 60.0, "minutes of training") if x[-1] > 180 else (x, "seconds of training")


def _loss_range(losses: Mapping[str, Array]) -> tuple[float, float]:
    """The range of losses that is drawn; the first steps may be above it."""
    calm = [loss[len(loss) // 50 :] for loss in losses.values()]
    low = min(float(loss.min()) for loss in calm)
    high = max(float(np.quantile(loss, 0.995)) for loss in calm)
    margin = high - low if high > low else 1.0
    return low - 0.05 * margin, high + 0.1 * margin


def running_mean(values: Numbers) -> Array:
    """The mean over a window of SMOOTHING of the values, which is shorter at the ends."""
    width = max(1, round(len(values) * SMOOTHING))
    total = np.convolve(values, np.ones(width), "same")
    return np.asarray(total / np.convolve(np.ones(len(values)), np.ones(width), "same"))


def spectrum_chart(spectra: Mapping[str, Numbers], real: Numbers) -> LineChart:
    """A chart of mean radial power spectra (rings,), of runs by name and of held-out images, in decibels."""
    x = np.linspace(0, 0.5, len(real) + 1)[1:]
    lines = [Line("real, held out", x, _decibels(real), "var(--ink)")]
    for i, (name, spectrum) in enumerate(spectra.items()):
        dash = DASHES[(i + 1) % len(DASHES)]
        lines.append(Line(name, x, _decibels(spectrum), COLOURS[i % len(COLOURS)], dash))
    return line_chart(
        "Power spectra of samples and of real images", lines, x_label="cycles per pixel", y_label="power, dB"
    )


def _decibels(power: Numbers) -> Array:
    return np.asarray(10.0 * np.log10(np.asarray(power) + 1e-9))


def finite(event: Mapping[str, object], name: str) -> float | None:
    """A number of an event; None if it is missing or not finite."""
    value = event.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
