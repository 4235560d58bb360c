"""The page of a comparison: samples before figures, and a legend of what is on it alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from anew.evaluation.reporting.comparison import ComparisonReport, page
from anew.evaluation.reporting.ranking import CopyingSummary, RunResult, leave_out_uncommon
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
    return page(report, title="digits", subtitle="", real=pictures)


def test_samples_come_before_figures() -> None:
    headings = re.findall(r"<h2>(.+?)</h2>", page_of(1.0, 9.0))
    assert headings.index("Samples") < headings.index("Figures")


def test_the_star_is_explained_only_where_a_run_has_one() -> None:
    assert "★ the best of these runs" in page_of(1.0, 9.0) and 'class="best"' in page_of(1.0, 9.0)
    assert "★ the best of these runs" not in page_of(1.0) and 'class="best"' not in page_of(1.0)


def test_runs_that_no_figure_tells_apart_have_no_star() -> None:
    assert 'class="best"' not in page_of(5.0, 5.0) and "★" not in page_of(5.0, 5.0).partition("<body")[2]
    assert page_of(1.0, 1.0, 9.0).count('class="best"') == 2


def test_settings_that_differ_are_on_the_page() -> None:
    runs = tuple(RunResult(name, "gan", scores={"coverage": score("coverage", 0.5)}) for name in "ab")
    report = ComparisonReport(Path("duel"), runs, {}, differences={"width": {"a": "64", "b": "128"}})
    html = page(report, title="names", subtitle="", real=["x"])
    assert re.search(r"Settings that differ</h2>.*<td>width</td><td[^>]*>64</td><td[^>]*>128</td>", html, re.DOTALL)
    assert report.to_json()["differences"] == {"width": {"a": "64", "b": "128"}}
    assert "Settings that differ" not in page_of(1.0, 9.0)


def test_a_figure_that_a_run_had_no_time_for_is_left_out_for_all() -> None:
    """Odd letters were measured for one run alone, and called the same way of measuring."""
    full = {"coverage": score("coverage", 0.9), "recall": score("recall", 0.8)}
    runs = [
        RunResult("long", "gan", scores=dict(full)),
        RunResult("late", "gan", scores={"coverage": full["coverage"]}),
    ]
    assert leave_out_uncommon(runs) == [] and "recall" in runs[0].scores  # it may be one that only this family has
    runs[1].out_of_time = ["kinds of items", "kinds of items"]
    assert leave_out_uncommon(runs) == ["kinds of items"]
    assert [list(run.scores) for run in runs] == [["coverage"], ["coverage"]]


def test_names_are_shown_as_a_list_and_titles_whole() -> None:
    names = [f"name {number}" for number in range(40)]
    run = RunResult("a", "transformer", scores={"coverage": score("coverage", 0.5)}, samples=list(names))
    run.copies = CopyingSummary(False, 0.5, 0.0, None, 4, "Nothing found (`anew evaluate` says more).")
    html = page(ComparisonReport(Path("duel"), (run,), {}), title="names", subtitle="", real=names)
    assert "name 0\nname 1\n" in html and "name 19" in html and "name 20" not in html
    assert "<code>anew evaluate</code> says more" in html
