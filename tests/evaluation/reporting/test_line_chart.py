"""Line charts: round ticks, lines within their panel, and no more points than the picture has pixels."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anew.evaluation.reporting.line_chart import WIDTH, Line, Panel, line_chart, ticks

SVG = "{http://www.w3.org/2000/svg}"


def chart(n: int) -> ElementTree.Element:
    x = np.linspace(0.0, 10.0, n)
    spike = np.where(np.arange(n) == n // 2, 9.0, np.sin(x))
    lines = [Line(x, spike, "#123456", "sine & co"), Line(x, np.zeros(n), "#654321", dash="2 2")]
    return ElementTree.fromstring(
        line_chart([Panel(lines, "height", 200), Panel(lines[1:], "zero", 60)], "time", "A <title>")
    )


def test_a_chart_is_whole_xml_with_names_and_a_title() -> None:
    root = chart(50)
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert root.attrib["aria-label"] == "A <title>" and {"sine & co", "height", "zero", "time"} <= set(words)
    assert [len(line.attrib["points"].split()) for line in root.iter(f"{SVG}polyline")] == [50, 50, 50]


def test_long_lines_are_thinned_and_keep_their_extremes() -> None:
    long = next(chart(100_000).iter(f"{SVG}polyline")).attrib["points"].split()
    heights = [float(place.split(",")[1]) for place in long]
    whole = next(chart(101).iter(f"{SVG}polyline")).attrib["points"].split()
    assert len(long) <= 2 * WIDTH
    assert min(heights) == pytest.approx(min(float(place.split(",")[1]) for place in whole), abs=0.2)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 10))
def test_ticks_are_few_and_within(low: float, span: float, about: int) -> None:
    found = ticks(low, low + span, about)
    assert 1 <= len(found) <= about + 2
    assert all(
        low - 1e-6 * span - 1e-9 * abs(low) <= tick <= low + span * (1 + 1e-6) + 1e-9 * abs(low) for tick in found
    )


def test_ticks_are_round() -> None:
    assert ticks(0.0, 1.0, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-3.0, 47.0, 5) == [0.0, 10.0, 20.0, 30.0, 40.0]
