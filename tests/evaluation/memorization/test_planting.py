"""Planted copies: when the answer is clear, when the time is too short for one, and what follows from it."""

from __future__ import annotations

import time

import pytest

from anew.evaluation.memorization.copying_test import ReferenceResult
from anew.evaluation.memorization.planting import DRAWS, Detection, combined_p, detect, detection_limit
from anew.evaluation.memorization.result import PlantedControl
from anew.evaluation.memorization.thresholds import DETECTION_POWER


def test_planted_copies_are_drawn_until_the_answer_is_clear() -> None:
    caught, missed = Detection(), Detection()
    while not caught.decided:
        caught.record(True)
    while not missed.decided:
        missed.record(False)
    assert caught.draws == DRAWS // 2 == caught.caught
    assert missed.draws == 3 == missed.missed
    assert Detection(19, 1).decided and not Detection(18, 1).decided and not Detection(9, 0).decided
    # 18 of 20 are caught, whenever the two others come
    assert not Detection(7, 2).decided and not Detection(17, 2).decided and Detection(17, 3).decided
    assert Detection(18, 2).decided and Detection(18, 2).caught >= DETECTION_POWER * DRAWS > Detection(17, 3).caught


@pytest.mark.parametrize(("misses", "caught"), [((5, 9), 0.9), ((1, 20), 0.9), ((5, 9, 11), 8 / 11)])
def test_the_order_of_misses_does_not_matter(misses: tuple[int, ...], caught: float) -> None:
    assert detect(lambda number: number not in misses, lambda: 10.0) == caught


def test_a_slow_draw_is_not_repeated_without_time() -> None:
    drawn: list[int] = []

    def draw(number: int) -> bool:
        drawn.append(number)
        time.sleep(0.02)
        return True

    assert detect(draw, lambda: 0.03) is None and drawn == [1]
    assert detect(draw, lambda: 10.0) == 1.0 and len(drawn) == 1 + DRAWS // 2


def test_the_limit_is_the_least_rate_caught_of_both_kinds() -> None:
    rows = [PlantedControl("exact", r, 1.0) for r in (0.1, 0.05, 0.02)]
    assert (
        detection_limit([*rows, PlantedControl("disturbed", 0.1, 1.0), PlantedControl("disturbed", 0.05, 0.9)]) == 0.05
    )
    assert detection_limit([*rows, PlantedControl("disturbed", 0.1, 0.5)]) is None
    assert detection_limit([]) is None


def test_leaning_to_training_items_is_no_copying_where_samples_are_no_closer() -> None:
    assert combined_p(0.001, ReferenceResult(0.001, 5, 4.0)) == 0.001
    assert combined_p(0.001, ReferenceResult(0.5, 5, 0.0)) == 0.5
    # Sharper than the data, yet not towards training items
    assert combined_p(0.3, ReferenceResult(0.001, 5, 4.0)) == 0.3
    assert combined_p(0.001, None) == 0.001
