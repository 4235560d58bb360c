"""Line charts: round ticks, lines within their plot, and no more points than the picture has pixels."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.evaluation.reporting.line_chart import PLOT_WIDTH, Line, LineChart, line_chart, ticks
from anew.evaluation.reporting.page import environment


def chart(n: int) -> LineChart:
    x = np.linspace(0.0, 10.0, n)
    spike = np.where(np.arange(n) == n // 2, 9.0, np.sin(x))
    lines = [Line("sine & co", x, spike, "#123456"), Line("zero", x, np.zeros(n), "#654321", dash="2 2")]
    return line_chart("A <title>", lines, x_label="time", y_label="height")


def heights(drawn: LineChart) -> list[float]:
    return [float(place.split(",")[1]) for place in drawn.lines[0].points.split()]


def test_a_chart_is_whole_xml_with_names_and_a_title() -> None:
    page = str(environment().get_template("charts.html").make_module().lines(chart(50)))
    root = ElementTree.fromstring(f"<div>{page}</div>")
    words = {(element.text or "").strip() for element in root.iter("text")}
    assert root[0].attrib["aria-label"] == "A <title>" and {"height", "time"} <= words
    assert [(span[0].tail or "").strip() for span in root.iter("span")] == ["sine & co", "zero"]
    assert [len(line.attrib["points"].split()) for line in root.iter("polyline")] == [50, 50]


def test_long_lines_are_thinned_and_keep_their_extremes() -> None:
    long = heights(chart(100_000))
    assert len(long) <= 2 * PLOT_WIDTH
    assert min(long) == pytest.approx(min(heights(chart(101))), abs=0.2)


def test_a_flat_line_has_an_axis() -> None:
    flat = line_chart("flat", [Line("", np.zeros(1), np.full(1, 5.0), "#123456")], x_label="x", y_label="y")
    assert flat.x_ticks and flat.y_ticks and "nan" not in flat.lines[0].points


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.013, 0.014), (-5.0, 1e6), (1e-7, 3e-7), (12.0, 50.0)])
def test_ticks_of_all_sizes(low: float, high: float) -> None:
    marks = ticks(low, high, 6)
    assert 2 <= len(marks) <= 8 and all(low - 1e-9 <= tick <= high + 1e-9 for tick in marks)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 10))
def test_ticks_are_few_and_within(low: float, span: float, count: int) -> None:
    marks = ticks(low, low + span, count)
    assert 1 <= len(marks) <= count + 2
    assert all(
        low - 1e-6 * span - 1e-9 * abs(low) <= tick <= low + span * (1 + 1e-6) + 1e-9 * abs(low) for tick in marks
    )


def test_ticks_are_round() -> None:
    assert ticks(0.0, 1.0, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-3.0, 47.0, 5) == [0.0, 10.0, 20.0, 30.0, 40.0]
