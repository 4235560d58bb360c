"""Which fields are numbers, and which numbers: decimal commas, thousands, identifiers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anew.evaluation.metrics.records.number_order import numbers_of
from anew.evaluation.metrics.records.row_formats import (
    groups_thousands,
    json_fields,
    num_decimals,
    number,
    part_delimiter,
    row_format,
)


@pytest.mark.parametrize(
    ("field", "decimal", "grouped"),
    [
        ("1.5", 1.5, 1.5),
        (" -2e3 ", -2000.0, -2000.0),
        ("1,5", 1.5, None),
        ("1,234", 1.234, 1234.0),
        ("-1,234,567.5", None, -1234567.5),
        ("0,123", 0.123, None),
        ("1234,567", 1234.567, None),
        ("12_34", None, None),
        ("nan", None, None),
        ("1e999", None, None),
        ("", None, None),
        ("a", None, None),
        (",", None, None),
    ],
)
def test_numbers_by_what_a_comma_means(field: str, decimal: float | None, grouped: float | None) -> None:
    assert number(field) == decimal and number(field, thousands=True) == grouped


@pytest.mark.parametrize(
    ("fields", "thousands"),
    [
        (["1,234", "999", "12,500", "n/a"], True),
        (["1,234,567", "1,234"], True),
        (["1,234.50", "2"], True),
        (["1,234", "1,5"], False),
        (["1,234", "0,250"], False),
        (["1,5", "Smith, John"], False),
        (["1,234", "Smith, John"], True),
        (["12", "1.5"], False),
        ([], False),
    ],
)
def test_all_numbers_of_a_column_say_what_its_commas_mean(fields: list[str], thousands: bool) -> None:
    assert groups_thousands(fields) is thousands


def test_columns_with_thousands_and_with_decimal_commas() -> None:
    rng = np.random.default_rng(0)
    prices = (10.0 ** rng.uniform(2, 5, 300)).astype(int)
    rows = [f"{price:,};{str(price / 8).replace('.', ',')};id_{i}" for i, price in enumerate(prices)]
    form = row_format(rows)
    assert form is not None
    whole, eighth, name = form.columns
    assert whole.numbers is not None and whole.numbers.tolist() == sorted(prices.tolist())
    assert eighth.numbers is not None and eighth.numbers.tolist() == sorted((prices / 8).tolist())
    assert name.numbers is None
    assert numbers_of("12,345;1,5;x", form) == {(0,): 12345.0, (1,): 1.5}
    assert form.fields("1,5;1,5;x") is None  # the first column has no decimals


def test_integers_within_fields_are_features_where_nearly_all_hold_equally_many() -> None:
    form = row_format([f"{i % 7}-{i % 5};A-{1000 + i};{'x1' * (i % 3)};street {'9' * 30}" for i in range(200)])
    assert form is not None and [len(column.integers) for column in form.columns] == [2, 1, 0, 1]
    score, code = form.columns[:2]
    assert score.integers[0].tolist() == sorted(i % 7 for i in range(200))
    number, rank = code.features(["A-1100", "A-1100", "none"])[:, -2:].T
    assert number.tolist() == [1100.0, 1100.0, 1099.5] and rank.tolist() == pytest.approx([0.5025, 0.5025, 0.5])
    assert np.isfinite(form.columns[3].features(["street 1", ""])).all()


def test_identifiers_with_underscores_are_no_column_of_numbers() -> None:
    form = row_format([f"{i}_{i + 1};{i}" for i in range(100)])
    assert form is not None and [column.numbers is None for column in form.columns] == [True, False]


def test_strings_of_json_that_could_be_numbers_stay_json() -> None:
    values = {"a": "1,234,567", "b": "1,5", "c": "x", "d": 2}
    assert json_fields(json.dumps(values)) == {"a": '"1,234,567"', "b": '"1,5"', "c": "x", "d": "2"}


def test_parts_of_uneven_records_have_a_delimiter_and_rows_none() -> None:
    """InChI has layers that are no fields: whether they go together is not compared, and that is said."""
    layers = [f"InChI=1S/C{i}H{2 * i + 2}/c1-2-{i}" + "/h1H" * (i % 3) for i in range(90)]
    assert part_delimiter(layers) == "/"
    assert part_delimiter([f"{i}/{2 * i}/x|{i}|{i}" for i in range(90)]) is None  # rows of fields
    assert part_delimiter([f"CC{'C' * (i % 7)}Br.N>>CC{'C' * (i % 7)}N" for i in range(90)]) == ">>"
    assert part_delimiter([f"either/or {i}" for i in range(90)]) is None and part_delimiter(layers[:20]) is None


@pytest.mark.parametrize(
    ("field", "thousands", "expected"),
    [
        ("3", False, 0),
        ("3.10", False, 2),
        ("3,1", False, 1),
        ("1,234.5", True, 1),
        ("1,234", True, 0),
        ("x.5", False, 0),
    ],
)
def test_decimals_are_counted(field: str, thousands: bool, expected: int) -> None:
    assert num_decimals(field, thousands) == expected
    assert num_decimals("0.123456789") == 6 and num_decimals("1.5e-3") == 1


def test_numbers_of_any_length_are_read() -> None:
    for field in ("0." + "1" * 80, " " * 40 + "7", "1" * 40):
        assert number(field) == number(field) == float(field)
    assert number("1,234.5", thousands=True) == 1234.5 and number("1,234.5") is None
    assert number("x" * 100) is None and number("1e999") is None
