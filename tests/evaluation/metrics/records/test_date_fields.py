"""Dates in the fields of rows: dates that do not exist, orders, days of the week."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from anew.estimators.dates import DateFormat
from anew.evaluation.metrics.records.date_fields import wrong_weekdays
from anew.evaluation.metrics.records.delimited import row_scores
from anew.evaluation.metrics.records.number_order import number_scores
from anew.evaluation.metrics.records.record_sets import RecordSets

DAY = timedelta(days=1)


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
    assert wrong_weekdays("Thurs, 4 Sept 2025; Tues 2 December 2025; Wednesday, Feb. 4, 2026; Sat, 6 Jun 2026") == 0.0
    assert (
        wrong_weekdays("The Wedding 3 March 2021; Friends 3 May 2004; Sunset, March 4, 2020; Mon, 2 Marble 2021") == 0.0
    )
    assert wrong_weekdays("Mon, 02 Mar 2021; Mon, Mar 1, 2021") == 0.5 and wrong_weekdays("Sun, 30 Feb 2020") == 1.0
