"""Tandem repeats."""

from __future__ import annotations

import numpy as np

from anew.functional.tandem_repeats import in_tandem_repeats


def repeats(*items: str) -> str:
    """Items joined, with what is in no tandem repeat replaced by dots."""
    symbols = np.array([ord(c) for item in items for c in item])
    numbers = np.repeat(np.arange(len(items)), [len(item) for item in items])
    inside = in_tandem_repeats(symbols, numbers)
    return "".join(chr(c) if is_inside else "." for c, is_inside in zip(symbols, inside, strict=True))


def test_runs_and_groups_that_stand_three_times_are_repeats() -> None:
    assert repeats("MKAAAAATV") == "..AAAAA.."
    assert repeats("MKAAAATV") == "........"  # four of one letter are common in real sequences
    assert repeats("xababaBy") == "........"
    assert repeats("xabababy") == ".ababab."
    assert repeats("banana mississippi") == "." * 18
    assert repeats("GSTGSTGSTP") == "GSTGSTGST."
    passage = "sixteen letters."
    assert repeats(passage * 3) == passage * 3 and repeats(passage * 2) == "." * 32


def test_a_repeat_does_not_cross_items() -> None:
    assert repeats("AAA", "AAA", "AAA") == "." * 9
    assert repeats("A", "", "AAAAAA") == ".AAAAAA"


def test_short_and_empty_sequences_have_none() -> None:
    assert repeats("") == "" and repeats("A") == "." and repeats("AA") == ".."
