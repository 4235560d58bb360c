"""The number of copies: a bound that holds where real items repeat each other, by matches, by the scan, and of whole texts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anew.evaluation.memorization.copy_counts import (
    COUNT_ALPHA,
    CopyCount,
    count_by_matches,
    count_by_scan,
    count_copies,
)
from anew.evaluation.memorization.copying_test import LabelPermutations, NearestReal, scan
from anew.evaluation.memorization.match_test import MatchResult, MatchTest, StandIns


def test_as_many_are_left_out_as_make_p_larger_than_the_level() -> None:
    p_values = [0.001, COUNT_ALPHA, 0.1, 0.5, 0.6]
    assert count_copies(lambda count: p_values[count], 5) == CopyCount(copied=4, low=2)
    assert count_copies(lambda count: 0.001, 3) == CopyCount(3, 3)
    assert count_copies(lambda count: 1.0, 3) == CopyCount(0, 0) == count_copies(lambda count: 0.0, 0)


def test_no_count_is_tested_twice_and_none_after_the_time() -> None:
    p_values = np.repeat([0.001, 0.1, 0.9], [300, 20, 704])
    tested: list[int] = []

    def p_without(count: int) -> float:
        tested.append(count)
        return float(p_values[count])

    assert count_copies(p_without, len(p_values)) == CopyCount(copied=320, low=300)
    assert len(set(tested)) == len(tested) <= 10 + 7
    tested.clear()
    assert count_copies(p_without, len(p_values), lambda: 3.0 - len(tested)) == CopyCount(257, 257)
    assert tested == [512, 256, 384]
    assert count_copies(p_without, len(p_values), lambda: 0.0) == CopyCount(0, 0)


@pytest.mark.parametrize("copied", [10, 30])
def test_the_scan_counts_copies_among_samples_that_lean_to_either_side(copied: int) -> None:
    """Half of the real items were held out; other samples are as close to real items, of either part by chance."""
    lows = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        item = rng.integers(0, 400, 100)
        item[:copied] = rng.integers(0, 200, copied)
        near = NearestReal(item, rng.random(100) * 0.9, np.ones(100), np.full(100, -1))
        index = np.arange(400)
        labels = LabelPermutations(index < 200, index, index, item, rng=rng, repeats=199)
        lows.append(count_by_scan([near], scan([near], labels, rng), labels, rng, lambda: math.inf).low)
    assert np.mean(np.array(lows) > copied) <= 0.1 and np.median(lows) < copied
    assert max(lows) > 0 or copied < 30


def test_passages_of_one_text_are_left_out_together() -> None:
    """Ten texts of three passages each match; no real item does."""
    n = 300
    item, ratio = np.arange(100), np.where(np.arange(100) < 30, 0.0, 1.0)
    samples = NearestReal(item, ratio, np.ones(100), np.full(100, -1))
    real = NearestReal(np.arange(n)[::-1].copy(), np.ones(n), np.ones(n), np.full(n, -1))
    rng = np.random.default_rng(0)
    labels = LabelPermutations(np.arange(n) < 210, np.arange(n), np.arange(n), item, repeats=199, rng=rng)
    test = MatchTest(
        nearests=[samples],
        groups=n + np.arange(100) // 3,
        item_groups=np.arange(n),
        stand_ins=StandIns(np.arange(n), np.arange(n)),
        real=[real],
        resolutions=[0.0],
        num_pool=n,
        num_held_out=90,
        group_share=0.7,
    )
    result = test.run(np.arange(100), labels, rng)
    assert isinstance(result, MatchResult) and result.p <= 0.01 and len(result.rows) == 30
    copied, low = count_by_matches(test, result, np.arange(100), labels, rng, lambda: math.inf)
    assert low % 3 == 0 and 10 < low <= copied <= 30
