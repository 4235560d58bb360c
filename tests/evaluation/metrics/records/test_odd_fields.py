"""The fields that tell samples from real rows are named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anew.evaluation.metrics.records.odd_fields import odd_fields
from anew.evaluation.metrics.records.row_formats import RowFormat, row_format


def table(seed: int, n: int = 300) -> list[list[str]]:
    """A date, a number, its season and a class that goes with the number."""
    rng = np.random.default_rng(seed)
    years, numbers = rng.integers(1963, 2008, n), rng.integers(0, 90, n)
    return [
        [f"{rng.integers(1, 28):02d}.10.{year}", str(k), f"{year}/{(year + 1) % 100:02d}", "low" if k < 45 else "high"]
        for year, k in zip(years.tolist(), numbers.tolist(), strict=True)
    ]


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
    assert odd_fields(form_of(known), samples, real, known) == clause


def test_a_field_that_is_odd_by_itself_is_named_alone() -> None:
    known, real, samples = table(0, 2_000), table(1), table(2)
    form = row_format([json.dumps(dict(zip("abcd", row, strict=True))) for row in known])
    assert form is not None
    far = [[row[0], str(95 + int(row[1])), row[2], row[3]] for row in samples]
    assert odd_fields(form, far, real, known) == "by the field 'b'"
    assert odd_fields(form, far[:1], real, known) == ""
