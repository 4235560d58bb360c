"""Shapes of clips: slow signals are learned at the rate that loses nothing, whole where the budget affords it."""

from __future__ import annotations

import pytest

from anew.data.formats.sound.audio import Header
from anew.data.formats.sound.audio_clips import choose
from anew.data.types import DataBudget

BUDGET = DataBudget(120.0, 100, 10**6)


@pytest.mark.parametrize(
    ("rate", "seconds", "highest_frequency", "learned_rate", "learned_length"),
    [
        (500, 2.0, 240.0, 500, 1000),
        (4_000, 2.0, 249.0, 500, 1000),  # the ECG of a recorder that samples faster than needed
        (100, 30.0, 49.0, 100, 3000),
        (2_000, 1.0, 990.0, 2_000, 2000),
        (250, 3600.0, 120.0, 250, 5912),  # a recording of an hour is cut
        (100, 0.1, 49.0, 100, 64),
        (50, 2.0, 24.0, 50, 104),  # whole files, whose length is no multiple of 8
        (4_000, 10.0, 20.0, 50, 504),
    ],
)
def test_slow_signals_are_learned_as_they_are(
    rate: int, seconds: float, highest_frequency: float, learned_rate: int, learned_length: int
) -> None:
    headers = [Header(rate, 1, round(rate * seconds))] * 3
    shape = choose(headers, BUDGET, None, None, None, highest_frequency)
    assert shape.is_signal and shape.with_pairs is None
    assert (shape.rate, shape.length) == (learned_rate, learned_length)
    assert shape.grid_shape == (1, 1, shape.length)


def test_a_long_budget_makes_no_endless_clips() -> None:
    assert choose([Header(250, 1, 10**6)], DataBudget(10**6, 100, 10**6), None, None).length == 8192


def test_settings_of_signals_are_kept() -> None:
    headers = [Header(4_000, 2, 8_000)] * 3
    shape = choose(headers, BUDGET, 1.0, 1_000, None, 249.0)
    assert (shape.rate, shape.length, shape.channels) == (1_000, 1_000, 2)
    assert choose(headers, BUDGET, None, None, 1, 249.0).channels == 1


def test_sounds_are_no_signals_unless_a_rate_below_that_of_sounds_is_asked_for() -> None:
    headers = [Header(8_000, 1, 8_000)] * 3
    assert not choose(headers, BUDGET, None, None).is_signal
    assert choose(headers, BUDGET, None, 500).is_signal
