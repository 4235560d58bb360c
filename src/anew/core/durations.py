"""Durations as people write them: '90', '60s', '10m', '2h', '1h30m'."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Real

from anew.errors import ConfigError, shorten

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds in each
MAX_SECONDS = 366 * 86400  # seconds; more is a mistaken unit
_NUMBER = r"(?:\d+\.?\d*|\.\d+)"
_ALONE = re.compile(_NUMBER, re.ASCII)
_WITH_UNITS = re.compile(rf"(?:{_NUMBER}\s*[smhd]\s*)+", re.ASCII)  # a number after a unit needs its own: not "1h30"
_PART = re.compile(rf"({_NUMBER})\s*([smhd])", re.ASCII)


def parse_duration(duration: str | float) -> float:
    """The duration in seconds, above 0 and below MAX_SECONDS.

    Args:
        duration: A number of seconds, or text: a bare number of seconds, or numbers with units ("1h 30m").

    Raises:
        ConfigError: It is neither, not positive, or longer than a year.
    """
    if isinstance(duration, str):
        seconds = _parse_text(duration.strip().lower())
    else:  # NumPy's numbers are Real, too
        seconds = as_float(duration) if isinstance(duration, Real) and not isinstance(duration, bool) else math.nan
    if seconds <= 0 or seconds >= MAX_SECONDS:
        raise ConfigError(f"`budget` must be a time of more than 0 s and less than a year (got {shorten(duration)})")
    if math.isnan(seconds):
        raise ConfigError(
            f"`budget` must be a time like 60s, 10m, 2h or 1h30m, or a number of seconds (got {shorten(duration)})"
        )
    return seconds


def as_duration(seconds: float) -> str:
    """The text that `parse_duration` reads as exactly `seconds`, for the arguments of a command."""
    return f"{Decimal(repr(float(seconds))).normalize():f}s"


def as_float(number: Real) -> float:
    """The number as a float; infinity where it is too large for one."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _parse_text(text: str) -> float:
    if text.startswith("-"):
        return -_parse_text(text[1:])
    if _ALONE.fullmatch(text):
        return float(text)
    if _WITH_UNITS.fullmatch(text):
        return sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))
    return math.nan
