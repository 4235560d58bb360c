"""Small pieces of English."""

from __future__ import annotations

import pytest

from anew.core.wording import duration, listed, percent, percent_at_least


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.00004, "0 s"),
        (20.0, "20 s"),
        (59.99, "59.99 s"),
        (59.9999, "1 min"),
        (60.0, "1 min"),
        (100.0, "1 min 40 s"),
        (119.8, "2 min"),
        (150.0, "2.5 min"),
        (600.0, "10 min"),
        (3_599.4, "59 min 59 s"),
        (3_599.9, "1 h"),
        (4_000.0, "1 h 7 min"),
        (5_400.0, "1.5 h"),
        (86_400.0, "24 h"),
    ],
)
def test_durations_have_no_long_fractions(seconds: float, words: str) -> None:
    """100 s were "1.667 min"."""
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0%"), (1e-7, "under 0.01%"), (0.0004, "0.04%"), (0.053, "5.3%"), (0.23, "23%"), (0.984, "98%"), (0.9901, "99%"),
     (0.995, "99.5%"), (0.9996, "99.96%"), (1.0 - 1e-7, "over 99.99%"), (1.0, "100%")],
)  # fmt: skip
def test_only_none_is_0_and_only_all_is_100_percent(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0%"), (0.00005, "0.005%"), (0.0538, "5.3%"), (0.07, "7%"), (0.1, "10%"), (0.239, "23%"), (0.29, "29%"), (0.989, "98%"),
     (0.99968, "99.96%"), (0.99999, "99.99%"), (1.0, "100%")],
)  # fmt: skip
def test_a_lower_end_is_rounded_down_to_a_number(share: float, words: str) -> None:
    """A verdict said "at least over 99.99% of the samples"."""
    assert percent_at_least(share) == words


def test_lists_within_sentences() -> None:
    assert [listed(list(names)) for names in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
