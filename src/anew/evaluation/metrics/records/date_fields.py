"""Fields that are dates or times of day: one number each, so that orders, ranges and distributions of dates show. Dates in running
text, whose weekday may be wrong.

Legend for shapes: n fields, d features.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np

from anew.evaluation.metrics.distances import Array

ISO = ""  # instead of a pattern: what `datetime.fromisoformat` takes, with or without a time
TIMES = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
DATES = (
    "%Y%m%d",
    "%Y-%m",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%d/%m/%Y",
    "%d/%m/%y",
    "%m/%d/%Y",
    "%m/%d/%y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%a, %d %b %Y",
    "%d/%b/%Y:%H:%M:%S",
)
PATTERNS = (ISO, *TIMES, *DATES, *(f"{date} {time}" for date in DATES[2:-1] for time in TIMES))
YEARS = range(1000, 2200)  # of digits alone that are dates: others are numbers
TRIED = 40  # fields by which patterns are tried first; chosen
# Least shares of dates among those, and among all fields (others may be frequent values: "never")
LIKELY, DATED = 0.3, 0.5
DAYS_OF_YEAR = 365.25

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEKDAY, _MONTH, _DAY = (
    rf"\b({'|'.join(WEEKDAYS)})[a-z]*\.?,?",
    rf"({'|'.join(MONTHS)})[a-z]*\.?",
    r"(\d{1,2})(?:st|nd|rd|th)?",
)
# "Tue, 2 March 2021" and "Tuesday, March 2nd, 2021"
_DATED = (
    re.compile(rf"{_WEEKDAY} +{_DAY} +{_MONTH},? +(\d{{4}})\b", re.IGNORECASE),
    re.compile(rf"{_WEEKDAY} +{_MONTH} +{_DAY},? +(\d{{4}})\b", re.IGNORECASE),
)
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_ONE_DIGIT = re.compile(r":\d(?!\d)")  # a score such as 3:2, which is not a time of day


@dataclass(frozen=True)
class DateFormat:
    """How the fields of a column are written.

    Attributes:
        pattern: A pattern of `strptime`, or ISO.
    """

    pattern: str

    def number(self, field: str) -> float | None:
        """The days since the year 1, or since midnight for a time of day; None for what is not a date, such as the 30th of February."""
        return _days(field, self.pattern)

    def features(self, days: Array) -> Array:
        """(n, d) features of numbers of days (n,): the time of day, and for dates the day of the week and the time of the year."""
        times = 2.0 * math.pi * (days % 1.0)
        features = [np.sin(times), np.cos(times)]
        if self.pattern not in TIMES:
            weekdays = (np.floor(days).astype(np.intp) - 1) % 7
            seasons = 2.0 * math.pi * (days % DAYS_OF_YEAR) / DAYS_OF_YEAR
            features += [np.sin(seasons), np.cos(seasons), *np.eye(7)[:, weekdays]]
        return np.stack(features, axis=1)


def date_format(fields: Sequence[str]) -> DateFormat | None:
    """The format that the most of some fields have, if they are DATED or more of them; None if they are no dates."""
    tried = fields[:: max(len(fields) // TRIED, 1)]
    likely = [pattern for pattern in PATTERNS if _share(tried, pattern) >= LIKELY]
    # Day and month are told apart by few fields, so that all are read
    shares = {pattern: _share(fields, pattern) for pattern in likely}
    best = max(shares, key=lambda pattern: shares[pattern], default=None)
    return None if best is None or shares[best] < DATED else DateFormat(best)


def wrong_weekdays(text: str) -> float:
    """The share of the dates of a text, in English with their weekday, that are no such day of the week or do not exist; 0 without."""
    dates = [(match[1], match[2], match[3], match[4]) for match in _DATED[0].finditer(text)]
    dates += [(match[1], match[3], match[2], match[4]) for match in _DATED[1].finditer(text)]
    return sum(not _has_weekday(*date) for date in dates) / max(len(dates), 1)


def _has_weekday(weekday: str, day: str, month: str, year: str) -> bool:
    try:
        date = datetime(int(year), MONTHS.index(month.lower()) + 1, int(day))
    except ValueError:
        return False
    return WEEKDAYS[date.weekday()] == weekday.lower()


def _share(fields: Sequence[str], pattern: str) -> float:
    """The share of fields that are dates of a pattern."""
    return sum(_days(field, pattern) is not None for field in fields) / max(len(fields), 1)


@lru_cache(maxsize=200_000)
def _days(field: str, pattern: str) -> float | None:
    """The days since the year 1, or since midnight; None for what is not written so: zeros before numbers, and case, may differ."""
    text = field.strip()
    if not any(map(str.isdigit, text)) or _ONE_DIGIT.search(text):
        return None
    try:
        if pattern == ISO:
            value = datetime.fromisoformat(text) if _ISO_DATE.fullmatch(text) else None
        else:
            value = datetime.strptime(text, pattern)
    except ValueError:
        return None
    if value is None or (pattern != ISO and _plain(value.strftime(pattern)) != _plain(text)):
        return None
    if text.isdigit() and value.year not in YEARS:
        return None
    time = (value.hour * 3600.0 + value.minute * 60.0 + value.second + value.microsecond / 1e6) / 86_400.0
    return time if pattern in TIMES else value.toordinal() + time


def _plain(text: str) -> str:
    """A date without zeros before its numbers, in small letters."""
    return _LEADING_ZEROS.sub("", text).lower()
