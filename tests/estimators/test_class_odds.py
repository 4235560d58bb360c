"""Odds of classes: how much likelier a row follows records of its own class."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators.class_odds import ClassOdds


def odds_of(rng: np.random.Generator, true_odds: float, common: float, num_rows: int = 400) -> float:
    """Rows of two classes, of which a share is common; each follows ten records at ten places, drawn with these odds."""
    odds, classes = ClassOdds(2), (rng.random(num_rows) > common).astype(np.int64)
    for _ in range(10):
        own = true_odds * np.where(classes == 0, common, 1 - common)
        own_share = own / (own + np.where(classes == 0, 1 - common, common))
        is_own = rng.random((num_rows, 10)) < own_share[:, None]
        records = np.where(is_own, classes[:, None], 1 - classes[:, None])
        weights = np.where(rng.random((num_rows, 10)) < 0.2, 1.0, 1e-3)
        odds.add(np.arange(num_rows), classes, weights / weights.sum(1, keepdims=True), records)
    return odds.estimate()


@pytest.mark.parametrize("common", [0.5, 0.9])
def test_odds_are_found_whatever_the_sizes_of_the_classes(common: float) -> None:
    rng = np.random.default_rng(0)
    assert odds_of(rng, 1.0, common) == 1.0
    assert 8.0 < odds_of(rng, 20.0, common) < 200.0


def test_rows_without_a_class_and_a_single_class_say_nothing() -> None:
    rng = np.random.default_rng(1)
    odds = ClassOdds(2)
    odds.add(np.arange(5), np.full(5, -1), np.ones((5, 3)), rng.integers(0, 2, (5, 3)))
    assert odds.estimate() == 1.0
    odds.add(np.arange(5), np.zeros(5, dtype=np.int64), np.ones((5, 3)), np.zeros((5, 3), dtype=np.int64))
    assert odds.estimate() == 1.0 and ClassOdds(0).estimate() == 1.0
