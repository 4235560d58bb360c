"""The fields that tell samples from real rows are named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anew.evaluation.metrics.records.odd_fields import odd_fields
from anew.evaluation.metrics.records.row_formats import RowFormat, row_format
from anew.evaluation.metrics.records.text_fields import FieldEndings


def table(seed: int, n: int = 300) -> list[list[str]]:
    """A date, a number, its season and a class that goes with the number."""
    rng = np.random.default_rng(seed)
    years, numbers = rng.integers(1963, 2008, n), rng.integers(0, 90, n)
    return [
        [f"{rng.integers(1, 28):02d}.10.{year}", str(k), f"{year}/{(year + 1) % 100:02d}", "low" if k < 45 else "high"]
        for year, k in zip(years.tolist(), numbers.tolist(), strict=True)
    ]


NO_ENDINGS = FieldEndings((), {})


def form_of(rows: list[list[str]]) -> RowFormat:
    form = row_format([";".join(row) for row in rows])
    assert form is not None
    return form


@pytest.mark.parametrize(
    ("column", "clause"),
    [
        (2, "by how field 1 and field 3 go together"),
        (3, "by how field 2 and field 4 go together"),
        (None, ""),
    ],
)
def test_two_fields_that_do_not_go_together_are_named(column: int | None, clause: str) -> None:
    """Half of the dates of samples lay outside their season, and the report said "a classifier of the fields"."""
    known, real, samples = table(0, 2_000), table(1), table(2)
    if column is not None:
        other = table(3)
        samples = [[*row[:column], new[column], *row[column + 1 :]] for row, new in zip(samples, other, strict=True)]
    assert odd_fields(form_of(known), samples, real, known, NO_ENDINGS) == clause


def test_a_field_that_is_odd_by_itself_is_named_alone() -> None:
    known, real, samples = table(0, 2_000), table(1), table(2)
    form = row_format([json.dumps(dict(zip("abcd", row, strict=True))) for row in known])
    assert form is not None
    far = [[row[0], str(95 + int(row[1])), row[2], row[3]] for row in samples]
    assert odd_fields(form, far, real, known, NO_ENDINGS) == "by the field 'b'"
    assert odd_fields(form, far[:1], real, known, NO_ENDINGS) == ""


@pytest.mark.parametrize("n", [10, 20, 50])
def test_nothing_is_named_where_nothing_differs(n: int) -> None:
    """The largest of 45 ratings of 10 rows each lay above .6 in 25 of 25 draws."""
    rng = np.random.default_rng(0)

    def rows(count: int) -> list[list[str]]:
        return [[*map(str, rng.normal(500, 100, 8).astype(int)), "abc"[rng.integers(3)]] for _ in range(count)]

    known = rows(600)
    form = form_of(known)
    endings = FieldEndings.learn(form.columns, known)
    clauses = [odd_fields(form, rows(n), rows(n), known, endings) for _ in range(20)]
    assert sum(map(bool, clauses)) <= 2, clauses


def test_a_field_whose_numbers_end_otherwise_is_named() -> None:
    rng = np.random.default_rng(0)

    def rows(count: int, cents: list[int]) -> list[list[str]]:
        return [[f"{rng.integers(10, 90)}.{rng.choice(cents):02d}", "ab"[rng.integers(2)]] for _ in range(count)]

    known = rows(2_000, [95, 99])
    form = form_of(known)
    endings = FieldEndings.learn(form.columns, known)
    clause = odd_fields(form, rows(200, list(range(100))), rows(200, [95, 99]), known, endings)
    assert clause == "by how field 1 ends"
