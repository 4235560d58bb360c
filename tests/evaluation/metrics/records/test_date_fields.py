"""Dates in the fields of rows: formats, dates that do not exist, orders, days of the week."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from anew.evaluation.metrics.records.date_fields import DateFormat, date_format, wrong_weekdays
from anew.evaluation.metrics.records.delimited import row_scores
from anew.evaluation.metrics.records.number_order import number_scores
from anew.evaluation.metrics.records.record_sets import RecordSets

DAY = timedelta(days=1)
LEAP_DAY = float(date(2024, 2, 29).toordinal())


@pytest.mark.parametrize(
    ("pattern", "field", "number"),
    [
        ("", "2024-02-29", LEAP_DAY),
        ("", "2024-02-29T12:00:00Z", LEAP_DAY + 0.5),
        ("", "2024-02-29 06:00", LEAP_DAY + 0.25),
        ("", "2023-02-29", None),
        ("", "20240229", None),
        ("%Y%m%d", "20240229", LEAP_DAY),
        ("%Y%m%d", "00240229", None),
        ("%d.%m.%Y", "29.2.2024", LEAP_DAY),
        ("%d.%m.%Y", "29.02.24", None),
        ("%m/%d/%y", "2/29/24", LEAP_DAY),
        ("%m/%d/%Y", "29/02/2024", None),
        ("%d %b %Y", "29 FEB 2024", LEAP_DAY),
        ("%B %d, %Y", "February 29, 2024", LEAP_DAY),
        ("%H:%M", "18:00", 0.75),
        ("%H:%M", "24:00", None),
        ("%d.%m.%Y", "", None),
    ],
)
def test_days(pattern: str, field: str, number: float | None) -> None:
    assert DateFormat(pattern).number(field) == number


def test_the_score_of_a_match_is_no_time_of_day() -> None:
    assert date_format([f"{i % 5}:{i % 3}" for i in range(100)]) is None
    assert date_format([f"{i % 5}:{i % 60:02d}" for i in range(100)]) is not None


def test_the_format_of_a_column() -> None:
    days = [date(2019, 1, 1) + i * 3 * DAY for i in range(200)]
    assert date_format([f"{day:%m/%d/%Y}" for day in days]) == DateFormat("%m/%d/%Y")
    assert date_format([f"{day:%d/%m/%Y}" for day in days]) == DateFormat("%d/%m/%Y")
    assert date_format([f"{day.day}.{day.month}.{day.year}" for day in days]) == DateFormat("%d.%m.%Y")
    assert date_format([f"{day:%Y-%m-%d}" if i % 3 else "never" for i, day in enumerate(days)]) == DateFormat("")
    assert date_format([f"{i * 7919 % 90_000_000 + 10_000_000}" for i in range(200)]) is None  # numbers of customers
    assert date_format([f"{i / 7:.2f}" for i in range(200)]) is None and date_format(["pen"] * 60) is None
    assert date_format([]) is None


def orders(n: int, seed: int, pattern: str) -> list[list[str]]:
    """The day of an order, never at a weekend, that of its delivery up to ten days later, and a quantity."""
    rng = np.random.default_rng(seed)
    days = [date(2019, 1, 7) + (7 * int(week) + int(day)) * DAY for week, day in rng.integers(0, (250, 5), (n, 2))]
    delivered = [day + int(wait) * DAY for day, wait in zip(days, rng.integers(1, 11, n), strict=True)]
    return [
        [day.strftime(pattern), late.strftime(pattern), str(count)]
        for day, late, count in zip(days, delivered, rng.integers(1, 9, n), strict=True)
    ]


def measured(samples: list[list[str]], pattern: str) -> dict[str, float]:
    train, held_out, own = (
        [";".join(row) for row in part] for part in (orders(1_000, 1, pattern), orders(300, 2, pattern), samples)
    )
    rows = row_scores(RecordSets(own, held_out, train[:300], train, 0))
    return {score.spec.name: score.value for score in [*rows, *number_scores(RecordSets(own, held_out, [], train, 0))]}


@pytest.mark.parametrize("pattern", ["%Y-%m-%d", "%d.%m.%Y", "%b %d, %Y"])
def test_dates_that_no_row_of_the_data_has(pattern: str) -> None:
    real = orders(300, 3, pattern)
    values = measured(real, pattern)
    assert values["columns_auc"] < 0.6 and values["broken_order"] == values["malformed_rows"] == 0.0
    assert measured([[late, day, count] for day, late, count in real], pattern)["broken_order"] > 0.9
    later = [DateFormat("" if pattern == "%Y-%m-%d" else pattern).number(day) for day, _, _ in real]
    weekends = [date.fromordinal(int(day or 1.0)) for day in later]
    weekends = [day + (6 - day.weekday()) * DAY for day in weekends]
    moved = [
        [day.strftime(pattern), (day + DAY).strftime(pattern), row[2]] for day, row in zip(weekends, real, strict=True)
    ]
    assert measured(moved, pattern)["columns_auc"] > 0.9


def test_a_date_that_does_not_exist_makes_a_row_malformed() -> None:
    real = orders(300, 3, "%Y-%m-%d")
    assert (
        measured([[f"{day[:4]}-02-30", late, count] for day, late, count in real], "%Y-%m-%d")["malformed_rows"] == 1.0
    )


def test_weekdays_of_dates_in_text() -> None:
    assert (
        wrong_weekdays("Tue, 02 Mar 2021 10:00; Tuesday, March 2nd, 2021 and wed 3 march 2021")
        == 0.0
        == wrong_weekdays("2 Mar 2021")
    )
    assert wrong_weekdays("Mon, 02 Mar 2021; Mon, Mar 1, 2021") == 0.5 and wrong_weekdays("Sun, 30 Feb 2020") == 1.0
