"""Rows of fields in lists."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics.delimited import row_format, row_scores, split
from anew.evaluation.reporting.grading import grade_by_question
from anew.evaluation.score import Score

N = 400


def rows(n: int, seed: int) -> list[str]:
    """A radius and a perimeter that belongs to it, a colour, and a weight that is missing in one row of ten."""
    rng = np.random.default_rng(seed)
    radius = rng.gamma(9.0, 1.5, n)
    perimeter = 2.0 * np.pi * radius * rng.normal(1.0, 0.005, n)
    weight = [f"{w:.1f}" if rng.random() < 0.9 else "NA" for w in rng.normal(50.0, 9.0, n)]
    colour = rng.choice(["red", "dark, green"], n)
    return [f'{r:.2f},{p:.1f},"{c}",{w}' for r, p, c, w in zip(radius, perimeter, colour, weight, strict=True)]


def scores(samples: list[str]) -> dict[str, Score]:
    train = rows(3_000, 2)
    return {score.spec.name: score for score in row_scores(samples, rows(N, 1), train[:N], train, 0)}


def grade(samples: list[str]) -> str:
    return grade_by_question(list(scores(samples).values()), "no reason")["closeness"].grade


def shuffled_columns(records: list[str]) -> list[str]:
    rng = np.random.default_rng(0)
    columns = np.array([split(record, ",") for record in records]).T
    shuffled = [rng.permutation(column) for column in columns]
    return [
        f'{radius},{perimeter},"{colour}",{weight}' for radius, perimeter, colour, weight in zip(*shuffled, strict=True)
    ]


def test_real_rows_differ_in_nothing() -> None:
    real = scores(rows(N, 3))
    assert real["malformed_rows"].value == 0.0 and real["malformed_rows"].real_baseline == 0.0
    assert 0.4 < real["columns_auc"].value < 0.6


def test_shuffled_columns_are_told_from_real_rows() -> None:
    result = scores(shuffled_columns(rows(N, 3)))
    assert result["malformed_rows"].value == 0.0
    assert result["columns_auc"].value > 0.9 and grade(shuffled_columns(rows(N, 3))) == "poor"


def test_malformed_rows_are_counted() -> None:
    broken = ["17.2,1a,red,50.0", "17.2,100.0,red", "17.2,100.0,red,", "\r\n17", "n,,,\0"]
    result = scores([*broken * 20, *rows(N - 100, 3)])
    assert result["malformed_rows"].value == pytest.approx(100 / N) and result["columns_auc"].n == N - 100


def test_what_is_no_list_of_rows_has_no_scores() -> None:
    assert row_format(["Anna", "Bob", "Eve, the last"] * 100) is None
    assert row_format(rows(40, 0)) is None
    assert list(row_scores(["a"] * 60, ["b"] * 60, ["c"] * 60, ["d"] * 600, 0)) == []


@pytest.mark.parametrize("delimiter", ["\t", ";", "|"])
def test_delimiters_and_decimal_commas(delimiter: str) -> None:
    records = [f"{i},5{delimiter}{i * i},25" for i in range(100)]
    form = row_format(records)
    assert form is not None and form.delimiter == delimiter
    assert all(column.numbers is not None for column in form.columns)
