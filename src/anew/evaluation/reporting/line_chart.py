"""Line charts as plain geometry that the templates draw as SVG: lines over a common axis, with ticks and a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.metrics.distances import Array

PLOT_WIDTH = 460  # pixels; with its labels, a chart is as wide as the text of the page


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart through points x, y (n,). A faint line is thin and pale, and has no name in the legend."""

    name: str
    x: Array
    y: Array
    colour: str
    dash: str = ""
    faint: bool = False


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line in the chart's pixels. points: "x,y x,y ..." of an SVG polyline, which may leave the plot."""

    name: str
    points: str
    colour: str
    dash: str
    faint: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: its position in pixels, and its label."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class LineChart:
    """A chart in pixels: the plot is `width` by `height`, with the labels of the axes around it."""

    title: str
    width: int
    height: int
    lines: list[DrawnLine]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    x_label: str
    y_label: str
    legend: list[DrawnLine] = field(default_factory=list)


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    height: int = 170,
    y_range: tuple[float, float] | None = None,
) -> LineChart:
    """A chart of lines over a common axis.

    Args:
        title: Title of the chart.
        lines: Lines, at least one.
        x_label, y_label: Labels of the axes.
        height: Height of the plot in pixels.
        y_range: Ends of the y axis, by default those of the values; the template clips what is outside.
    """
    xs, ys = np.concatenate([line.x for line in lines]), np.concatenate([line.y for line in lines])
    x_low, x_high = float(xs.min()), _upper_end(float(xs.min()), float(xs.max()))
    y_low, y_high = y_range or (float(ys.min()), float(ys.max()))
    y_high = _upper_end(y_low, y_high)

    def x_pixels(values: Any) -> Any:
        return PLOT_WIDTH * (np.asarray(values, dtype=np.float64) - x_low) / (x_high - x_low)

    def y_pixels(values: Any) -> Any:
        return height * (1.0 - (np.asarray(values, dtype=np.float64) - y_low) / (y_high - y_low))

    drawn_lines = []
    for line in lines:
        rows = thin_out(line.y)
        pairs = zip(x_pixels(line.x[rows]), y_pixels(line.y[rows]), strict=True)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)
        drawn_lines.append(DrawnLine(line.name, points, line.colour, line.dash, line.faint))
    legend = [line for line in drawn_lines if not line.faint]
    return LineChart(
        title=title,
        width=PLOT_WIDTH,
        height=height,
        lines=drawn_lines,
        x_ticks=[Tick(float(x_pixels(value)), f"{value:g}") for value in ticks(x_low, x_high, 6)],
        y_ticks=[Tick(float(y_pixels(value)), f"{value:g}") for value in ticks(y_low, y_high, max(height // 40, 2))],
        x_label=x_label,
        y_label=y_label,
        legend=legend if len(legend) > 1 else [],
    )


def _upper_end(low: float, high: float) -> float:
    """The upper end of an axis, so that its range is not empty."""
    return high if high > low else low + max(abs(low), 1.0) * 0.1


def thin_out(values: Array) -> NDArray[np.intp]:
    """The indices of values to draw: all or, if several fall on a pixel, its lowest and highest, which look the same."""
    rows = np.arange(len(values))
    if len(values) <= 2 * PLOT_WIDTH:
        return rows
    pixels = np.array_split(rows, PLOT_WIDTH)
    return np.unique([(pixel[values[pixel].argmin()], pixel[values[pixel].argmax()]) for pixel in pixels])


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from low to high, `about` of them or nearly: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    wide = next(factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    for factor in (wide, wide / 2, wide / 5, wide / 10):  # a short range may hold no multiple of a wide step
        step = power * factor
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if first <= last:
            break
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (factor != int(factor))
    return [round(number * step, digits) for number in range(first, last + 1)]
