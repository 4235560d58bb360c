"""The classifier that tells samples from real items, and the area under its curve."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from anew.evaluation.metrics.two_sample import auc, halves_by_group, two_sample_test


def test_area_equals_scikit_learns_with_ties() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 80) + 1.0, rng.integers(0, 6, 50) * 1.0
    expected = roc_auc_score([1] * 80 + [0] * 50, np.concatenate([a, b]))
    value, variance = auc(a, b)
    assert value == pytest.approx(expected, abs=1e-12) and 0 < variance < 0.01
    drawn = [auc(rng.choice(a, 80), rng.choice(b, 50))[0] for _ in range(400)]
    assert variance == pytest.approx(np.var(drawn), rel=0.35)


def test_few_items_that_chance_put_in_order_prove_nothing() -> None:
    """One text with more unknown words than another was a difference "100% of the time", without an error."""
    assert auc(np.ones(1), np.zeros(60))[1] > 0.1 and auc(np.ones(3), np.zeros(3))[1] > 0.03
    assert auc(np.ones(400), np.zeros(400))[1] < 1e-5


def test_the_interval_holds_a_half_where_nothing_differs() -> None:
    inside = 0
    for seed in range(100):
        x = np.random.default_rng(seed).normal(size=(160, 10))
        result = two_sample_test(x[:80], x[80:], seed)
        inside += result.low <= 0.5 <= result.high
    assert inside >= 90


def test_a_difference_of_spread_alone_is_told() -> None:
    rng = np.random.default_rng(0)
    result = two_sample_test(rng.normal(size=(200, 5)), 1.8 * rng.normal(size=(200, 5)))
    assert result.low > 0.6 and result.n == 200
    flat = two_sample_test(np.ones((10, 3)), np.ones((10, 3)))
    assert flat.auc == 0.5


def test_groups_of_near_duplicates_do_not_tell_parts_apart() -> None:
    """Each part has groups of its own, as after a random split that keeps them together."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        groups = [np.repeat(np.arange(60), 5), np.repeat(np.arange(60), 5)]
        parts = [rng.normal(size=(60, 10))[group] + rng.normal(scale=0.05, size=(300, 10)) for group in groups]
        assert two_sample_test(parts[0], parts[1], seed).auc > 0.8
        result = two_sample_test(parts[0], parts[1], seed, *groups)
        assert abs(result.auc - 0.5) < 0.25 and result.n == 300
        shifted = two_sample_test(parts[0] + 2.0, parts[1], seed, *groups)
        assert shifted.auc > 0.85


def test_halves_divide_no_group_unless_one_is_nearly_all() -> None:
    groups = np.array([3, 1, 3, 2, 1, 0, 3, 4])
    halves = halves_by_group(groups)
    assert sorted(np.concatenate(halves).tolist()) == list(range(8)) and [len(half) for half in halves] == [4, 4]
    assert not set(groups[halves[0]].tolist()) & set(groups[halves[1]].tolist())
    assert [half.tolist() for half in halves_by_group(np.arange(5))] == [[0, 2, 4], [1, 3]]
    assert [half.tolist() for half in halves_by_group(np.array([7, 7, 7, 7, 7, 1]))] == [[0, 2, 4], [1, 3, 5]]


def test_a_classifier_takes_the_view_that_tells_more() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=(120, 400)) for _ in range(2)]
    signal = [rng.normal(size=(120, 5)), rng.normal(size=(120, 5)) + 1.0]
    samples, real = (np.hstack(pair) for pair in zip(noise, signal, strict=True))
    assert two_sample_test(samples, real).auc < 0.85
    assert two_sample_test(samples, real, views=(400, 5)).auc > 0.9
    assert two_sample_test(samples[:, ::-1], real[:, ::-1], views=(5, 400)).auc > 0.9


def test_the_choice_of_a_view_does_not_favour_chance_differences() -> None:
    values = []
    for seed in range(12):
        x = np.random.default_rng(seed).normal(size=(120, 60))
        values.append(two_sample_test(x[:60], x[60:], seed, views=(20, 20, 20)).auc)
    assert np.mean(values) < 0.53
