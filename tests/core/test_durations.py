"""Durations: what people write, in seconds; anything else is one clear sentence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anew.core.durations import as_duration, parse_duration
from anew.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90", 90),
        ("60s", 60),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("0.5m", 30),
        (45, 45),
        (" 5M ", 300),
        ("5 m", 300),
        ("1h 30m", 5400),
        (".5h", 1800),
        ("1d", 86400),
    ],
)
def test_times(text: str | float, value: float) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-5",
        "0",
        "ten",
        "5x",
        "m",
        "1e9h",
        "nan",
        "1h30",
        "30 1h",
        "1.2.3",
        "1h.",
        "1 0",
        0,
        -1,
        float("nan"),
        [1],
        True,
        None,
    ],
)
def test_what_is_no_time(text: Any) -> None:
    with pytest.raises(ConfigError, match="must be a time"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["99999999999h", "0s", 1e12, float("inf")])
def test_a_time_out_of_range_is_said_to_be_so(text: str | float) -> None:
    with pytest.raises(ConfigError, match=r"must be a time of more than 0 s and less than a year \(got "):
        parse_duration(text)


@given(st.text(max_size=8))
@example("²")  # a digit that no number is written with
def test_any_text_is_a_time_or_a_clear_error(text: str) -> None:
    try:
        assert parse_duration(text) > 0
    except ConfigError as error:
        assert "must be a time" in str(error)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "60s"), (300.0, "300s"), (1_200_000.0, "1200000s"), (1234567.891, "1234567.891s"), (1e-7, "0.0000001s")],
)
def test_seconds_are_written_as_they_are_read(seconds: float, text: str) -> None:
    assert as_duration(seconds) == text and parse_duration(text) == seconds
