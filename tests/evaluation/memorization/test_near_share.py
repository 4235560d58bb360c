"""How many samples are as near to real items as copies are, which bounds the number of copies whatever the tests see."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.memorization.copying_test import LabelPermutations, NearestReal
from anew.evaluation.memorization.memorization_test import MemorizationOptions
from anew.evaluation.memorization.near_share import NearShares, near_shares
from anew.functional.intervals import clopper_pearson

TRAIN, HELD_OUT, PLANTED = 180, 20, 10


def shares(distances: list[float], items: list[int], visible_share: float = 1.0) -> NearShares:
    """The shares for samples at these distances from these real items, where changed copies are at a distance of 1, and one real item of
    four is as near to another."""
    result = shares_of(distances, items, visible_share)
    assert result is not None and result.real == 0.25
    return result


def shares_of(
    distances: list[float], items: list[int], visible_share: float = 1.0, changed: float = 1.0
) -> NearShares | None:
    index = np.arange(TRAIN + HELD_OUT)
    item = np.array([*items, *range(2 * PLANTED)], dtype=np.intp)
    distance = np.array([*distances, *[0.0] * PLANTED, *[changed] * PLANTED])
    nearest = NearestReal(item, distance, np.full(len(item), 10.0), np.full(len(item), -1, dtype=np.intp))
    labels = LabelPermutations(index < TRAIN, index, index, item, repeats=9, rng=np.random.default_rng(0))
    real = NearestReal(index[:4], np.array([1.0, 5.0, 5.0, 5.0]), np.ones(4), index[:4])
    return near_shares([nearest], [real], labels, len(items), PLANTED, TRAIN / len(index), visible_share)


def bound(distances: list[float], items: list[int], visible_share: float = 1.0) -> float | None:
    return shares(distances, items, visible_share).bound


def test_copies_are_at_most_the_samples_that_are_near() -> None:
    items = [number % TRAIN for number in range(300)]
    assert bound([5.0] * 300, items) == pytest.approx(clopper_pearson(0, 300)[1] / 0.9)
    assert bound([1.0, 0.0, *[5.0] * 298], items) == pytest.approx(clopper_pearson(2, 300)[1] / 0.9)
    assert bound([1.0] * 12 + [5.0] * 288, items) is None  # 4%, but perhaps 7%


def test_many_near_samples_are_no_bound() -> None:
    """In a family of variants real items are as near."""
    near, far = [0.5] * 20, [5.0] * 80
    # In proportion: 18 training and 2 held-out items
    result = shares(near + far, [*range(18), TRAIN, TRAIN + 1, *range(20, 100)])
    assert result.bound is None and result.samples == 0.2


def test_a_distance_by_which_copies_are_not_near_says_nothing() -> None:
    """Of headers "100% of the samples are as near to a real item as copies are (real items: 100%)"."""
    assert shares_of([5.0] * 300, [number % TRAIN for number in range(300)], changed=np.inf) is None


def test_few_samples_or_few_compared_items_are_no_bound() -> None:
    assert bound([5.0] * 60, list(range(60))) is None  # 0 of 60 may be 6%
    assert bound([5.0] * 100, list(range(100)), visible_share=0.5) is None


def test_near_samples_that_lean_to_training_items_may_be_copies() -> None:
    near, far = [0.5] * 16, [5.0] * 684
    rest = [number % TRAIN for number in range(684)]
    assert bound(near + far, [*range(16), *rest]) is None  # .9^16 = .19
    both = [*range(14), TRAIN, TRAIN + 1, *rest]
    assert bound(near + far, both) == pytest.approx(clopper_pearson(16, 700)[1] / 0.9)


def test_without_planted_copies_nothing_says_how_near_copies_are() -> None:
    assert not MemorizationOptions(controls=False).controls
    index = np.arange(4)
    nearest = NearestReal(index, np.ones(4), np.ones(4), np.full(4, -1, dtype=np.intp))
    labels = LabelPermutations(index < 2, index, index, index, repeats=9, rng=np.random.default_rng(0))
    assert near_shares([nearest], [nearest], labels, 4, 0, 0.5, 1.0) is None
