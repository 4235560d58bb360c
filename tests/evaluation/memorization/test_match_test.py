"""The match test: copies among near-twins are found, chance matches are not, and what the labels say is heard."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anew.evaluation.memorization import item_types, match_test
from anew.evaluation.memorization.copy_verdict import copy_verdict
from anew.evaluation.memorization.copying_test import LabelPermutations, NearestReal
from anew.evaluation.memorization.edit_distance import EditDistance
from anew.evaluation.memorization.match_test import (
    MatchResult,
    MatchTest,
    StandIns,
    _independent_matches,
    binomial_tail,
    choose_stand_ins,
    nearest_of_stand_ins,
)
from anew.evaluation.memorization.memorization_test import MemorizationOptions, MemorizationTest
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.memorization.text_test import run_text_test

LETTERS = list("ACDEFGHIKLMNPQRSTVWY")
N_TRAIN, N_HELD_OUT = 270, 120


def family(n: int, rng: np.random.Generator, length: int = 90) -> list[str]:
    """Variants of one sequence, each with 1 to 8 residues replaced."""
    ancestor = rng.choice(LETTERS, length)
    variants = []
    for _ in range(n):
        letters = ancestor.copy()
        places = rng.choice(length, rng.integers(1, 9), replace=False)
        letters[places] = rng.choice(LETTERS, len(places))
        variants.append("".join(letters))
    return variants


def result_of(seed: int, copied: int, changed: bool = False) -> CopyTestResult:
    """90 samples of a family, some of them training records or one residue from those; all are near-twins."""
    source = np.random.default_rng(seed)
    items = family(N_TRAIN + N_HELD_OUT + 90, source)
    train, held_out, samples = items[:N_TRAIN], items[N_TRAIN : N_TRAIN + N_HELD_OUT], items[N_TRAIN + N_HELD_OUT :]
    for i in range(copied):
        letters = list(train[i])
        if changed:
            letters[source.integers(len(letters))] = "X"
        samples[i] = "".join(letters)
    groups = np.zeros(N_TRAIN + N_HELD_OUT, dtype=int)
    return MemorizationTest(
        item_types.RECORDS, samples, train, held_out, groups, options=MemorizationOptions(seed=seed, controls=False)
    ).run()


@pytest.mark.parametrize("changed", [False, True])
def test_copies_among_near_twins_are_found(changed: bool) -> None:
    outcome = result_of(0, 18, changed)
    assert outcome.detected and outcome.match_p is not None and outcome.match_p <= 0.005
    assert outcome.train == N_TRAIN and outcome.held_out == N_HELD_OUT
    assert 0.05 < outcome.low <= 0.2 and outcome.share == pytest.approx(0.2, abs=0.06)
    assert ("identical to a training item" in copy_verdict(outcome).sentence) != changed


def test_few_copies_among_near_twins_are_found_where_the_scan_sees_none() -> None:
    results = [result_of(seed, 9) for seed in range(5)]
    assert sum(result.detected for result in results) >= 4


def test_chance_matches_of_a_family_are_no_copies() -> None:
    results = [result_of(seed, 0) for seed in range(20)]
    assert sum(result.detected for result in results) <= 1
    matched = next(result for result in results if result.identical)
    assert "real items" in copy_verdict(matched).sentence and "identical to another" in copy_verdict(matched).sentence


def test_a_stand_in_is_left_out_of_the_scale_of_its_nearest_item() -> None:
    records = ["aaaa", "aaab", "ccab", "zzzz"]
    single = np.arange(4)
    near = nearest_of_stand_ins(EditDistance(records, single), np.array([0]), np.arange(4), single)
    assert near.item.tolist() == [1] and near.distance[0] == 0.25 and near.scale[0] == 0.5
    assert near.nearest_own.tolist() == [2]


def test_all_passages_of_a_stand_in_are_left_out() -> None:
    """Two passages of one text overlap a passage of another: neither is that one's usual neighbour."""
    records = ["aaaabbbb", "bbbbaaaa", "aaaabbba", "zzzzabba"]
    groups = np.array([0, 0, 1, 2])
    near = nearest_of_stand_ins(EditDistance(records, groups), np.array([0, 1]), np.arange(4), groups)
    assert near.item[0] == 2 and near.distance[0] == 0.125 and near.nearest_own[0] == 3


def test_stand_ins_pose_in_groups_as_large_as_those_of_samples() -> None:
    groups = np.repeat(np.arange(50), 10)
    rng = np.random.default_rng(0)
    chosen = choose_stand_ins(np.arange(500), groups, np.array([4]), 100, rng)
    assert len(np.unique(chosen.items)) == 100
    sizes = np.unique(chosen.units, return_counts=True)[1]
    assert sizes.max() == 4 and 25 <= len(sizes) <= 50
    of_unit = [np.unique(groups[chosen.items[chosen.units == unit]]) for unit in np.unique(chosen.units)]
    assert all(len(members) == 1 for members in of_unit)
    single = choose_stand_ins(np.arange(500), np.arange(500), np.ones(30, dtype=int), 100, rng)
    assert len(np.unique(single.units)) == 100


def test_stand_ins_are_the_same_however_many_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = np.arange(0, 900, 2)
    for groups in (np.arange(900, dtype=np.int32), np.random.default_rng(1).integers(0, 200, 900).astype(np.int32)):
        chosen = []
        for at_once in (10_000, 77):
            monkeypatch.setattr(match_test, "AT_ONCE", at_once)
            rng = np.random.default_rng(0)
            stand_ins = choose_stand_ins(pool, groups, np.array([1, 2, 5]), 60, rng)
            chosen.append([*stand_ins.items.tolist(), *stand_ins.units.tolist(), rng.random()])
        assert chosen[0] == chosen[1]


def test_passages_of_one_text_count_as_one_match() -> None:
    item = np.array([0, 1, 2, 3, 4, 4, 5])
    ratio = np.array([0.1, 0.2, 0.3, 0.3, 0.2, 0.1, 0.9])
    nearest = NearestReal(item, ratio, np.ones(7), np.full(7, -1))
    texts, owners = np.array([0, 0, 1, 2, 3, 4]), np.array([0, 0, 0, 1, 2, 3, 4])
    rows, num_repeated = _independent_matches(nearest, owners, texts)
    assert sorted(rows) == [0, 3, 5] and num_repeated == 1
    rows, num_repeated = _independent_matches(nearest, np.arange(7), np.arange(6))
    assert sorted(rows) == [0, 1, 2, 3, 5] and num_repeated == 1


def paragraph(rng: np.random.Generator, passages: int = 6) -> str:
    return "".join(rng.choice(list("abcdefghijklmnop "), 256 * passages))


@pytest.mark.parametrize("copied", [False, True])
def test_a_glossary_that_repeats_many_texts_is_one_match(copied: bool) -> None:
    """One text of a test set quoted 23 training texts, and a generator that copied nothing was accused."""
    rng = np.random.default_rng(0)
    train, held_out, samples = ([paragraph(rng) for _ in range(n)] for n in (60, 30, 30))
    if copied:
        samples[:15] = [train[i][:768] + samples[i][768:] for i in range(15)]
    else:
        samples[0] = "".join(text[:256] for text in [*train[:7], held_out[0]])
    result = run_text_test(samples, train, held_out, options=MemorizationOptions(controls=False))
    assert result.detected == copied and result.match_p is not None and (result.match_p <= 0.01) == copied


def matched(num_train: int, num_held_out: int, num_real: int, total: int = 400, repeated: bool = False) -> MatchResult:
    """The test of 100 samples, of which `num_train` match training items and `num_held_out` held-out ones.

    Args:
        num_train: How many match training items.
        num_held_out: How many match held-out items.
        num_real: Real items that match another real item.
        total: Real items, 70% of them for training.
        repeated: Whether the matches are all of one training item.
    """
    n = num_train + num_held_out
    is_train = np.arange(total) < 0.7 * total
    item = np.full(100, total - 1)
    item[:num_train] = 0 if repeated else np.arange(num_train)
    item[num_train:n] = total - 2 - np.arange(num_held_out)
    ratio = np.where(np.arange(100) < n, 0.0, 1.0)
    samples = NearestReal(item, ratio, np.ones(100), np.full(100, -1))
    real_ratio = np.where(np.arange(total) < num_real, 0.0, 1.0)
    real = NearestReal(np.arange(total)[::-1].copy(), real_ratio, np.ones(total), np.full(total, -1))
    rng = np.random.default_rng(0)
    labels = LabelPermutations(is_train, np.arange(total), np.arange(total), np.unique(item), repeats=99, rng=rng)
    test = MatchTest(
        nearests=[samples],
        groups=total + np.arange(100),
        item_groups=np.arange(total),
        stand_ins=StandIns(np.arange(total), np.arange(total)),
        real=[real],
        resolutions=[0.0],
        num_pool=total,
        num_held_out=int((~is_train).sum()),
        group_share=float(is_train.mean()),
    )
    return test.run(np.arange(100), labels, rng)


def test_matches_that_real_items_have_as_often_prove_nothing() -> None:
    assert matched(10, 0, 0).p <= 0.002
    assert matched(10, 0, 40).p > 0.2
    assert matched(0, 0, 0).p == 1.0


def test_labels_must_agree() -> None:
    assert matched(7, 3, 0).p > 0.2  # a generator that reaches real items without copying reaches held-out ones, too
    assert matched(40, 17, 0).p > 0.2
    assert matched(40, 2, 0).p <= 0.01  # but the labels alone are proof here


@pytest.mark.parametrize(
    ("num_train", "num_held_out", "num_real", "numbers", "do_agree"),
    [(60, 5, 20, (20, 400), False), (200, 20, 0, (4_000, 10), True)],
)
def test_held_out_matches_are_expected_by_the_numbers_of_samples_and_of_real_items(
    num_train: int, num_held_out: int, num_real: int, numbers: tuple[int, int], do_agree: bool
) -> None:
    is_train, index = np.arange(400) < 280, np.arange(400)
    items = np.concatenate([index[:num_train], index[-num_held_out:]])
    labels = LabelPermutations(is_train, index, index, items, repeats=9, rng=np.random.default_rng(0))
    test: Any = SimpleNamespace(group_share=0.7, num_held_out=120, num_pool=400, label_level=0.01)
    p, agree = MatchTest._label_p(test, labels, items, *numbers, num_real)
    assert p <= 0.01 and agree == do_agree


def test_labels_that_disagree_make_no_match_more_significant(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = matched(10, 0, 40).p
    monkeypatch.setattr(MatchTest, "_label_p", lambda *_: (1e-6, False))
    assert matched(10, 0, 40).p == expected > 0.2


def test_many_samples_at_one_item_count_as_one() -> None:
    assert matched(20, 0, 0, repeated=True).p == 1.0
    outcome = matched(10, 0, 0)
    assert outcome.rows.tolist() == list(range(10))


def test_binomial_tail() -> None:
    assert binomial_tail(0, 5, 0.3) == 1.0
    assert binomial_tail(4, 4, 0.5) == pytest.approx(1 / 16)
    assert binomial_tail(2, 3, 0.5) == pytest.approx(0.5)


def test_twins_within_a_group_are_compared_by_the_match_test_alone() -> None:
    """Twins in one part stay one group for the scan; what they match each other is chance for the match test."""
    train = ["aaaaaaaa", "aaaaaaab", "qrstuvwx"]
    search = MemorizationTest(
        item_types.RECORDS,
        ["aaaaaaaa"],
        train,
        ["ABCDEFGH"],
        np.array([0, 0, 1, 2]),
        options=MemorizationOptions(controls=False),
    )
    query = np.array([search.num_real])
    distances = search.distances[0].nearest_real(query, search.real_index)
    assert distances.scale[0] > 0.5
    assert search._match_test(query, [distances], []).nearests[0].scale[0] == 0.125
