"""Small pieces of English."""

from __future__ import annotations

import pytest

from anew.core.wording import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20.0, "20 s"),
        (60.0, "1 min"),
        (100.0, "1 min 40 s"),
        (119.8, "2 min"),
        (150.0, "2.5 min"),
        (600.0, "10 min"),
        (4_000.0, "1 h 7 min"),
        (5_400.0, "1.5 h"),
        (86_400.0, "24 h"),
    ],
)
def test_durations_have_no_long_fractions(seconds: float, words: str) -> None:
    """100 s were "1.667 min"."""
    assert duration(seconds) == words
