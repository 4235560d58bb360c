"""The page of a comparison: samples before figures, and a legend of what is on it alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from anew.evaluation.reporting.comparison import ComparisonReport, page
from anew.evaluation.reporting.ranking import RunResult
from scores import score


def page_of(*distances: float) -> str:
    pictures = [np.full((8, 8), 40 * i, np.uint8) for i in range(4)]
    runs = [
        RunResult(
            f"run{i}", "gan", scores={"frechet_distance": score("frechet_distance", value)}, samples=list(pictures)
        )
        for i, value in enumerate(distances)
    ]
    report = ComparisonReport(Path("duel"), tuple(runs), {})
    return page(report, title="digits", subtitle="", real=pictures, command=None)


def test_samples_come_before_figures() -> None:
    headings = re.findall(r"<h2>(.+?)</h2>", page_of(1.0, 9.0))
    assert headings.index("Samples") < headings.index("All scores")


def test_the_star_is_explained_only_where_a_run_has_one() -> None:
    assert "★ the best of these runs" in page_of(1.0, 9.0) and 'class="best"' in page_of(1.0, 9.0)
    assert "★ the best of these runs" not in page_of(1.0) and 'class="best"' not in page_of(1.0)
