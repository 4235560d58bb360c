"""Controls of the copying test: an alarm that one choice of items raises by chance is repeated with others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anew.evaluation.memorization.controls import Controls, repeated_p


@pytest.mark.parametrize("level", [0.001, 0.01])
@pytest.mark.parametrize(
    ("ps", "remaining", "confirmed"),
    [
        ([0.4], 100.0, 0.4),
        ([None], 100.0, None),
        ([0.001, 0.3, 0.6, 0.001, 0.5], 100.0, 0.3),
        ([0.001, 0.001, 0.6, 0.001, 0.001], 100.0, 0.001),
        ([0.001, 0.0005, 0.6, 0.0005, 0.0005], 100.0, 0.001),
        ([0.001, None, 0.6, None, 0.4], 100.0, 0.001),
        ([0.001], 0.0, 0.001),
    ],
)
def test_an_alarm_is_repeated_in_time_and_counts_if_most_choices_raise_it(
    ps: list[float | None], remaining: float, confirmed: float | None, level: float
) -> None:
    """A run on digits was called not valid by one choice of 300 of its 600 held-out items."""
    unused: Any = None
    is_train = np.array([True, True, False, False])
    controls = Controls(unused, is_train, np.arange(4), np.random.default_rng(0))
    choices = iter(ps)
    choice = controls.set_aside(np.array([2, 3]))
    assert controls.confirmed_p(lambda control: next(choices), choice, level, lambda: remaining) == confirmed
    assert next(choices, "none left") == "none left"


def test_a_control_that_is_alone_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    unused: Any = None
    controls = Controls(unused, np.array([True, True, False, False]), np.arange(4), np.random.default_rng(0))
    choice = controls.set_aside(np.array([2, 3]))
    for ps, p in (
        ((0.01, 0.3), 0.02),
        ((0.01, None), 0.01),
        ((None, 0.02), 0.02),
        ((None, None), None),
        ((0.9, 0.8), 1.0),
    ):
        values = iter(ps)
        monkeypatch.setattr(controls, "scan_p", lambda control, values=values: next(values))
        assert controls.both_p(choice) == p


@pytest.mark.parametrize(
    ("is_train", "part", "lack"),
    [([True, True, True], "training", "too few held-out ones"), ([False, True, True], "held-out", "too few")],
)
def test_the_note_names_the_items_that_are_too_few(is_train: list[bool], part: str, lack: str) -> None:
    unused: Any = None
    controls = Controls(unused, np.array(is_train), np.arange(3), np.random.default_rng(0))
    for _ in range(2):
        assert controls.scan_p(np.array([0])) is None
    assert controls.notes == [f"Not measured: the control with {part} items in the copying test (there are {lack})."]


def test_a_repeated_control_alarms_by_chance_no_more_often_than_its_level() -> None:
    """Choices of the same items depend on each other: from hardly at all to entirely."""
    rng = np.random.default_rng(0)
    for share in (0.0, 0.5, 0.9, 1.0):
        common = rng.normal(size=20_000)
        own = rng.normal(size=(20_000, 5))
        z = np.sqrt(share) * common[:, None] + np.sqrt(1.0 - share) * own
        ranks = z.ravel().argsort().argsort().reshape(z.shape)  # uniform
        ps = (ranks + 1) / z.size
        repeated = []
        for row in ps:
            others = iter(row[1:].tolist())
            repeated.append(repeated_p(row[0], lambda rest=others: next(rest)) if row[0] <= 0.05 else row[0])
        for level in (0.05, 0.01, 0.001):
            assert np.mean(np.array(repeated) <= level) <= level + 3.0 * np.sqrt(level / 20_000)
