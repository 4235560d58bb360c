"""The statistics of copying: known answers, p-values that are uniform where nothing is copied, permuted groups."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import kstest

from anew.evaluation.memorization import copying_test, thresholds
from anew.evaluation.memorization.copy_counts import count_by_scan
from anew.evaluation.memorization.copying_test import LabelPermutations, NearestReal, scan
from anew.evaluation.memorization.item_groups import exchangeable_groups
from anew.evaluation.memorization.match_test import NO_MATCHES
from anew.evaluation.memorization.planting import unsuspicious_rows


def nearest(samples: NDArray[np.float64], pool: NDArray[np.float64]) -> NearestReal:
    tree = cKDTree(pool)
    distance, item = tree.query(samples)
    scale, own = tree.query(pool[item], k=2)
    return NearestReal(item, distance, scale[:, 1], own[:, 1])


def scanned(
    samples: NDArray[np.float64],
    train: NDArray[np.float64],
    held_out: NDArray[np.float64],
    rng: np.random.Generator,
    repeats: int = 199,
) -> copying_test.ScanResult:
    pool = np.concatenate([train, held_out])
    near = nearest(samples, pool)
    index = np.arange(len(pool))
    labels = LabelPermutations(index < len(train), index, index, near.item, repeats=repeats, rng=rng)
    return scan([near], labels, rng)


@pytest.mark.parametrize("generator", ["good", "sharp", "blurry", "one point"])
def test_p_is_not_below_uniform_for_any_generator_that_copies_nothing(generator: str) -> None:
    values = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        scale = {"good": 1.0, "sharp": 0.3, "blurry": 1.6, "one point": 0.01}[generator]
        train, held_out = rng.normal(size=(2, 80, 4))
        samples = scale * rng.normal(size=(80, 4))
        values.append(scanned(samples, train, held_out, rng, repeats=99).p)
    assert kstest(values, "uniform", alternative="greater").pvalue > 0.01
    assert np.mean(np.array(values) <= 0.05) <= 0.1


def test_p_is_close_to_uniform_for_a_good_generator() -> None:
    values = []
    for seed in range(300):
        rng = np.random.default_rng(1000 + seed)
        train, held_out, samples = rng.normal(size=(3, 150, 4))
        values.append(scanned(samples, train, held_out, rng, repeats=99).p)
    assert kstest(values, "uniform").pvalue > 0.01


def test_the_alarm_is_that_of_the_level_of_the_test() -> None:
    """Texts are tested at half the usual level, but their picture showed the usual line, and a test that missed it gave the share."""
    rng = np.random.default_rng(0)
    pool, samples = rng.normal(size=(160, 4)), rng.normal(size=(80, 4))
    index, near = np.arange(160), nearest(samples, pool)
    labels = LabelPermutations(index < 80, index, index, near.item, rng=rng)
    alarms = [
        scan([near], labels, np.random.default_rng(0), level).alarm for level in (0.05, 0.01, thresholds.TEXT_ALPHA)
    ]
    assert alarms == sorted(alarms) and alarms[0] < alarms[2]
    result = scan([near], labels, np.random.default_rng(0))
    assert len(unsuspicious_rows(replace(result, p=0.008, k=10), replace(NO_MATCHES, p=0.004), 80)) == 70


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
def test_a_statistic_is_above_the_alarm_if_and_only_if_its_p_is_within_the_level(
    level: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, rng = np.arange(40), np.random.default_rng(0)
    near = nearest(rng.normal(size=(20, 4)), rng.normal(size=(40, 4)))
    labels = LabelPermutations(index < 20, index, index, near.item, repeats=99, rng=rng)
    for statistic in np.arange(80, 101) - 0.5:  # those of the permutations are 0 to 98
        table = np.append(statistic, rng.permutation(99))[:, None]
        monkeypatch.setattr(copying_test, "scan_statistics", lambda *_, table=table: table)
        result = scan([near], labels, rng, level)
        assert (result.p <= level) == (statistic > result.alarm), statistic


def test_copies_are_found_counted_and_come_first() -> None:
    rng = np.random.default_rng(0)
    train, held_out, samples = rng.normal(size=(3, 400, 6))
    samples[:20] = train[:20] + 1e-3 * rng.normal(size=(20, 6))
    pool, index = np.concatenate([train, held_out]), np.arange(800)
    near = nearest(samples, pool)
    labels = LabelPermutations(index < 400, index, index, near.item, repeats=499, rng=rng)
    result = scan([near], labels, rng)
    assert result.p <= thresholds.ALPHA
    assert set(result.order[:20]) == set(range(20))
    copied, low = count_by_scan([near], result, labels, rng, lambda: math.inf)
    assert low <= 20 and 15 <= copied <= 30


def test_copies_of_held_out_items_and_too_few_samples_prove_nothing() -> None:
    rng = np.random.default_rng(0)
    train, held_out = rng.normal(size=(2, 100, 6))
    assert scanned(held_out, train, held_out, rng).p > 0.5
    assert scanned(train[:3], train, held_out, rng).p == 1.0


def test_whole_groups_are_permuted() -> None:
    """A hundred samples at a hundred items of one group are one observation: they can prove nothing."""
    rng = np.random.default_rng(1)
    index = np.arange(200)
    near = NearestReal(np.arange(100), np.zeros(100), np.ones(100), np.arange(100))
    alone = LabelPermutations(index < 100, index, index, near.item, rng=rng)
    together = LabelPermutations(index < 100, index // 100, index, near.item, rng=rng)
    assert scan([near], alone, rng).p <= 0.001
    assert scan([near], together, rng).p > 0.3
    with pytest.raises(ValueError, match="near-duplicates"):
        LabelPermutations(index < 50, index // 100, index, near.item, rng=rng)


def test_samples_at_one_item_count_as_one_where_the_scan_is_largest() -> None:
    """Twelve samples at different training items say more than sixty at one, which come after them."""
    rng = np.random.default_rng(2)
    index = np.arange(200)
    item = np.concatenate([np.arange(12), np.full(60, 12)])
    near = NearestReal(item, np.linspace(0.1, 0.5, 72), np.ones(72), item)
    labels = LabelPermutations(index < 100, index, index, item, rng=rng)
    result = scan([near], labels, rng)
    assert (result.k, result.hits) == (13, 13)


def test_permuted_labels_have_the_moments_of_real_permutations() -> None:
    rng = np.random.default_rng(0)
    index = np.arange(60)
    labels = LabelPermutations(index < 15, index, index, np.arange(30), repeats=20_000, rng=rng)
    drawn = np.concatenate(list(labels.rows.parts(np.arange(30))))[1:].astype(float)
    count = drawn.sum(axis=1)
    assert drawn.mean() == pytest.approx(15 / 60, abs=0.005)
    assert count.var() == pytest.approx(30 * 0.25 * 0.75 * (60 - 30) / (60 - 1), rel=0.05)
    assert drawn.mean(axis=0).std() < 0.01
    assert labels.share == 0.25


def test_planted_truth() -> None:
    rng = np.random.default_rng(0)
    index = np.arange(40)
    labels = LabelPermutations(index < 20, index, index, index, repeats=50, rng=rng)
    truth = labels.with_planted(3, np.array([21, 35]), 30)
    assert (len(truth.rows), truth.rows.num_columns) == (31, 40)
    assert truth.rows.first(np.array([21, 35])).all()
    others = np.setdiff1d(index, [21, 35])
    assert (truth.rows.first(others) == labels.rows.row(3)[others]).all()
    kept = [*range(1, 3), *range(4, 32)]
    assert all((truth.rows.row(i) == labels.rows.row(j)).all() for i, j in enumerate(kept, 1))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.05, 0.95))
def test_deviance_is_the_likelihood_ratio(hits: int, k: int, share: float) -> None:
    hits = min(hits, k)
    part = hits / k
    log = [np.log(p) * hits if hits else 0.0 for p in (max(part, 1e-300), share)]
    log = [a + (np.log(1 - p) * (k - hits) if k > hits else 0.0) for a, p in zip(log, (part, share), strict=True)]
    root = float(copying_test.deviance_root(np.array(part), share)) * np.sqrt(k)
    assert root**2 == pytest.approx(2 * (log[0] - log[1]), abs=1e-6)
    assert np.sign(root) == np.sign(part - share) or abs(root) < 1e-6


@given(st.lists(st.integers(0, 5), max_size=60))
def test_earlier_counts(values: list[int]) -> None:
    result = copying_test.count_earlier(np.array(values, dtype=np.intp))
    assert result.tolist() == [values[:i].count(v) for i, v in enumerate(values)]


@given(st.integers(0, 20_000))
def test_steps_rise_to_the_last(last: int) -> None:
    steps = copying_test.steps_to(last)
    assert (
        len(steps) == 0 if last < copying_test.FIRST_STEP else steps[0] == copying_test.FIRST_STEP and steps[-1] == last
    )
    assert (np.diff(steps) > 0).all() and (steps[1:] <= np.ceil(steps[:-1] * 1.13) + 1).all()


def test_ratio_of_items_without_distance() -> None:
    near = NearestReal(np.arange(4), np.array([0.0, 1.0, 0.0, 1.0]), np.array([2.0, 2.0, 0.0, 0.0]), np.arange(4))
    assert near.ratio.tolist() == [0.0, 0.5, 1.0, np.inf]
    assert near.order(np.random.default_rng(0)).tolist() == [0, 1, 2, 3]


def test_reference_test() -> None:
    values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        single, paired = rng.gamma(2, size=60), np.repeat(rng.gamma(2, size=30), 2)
        real, pairs = (paired, np.repeat(np.arange(30), 2)) if seed % 2 else (single, np.arange(60))
        values.append(copying_test.reference_test(rng.gamma(2, size=120), real, pairs, rng, 99).p)
    assert kstest(values, "uniform", alternative="greater").pvalue > 0.01
    rng = np.random.default_rng(0)
    samples = np.concatenate([np.full(30, 0.01), rng.gamma(2, size=270)])
    result = copying_test.reference_test(samples, rng.gamma(2, size=100), np.arange(100), rng)
    assert result.p <= thresholds.ALPHA and 25 <= result.copied <= 80


@pytest.mark.parametrize("share", [0.5, 0.875, 0.9])
def test_what_is_needed(share: float) -> None:
    copies = copying_test.least_copies(share)
    assert share**copies <= thresholds.ALPHA / 10 < share ** (copies - 1)
    train = 1000
    held_out = copying_test.held_out_needed(copies, train)
    assert copying_test.least_copies(train / (train + held_out)) <= copies
    assert copying_test.least_copies(train / (train + 0.9 * held_out)) > copies
    assert copying_test.least_copies(0.5) == 10


def test_groups_are_single_items_where_single_items_were_divided() -> None:
    """Split mixed groups alone, and an item of one that poses as a sample always finds its twin in training."""
    is_train = np.random.default_rng(0).permutation(np.arange(200) < 150)
    pairs = np.repeat(np.arange(100), 2)
    groups, num_held_out = exchangeable_groups(pairs, is_train)
    assert len(np.unique(groups)) == 200
    assert num_held_out == sum(is_train[i] != is_train[i ^ 1] and not is_train[i] for i in range(200))


def test_groups_that_were_kept_together_stay_but_for_exceptions() -> None:
    is_train = np.repeat(np.arange(100) < 75, 2)
    pairs = np.repeat(np.arange(100), 2)
    assert np.array_equal(exchangeable_groups(pairs, is_train)[0], pairs)
    is_train[1] = False
    groups, num_held_out = exchangeable_groups(pairs, is_train)
    assert num_held_out == 1 and groups[0] != groups[1] and len(np.unique(groups)) == 101
