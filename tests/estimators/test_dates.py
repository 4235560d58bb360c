"""How dates and times of day are written, and what is no date."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from anew.estimators import dates
from anew.estimators.dates import DATES, PATTERNS, TIMES, DateFormat, date_format

CODES = ["ABC123456X", "12-AB-34", "3.5", "9:1", "v1.2.3"]
DAY = timedelta(days=1)
LEAP_DAY = float(date(2024, 2, 29).toordinal())


@pytest.mark.parametrize(
    ("pattern", "field", "number"),
    [
        ("", "2024-02-29", LEAP_DAY),
        ("", "2024-02-29T12:00:00Z", LEAP_DAY + 0.5),
        ("", "2024-02-29 06:00", LEAP_DAY + 0.25),
        ("", "2024-02-29 06:00:00,750", LEAP_DAY + 0.25 + 0.75 / 86_400),  # log files of Python
        ("", "2024-02-29T06:00:00.750000Z", LEAP_DAY + 0.25 + 0.75 / 86_400),
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
        ("%H:%M:%S", "18:00:00.5", 0.75 + 0.5 / 86_400),
        ("%H:%M", "18:00.5", None),
        ("%d.%m.%Y", "", None),
    ],
)
def test_days(pattern: str, field: str, number: float | None) -> None:
    assert DateFormat(pattern).number(field) == number


def test_a_time_of_day_may_follow_dates_that_have_none() -> None:
    moment = datetime(2024, 2, 29, 18, 30)
    for pattern in (f"{day} {time}" for day in DATES for time in TIMES):
        assert DateFormat(pattern).number(moment.strftime(pattern)) == LEAP_DAY + (18.5 / 24)
        assert pattern in PATTERNS
    assert all(pattern.count("%H") + pattern.count("%I") <= 1 for pattern in PATTERNS)


def test_long_fields_are_not_remembered() -> None:
    before = dates._days_of_short.cache_info().misses
    assert date_format(["2024-02-29 " + "word " * 20] * 60) is None
    assert dates._days_of_short.cache_info().misses == before
    longest = [f"Wednesday, {i % 30 + 1} September 2020 11:59:59.123456 PM" for i in range(60)]
    assert max(map(len, longest)) < dates.MAX_LENGTH


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


def test_codes_are_told_from_dates_without_trying_all_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 40 codes was tried with 104 patterns: 2.1 s for a table of 65 columns."""
    tried: list[str] = []
    days = dates._days

    def counted(field: str, pattern: str) -> float | None:
        tried.append(pattern)
        return days(field, pattern)

    monkeypatch.setattr(dates, "_days", counted)
    assert date_format(CODES * 8) is None and len(set(tried)) <= 3


@pytest.mark.parametrize("pattern", [pattern for pattern in PATTERNS if pattern])
@pytest.mark.parametrize("day", [datetime(2024, 12, 25, 14, 5, 9), datetime(2003, 5, 1, 9, 0, 0)])
def test_dates_of_each_pattern_are_tried_with_it(pattern: str, day: datetime) -> None:
    for text in (day.strftime(pattern), f" {day.strftime(pattern).upper()}"):
        assert dates._shape(text) == dates._PATTERN_SHAPES[pattern]
