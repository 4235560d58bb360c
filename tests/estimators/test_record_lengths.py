"""How likely a record is to end, by its length so far."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators.record_lengths import LARGEST_LOG_ODDS, count_lengths, end_log_odds

END = 9


def records(lengths: list[int], whole: bool = True) -> list[np.ndarray]:
    return [np.array([8, *[0] * (length - 1), END if whole else 0]) for length in lengths]


def hazards(counts: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-end_log_odds(counts)[1:]))


def test_whole_records_are_counted_by_targets_and_others_apart() -> None:
    counts = count_lengths([*records([3, 3, 5]), *records([4], whole=False), np.array([8])], END)
    assert counts.tolist() == [2, 0, 0, 2, 0, 1]


@pytest.mark.parametrize("seed", range(4))
def test_hazards_are_those_of_a_distribution_near_the_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.negative_binomial(5, 0.3, 2000) + 1
    counts = count_lengths(records(lengths.tolist()), END)
    hazard = hazards(counts)
    assert len(hazard) == len(counts) and ((hazard > 0) & (hazard <= 1)).all()
    alive = np.cumprod(np.concatenate(([1.0], 1 - hazard[:-2])))
    probability = alive * hazard[:-1]
    assert probability.sum() == pytest.approx(1.0, abs=1e-3)
    assert abs((probability * np.arange(1, len(counts))).sum() - lengths.mean()) < 0.05 * lengths.mean()
    assert np.abs(probability - counts[1:] / 2000).sum() < 0.25


def test_records_of_one_length_end_there_alone() -> None:
    log_odds = end_log_odds(count_lengths(records([238] * 700), END))
    assert log_odds[1:200].max() < -10 and log_odds[237] < -1 and log_odds[238] == log_odds[239]
    assert log_odds[238] == pytest.approx(LARGEST_LOG_ODDS, abs=0.1)


def test_records_that_are_cut_say_that_others_go_on() -> None:
    cut = end_log_odds(count_lengths(records([5] * 10) + records([9] * 90, whole=False), END))
    assert cut[5] == pytest.approx(np.log(0.1 / 0.9), abs=0.7)


@pytest.mark.parametrize("lengths", [[], [1], [1, 1], [1, 2, 500]])
def test_few_records(lengths: list[int]) -> None:
    assert np.isfinite(end_log_odds(count_lengths(records(lengths), END))).all()
