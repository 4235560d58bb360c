"""Line charts as SVG that stands inside a page: panels one below the other over one x axis, with grid, ticks and a legend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WIDTH, LEFT, RIGHT = 720, 64, 12  # of the picture, and of its margins
TOP, GAP, BOTTOM = 8, 14, 40  # above the first panel, between two, below the last one
LEGEND = 20  # height of a row of names
INK, GRID = "#374151", "#e5e7eb"


@dataclass(frozen=True, slots=True)
class Line:
    """x, y: (n,) finite numbers, x rising. name: for the legend; empty leaves it out. dash: as SVG's stroke-dasharray."""

    x: Floats
    y: Floats
    colour: str
    name: str = ""
    width: float = 1.8
    opacity: float = 1.0
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over each other. low, high: the ends of the y axis; None: where the lines end. height: in pixels."""

    lines: Sequence[Line]
    label: str
    height: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class _Axis:
    """From values to pixels: `start` is the pixel of the value `low`, `end` that of `high`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)


def line_chart(panels: Sequence[Panel], label: str, title: str) -> str:
    """An <svg> element. label: of the x axis, title: what is said instead of the picture."""
    named = [line for panel in panels for line in panel.lines if line.name]
    top = TOP + (LEGEND if named else 0)
    ends = [float(line.x[at]) for panel in panels for line in panel.lines for at in (0, -1)]
    across = _Axis(min(ends), _above(min(ends), max(ends)), LEFT, WIDTH - RIGHT)
    parts = [_legend(named)]
    y = top
    for panel in panels:
        parts.append(_panel(panel, across, y, last=panel is panels[-1]))
        y += panel.height + GAP
    bottom = y - GAP
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, bottom + BOTTOM - 8, "middle", label))
    height = bottom + BOTTOM
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}" '
        f'font-size="12" font-family="sans-serif"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from low to high, about so many: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    wide = next(factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    for factor in (wide, wide / 2, wide / 5, wide / 10):  # with two wide steps, none of their multiples may lie within
        step = power * factor
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if first <= last:
            break
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (factor != int(factor))
    return [round(number * step, digits) for number in range(first, last + 1)]


def _above(low: float, high: float) -> float:
    """The upper end of an axis, which must not be empty."""
    return high if high > low else low + max(abs(low), 1.0) * 0.1


def _panel(panel: Panel, across: _Axis, top: int, last: bool) -> str:
    values = np.concatenate([line.y for line in panel.lines])
    low = float(values.min()) if panel.low is None else panel.low
    high = _above(low, float(values.max()) if panel.high is None else panel.high)
    up = _Axis(low, high, top + panel.height, top)
    parts = []
    for tick in ticks(low, high, max(2, panel.height // 40)):
        parts.append(_rule(LEFT, WIDTH - RIGHT, up(tick), up(tick)))
        parts.append(_text(LEFT - 6, up(tick) + 4, "end", f"{tick:g}"))
    for tick in ticks(across.low, across.high, 8):
        parts.append(_rule(across(tick), across(tick), top, top + panel.height))
        if last:
            parts.append(_text(across(tick), top + panel.height + 16, "middle", f"{tick:g}"))
    middle = top + panel.height / 2
    turned = f'transform="rotate(-90 14 {middle:.1f})"'
    parts.append(_text(14, middle, "middle", panel.label, turned))
    # A nested picture cuts off what leaves the panel, and needs no id that a second chart on the page would share.
    wide = WIDTH - LEFT - RIGHT
    box = f'x="{LEFT}" y="{top}" width="{wide}" height="{panel.height}"'
    view = f'viewBox="{LEFT} {top} {wide} {panel.height}"'
    parts.append(f"<svg {box} {view}>{''.join(_path(line, across, up) for line in panel.lines)}</svg>")
    return "".join(parts)


def _path(line: Line, across: _Axis, up: _Axis) -> str:
    places = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in _thinned(line))
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    return (
        f'<polyline points="{places}" fill="none" stroke="{line.colour}" stroke-width="{line.width}" '
        f'stroke-opacity="{line.opacity}" stroke-linejoin="round"{dash}/>'
    )


def _thinned(line: Line) -> Iterator[tuple[float, float]]:
    """All points, or where several fall on one pixel the lowest and the highest of them: they look the same."""
    stretches = np.array_split(np.arange(len(line.x)), WIDTH)
    if len(line.x) <= 2 * WIDTH:
        stretches = [np.arange(len(line.x))]
    for places in stretches:
        shown = (
            places
            if len(stretches) == 1
            else sorted({places[line.y[places].argmin()], places[line.y[places].argmax()]})
        )
        yield from ((float(line.x[at]), float(line.y[at])) for at in shown)


def _legend(lines: Sequence[Line]) -> str:
    parts, x = [], float(LEFT)
    for line in lines:
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(
            f'<line x1="{x:.1f}" x2="{x + 22:.1f}" y1="14" y2="14" stroke="{line.colour}" stroke-width="{line.width}"{dash}/>'
        )
        parts.append(_text(x + 27, 18, "start", line.name))
        x += 27 + 7 * len(line.name) + 18
    return "".join(parts)


def _rule(x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="{GRID}"/>'


def _text(x: float, y: float, anchor: str, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}" {more}>{escape(text)}</text>'
