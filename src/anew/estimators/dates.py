"""How dates and times of day are written: their formats, and the number of days that each stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

ISO = ""  # instead of a pattern: what `datetime.fromisoformat` takes, with or without a time
TIMES = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
# Each may be followed by a blank and a time of day
DATES = (
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
    "%A, %d %B %Y",
    "%A, %B %d, %Y",
)
# Forms of dates that no time follows: other numbers would be taken for such dates with a time, or they have a time already
UNTIMED = ("%Y%m%d", "%Y-%m", "%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S")
PATTERNS = (ISO, *TIMES, *UNTIMED, *DATES, *(f"{date} {time}" for date in DATES for time in TIMES))
MAX_LENGTH = 64  # characters of a date: the longest one of these patterns has 41, and fractions of a second follow
YEARS = range(1000, 2200)  # numbers of digits alone are dates in these years; others are numbers
NUM_TRIED = 40  # fields by which patterns are tried first; chosen
# Least shares of dates among those, and among all fields (others may be frequent values: "never")
MIN_LIKELY_SHARE, MIN_DATE_SHARE = 0.3, 0.5

_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:?\d\d)?)?")
# Fractions of a second, to any number of digits.
_FRACTION = re.compile(r"(?<=:\d\d:\d\d)[.,](\d+)")
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_NUMBER, _WORD = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")
_ONE_DIGIT = re.compile(r":\d(?!\d)")  # a score such as 3:2, which is not a time of day


def _shape(text: str) -> str:
    """A text with "0" for each number and "a" for each word. A date has the shape of its pattern, so most texts are ruled out by
    their shape; each try of a pattern takes 10 us."""
    return _WORD.sub("a", _NUMBER.sub("0", _FRACTION.sub("", text.strip(), count=1)))


_PATTERN_SHAPES = {pattern: _shape(datetime(2024, 5, 6, 7, 8, 9).strftime(pattern)) for pattern in PATTERNS}


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


def date_format(fields: Sequence[str]) -> DateFormat | None:
    """The format of most fields; None if fewer than MIN_DATE_SHARE of them are dates of one format."""
    probes = fields[:: max(len(fields) // NUM_TRIED, 1)]
    shapes = {_shape(field) for field in probes}
    possible = [pattern for pattern in PATTERNS if pattern == ISO or _PATTERN_SHAPES[pattern] in shapes]
    likely = [pattern for pattern in possible if _share(probes, pattern) >= MIN_LIKELY_SHARE]
    # Day and month are told apart by few fields, so that all are read
    shares = {pattern: _share(fields, pattern) for pattern in likely}
    best = max(shares, key=lambda pattern: shares[pattern], default=None)
    return None if best is None or shares[best] < MIN_DATE_SHARE else DateFormat(best)


def _share(fields: Sequence[str], pattern: str) -> float:
    """The share of fields that are dates of a pattern."""
    return sum(_days(field, pattern) is not None for field in fields) / max(len(fields), 1)


def _days(field: str, pattern: str) -> float | None:
    """The days since the year 1, or since midnight; None for what is not written so: zeros before numbers, and case, may differ."""
    text = field.strip()
    # Cached texts stay in memory, and a field of text may be long
    return _days_of_short(text, pattern) if len(text) <= MAX_LENGTH else None


@lru_cache(maxsize=200_000)
def _days_of_short(text: str, pattern: str) -> float | None:
    if not any(map(str.isdigit, text)) or _ONE_DIGIT.search(text):
        return None
    fraction = _FRACTION.search(text)
    text = _FRACTION.sub("", text, count=1)
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
    seconds = value.hour * 3600.0 + value.minute * 60.0 + value.second
    time = (seconds + (float(f"0.{fraction[1]}") if fraction else 0.0)) / 86_400.0
    return time if pattern in TIMES else value.toordinal() + time


def _plain(text: str) -> str:
    """A date without zeros before its numbers, in small letters."""
    return _LEADING_ZEROS.sub("", text).lower()
