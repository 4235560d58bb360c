"""Features of fields that are dates or times of day, so that distributions of dates show. Dates in running text, whose weekday may
be wrong.

Legend for shapes: n fields, d features.
"""

from __future__ import annotations

import math
import re
from datetime import datetime

import numpy as np

from anew.estimators.dates import TIMES, DateFormat
from anew.evaluation.metrics.distances import Array

DAYS_OF_YEAR = 365.25  # the mean, with leap days

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# Three letters, or the whole name: "wedding" is not a day. Some are cut after four letters
_WEEKDAY, _MONTH, _DAY = (
    rf"\b({'|'.join(WEEKDAYS)})(?:(?<=tue)s|(?<=wed)nes|(?<=thu)(?:rs?)?|(?<=sat)ur)?(?:day)?\b\.?,?",
    rf"({'|'.join(MONTHS)})(?:(?<=jan)uary|(?<=feb)ruary|(?<=mar)ch|(?<=apr)il|(?<=jun)e|(?<=jul)y|(?<=aug)ust"
    r"|(?<=sep)t(?:ember)?|(?<=oct)ober|(?<=(?:nov|dec))ember)?\b\.?",
    r"(\d{1,2})(?:st|nd|rd|th)?",
)
# "Tue, 2 March 2021" and "Tuesday, March 2nd, 2021"
_DATED = (
    re.compile(rf"{_WEEKDAY} +{_DAY} +{_MONTH},? +(\d{{4}})\b", re.IGNORECASE),
    re.compile(rf"{_WEEKDAY} +{_MONTH} +{_DAY},? +(\d{{4}})\b", re.IGNORECASE),
)


def date_features(form: DateFormat, days: Array) -> Array:
    """(n, d) features of numbers of days (n,): the time of day, and for dates the day of the week and the time of the year."""
    times = 2.0 * math.pi * (days % 1.0)
    features = [np.sin(times), np.cos(times)]
    if form.pattern not in TIMES:
        weekdays = (np.floor(days).astype(np.intp) - 1) % 7
        seasons = 2.0 * math.pi * (days % DAYS_OF_YEAR) / DAYS_OF_YEAR
        features += [np.sin(seasons), np.cos(seasons), *np.eye(7)[:, weekdays]]
    return np.stack(features, axis=1)


def wrong_weekdays(text: str) -> float:
    """The share of the dates of a text, in English with their weekday, that are not such a day of the week or do not exist; 0 without."""
    dates = [(match[1], match[2], match[3], match[4]) for match in _DATED[0].finditer(text)]
    dates += [(match[1], match[3], match[2], match[4]) for match in _DATED[1].finditer(text)]
    return sum(not _has_weekday(*date) for date in dates) / max(len(dates), 1)


def _has_weekday(weekday: str, day: str, month: str, year: str) -> bool:
    try:
        date = datetime(int(year), MONTHS.index(month.lower()) + 1, int(day))
    except ValueError:
        return False
    return WEEKDAYS[date.weekday()] == weekday.lower()
