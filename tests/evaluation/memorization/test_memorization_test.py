"""The memorization test: what it finds, what it says, what its controls say of it."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from anew.core.wording import percent, rounded_up
from anew.evaluation.memorization import item_types
from anew.evaluation.memorization.controls import Controls
from anew.evaluation.memorization.copy_verdict import METHODS, copy_verdict, result_json
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.evaluation.memorization.item_type import ItemType
from anew.evaluation.memorization.item_types import IMAGES, MAX_RUNS, PASSAGES, text_runs
from anew.evaluation.memorization.memorization_test import (
    PAIRS,
    PLANTING,
    MemorizationOptions,
    MemorizationTest,
    distinct_first,
)
from anew.evaluation.memorization.result import ClosestPair, CopyTestResult, PlantedControl
from anew.evaluation.memorization.search import GivenVariants, Search
from anew.evaluation.memorization.search_cache import CachedDistance
from anew.evaluation.memorization.thresholds import NUM_TESTS, PLANTED_RATES


def points(n: int, seed: int) -> list[Any]:
    return list(np.random.default_rng(seed).normal(size=(n, 6)))


class PointDistance(Distance):
    """Euclidean distance of points."""

    name = "points"

    def __init__(self, items: Sequence[Any], groups: Any) -> None:
        self._rows = torch.from_numpy(np.stack([np.asarray(item, dtype=np.float32) for item in items]))
        self._search = Search(self._rows, groups)

    def set_groups(self, groups: Any) -> None:
        self._search = self._search.with_groups(groups)

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        return self._search.nearest(
            queries, pool, lambda rows: GivenVariants(self._rows[torch.from_numpy(rows)][:, None])
        )


POINTS = ItemType(
    "points",
    lambda items, groups: [PointDistance(items, groups)],
    (lambda item, source: np.asarray(item) + source.normal(0.0, 0.1, np.shape(item)),),
    "The test sees points.",
)
TRAIN, HELD, SAMPLES = points(300, 1), points(300, 2), points(300, 3)


def test_planting_is_named_after_the_search() -> None:
    tasks: list[str] = []
    options = MemorizationOptions(progress=lambda task, count, total: tasks.append(task))
    MemorizationTest(POINTS, SAMPLES, TRAIN, HELD, options=options).run()
    assert list(dict.fromkeys(tasks))[-2:] == ["finding the nearest real items", PLANTING]


def test_nothing_is_held_after_a_test() -> None:
    """What a search told held the index of ten million records until Python looked for cycles, beside what was computed next."""
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("abcdefg"), 8)) for _ in range(120)]
    test = MemorizationTest(item_types.RECORDS, names[:40], names[40:90], names[90:])
    held = [weakref.ref(part) for part in (test, *test.distances)]
    gc.disable()
    try:
        test.run()
        del test
        assert all(part() is None for part in held)
    finally:
        gc.enable()


def test_nothing_is_found_where_nothing_is_copied() -> None:
    outcome = MemorizationTest(POINTS, SAMPLES, TRAIN, HELD).run()
    assert not outcome.detected and outcome.p > 0.01 and outcome.share == 0.0
    assert outcome.detection_limit in (0.02, 0.05)
    assert outcome.control_p is not None and outcome.control_p > 0.01
    assert outcome.reference_p is None  # the scan found nothing that it could confirm
    assert (
        copy_verdict(outcome).sentence
        == f"No copies found; {100 * outcome.detection_limit:.0f}% copies or more, exact or lightly changed, would have been noticed."
    )
    assert {p.variant for p in outcome.controls} == {"exact", "disturbed"}


@pytest.mark.parametrize(("factor", "is_copying"), [(0.99, True), (1.01, False)])
def test_copying_is_found_at_the_level_of_all_tests_together(
    factor: float, is_copying: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = factor * NUM_TESTS * POINTS.level
    monkeypatch.setattr("anew.evaluation.memorization.memorization_test.bonferroni_p", lambda *_: p)
    outcome = MemorizationTest(POINTS, SAMPLES, TRAIN, HELD, options=MemorizationOptions(controls=False)).run()
    assert outcome.detected == is_copying and outcome.p == p
    # The tests exclude that there is none
    assert outcome.low == outcome.share == (1 / len(SAMPLES) if is_copying else 0.0)


def test_copies_are_found_and_the_limit_is_that_of_clean_samples() -> None:
    clean = MemorizationTest(POINTS, SAMPLES, TRAIN, HELD).run()
    outcome = MemorizationTest(POINTS, [*TRAIN[:30], *SAMPLES[30:]], TRAIN, HELD).run()
    assert outcome.detected and outcome.p <= 0.01
    assert 0.1 <= outcome.share <= 0.13 and 0.05 < outcome.low < 0.1
    assert outcome.detection_limit in (0.02, 0.05, 0.1) and clean.detection_limit in (0.02, 0.05)
    assert [p.sample for p in outcome.pairs] == [p.train for p in outcome.pairs] and len(outcome.pairs) == 12
    assert copy_verdict(outcome).sentence.startswith(
        "Copying found: at least 10% of the samples are copies of training items: 30 of"
    )
    again = MemorizationTest(POINTS, [*TRAIN[:30], *SAMPLES[30:]], TRAIN, HELD).run()
    assert again == outcome


def test_ties_do_not_lean_to_training_items() -> None:
    # Every sample is at one distance from all real items, and the first of them is taken as its nearest.
    near = []
    for seed in range(200):
        single = MemorizationTest(
            item_types.RECORDS, ["zz"], ["ab"], ["cd"], options=MemorizationOptions(seed=seed, controls=False)
        )
        near.append(bool(single.is_train[single.distances[0].nearest_real(np.array([2]), single.real_index).item[0]]))
    assert 70 <= sum(near) <= 130


def test_a_part_of_the_training_items_proves_less_and_says_so() -> None:
    outcome = MemorizationTest(POINTS, SAMPLES[:100], TRAIN[:40], HELD[:40], num_train_total=40 * len(TRAIN)).run()
    assert outcome.detection_limit is None
    assert f"only 40 of {40 * len(TRAIN):,} training items were compared" in copy_verdict(outcome).sentence


def test_where_most_training_items_were_compared_the_part_is_not_blamed() -> None:
    outcome = MemorizationTest(POINTS, SAMPLES[:20], TRAIN[:40], HELD[:40], num_train_total=60).run()
    assert outcome.detection_limit is None and "only" not in copy_verdict(outcome).sentence
    assert (
        "40 held-out items and 20 samples are too few; about 100 samples are needed" in copy_verdict(outcome).sentence
    )


def test_the_distance_from_training_items_says_of_how_many_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It named the distance that found most, and all samples."""
    monkeypatch.setattr("anew.evaluation.memorization.memorization_test.BRIEF_DISTANCES", 30)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (8, 8), dtype=np.uint8) for _ in range(160)]
    result = MemorizationTest(
        IMAGES, images[:40], images[40:100], images[100:], options=MemorizationOptions(brief=True)
    ).run()
    result = replace(result, distance="another")
    score = next(score for score in result.scores() if score.name == "novelty_auc")
    assert score.n == 30 and "another" not in score.source


def test_a_brief_memorization_test_lets_fewer_real_items_pose_as_samples() -> None:
    brief, whole = (
        MemorizationTest(POINTS, SAMPLES[:20], TRAIN, HELD, options=MemorizationOptions(brief=brief)).run()
        for brief in (True, False)
    )
    assert brief.real_compared == 40 < whole.real_compared


def test_a_brief_memorization_test_leaves_out_samples_that_there_is_no_time_to_search_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    nearest = PointDistance.nearest

    def slow_nearest(self: PointDistance, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        clock[0] += 0.01 * len(queries)
        return nearest(self, queries, pool)

    monkeypatch.setattr(PointDistance, "nearest", slow_nearest)
    monkeypatch.setattr("anew.evaluation.memorization.brief_test.time.monotonic", lambda: clock[0])
    compared = []
    for seconds in (0.5, 12.0, 14.0, 1000.0):
        clock[0] = 0.0
        outcome = MemorizationTest(
            POINTS,
            TRAIN[:200],
            TRAIN,
            HELD,
            options=MemorizationOptions(brief=True, remaining=lambda end=seconds: end - clock[0]),
        ).run()
        compared.append(outcome.samples)
        assert outcome.detected and outcome.share > 0.9 and len(outcome.pairs) > 0
        assert clock[0] <= seconds or outcome.samples == 64
        assert (outcome.controls == []) == (seconds == 0.5)
    assert compared[0] == 64 < compared[1] <= compared[2] <= compared[3] == 200
    whole = MemorizationTest(POINTS, TRAIN[:200], TRAIN, HELD, options=MemorizationOptions(remaining=lambda: 1.0)).run()
    assert whole.samples == 200  # in no hurry, all are


def test_what_is_alone_in_its_group_is_searched_for_once() -> None:
    items = points(40, 7)
    groups = np.array([*range(30), *[30] * 10])
    searched: list[int] = []

    class Counted(PointDistance):
        def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
            searched.extend(queries.tolist())
            return super().nearest(queries, pool)

    pool = np.arange(40)
    distance = CachedDistance(Counted(items, groups), groups, pool)
    distance.nearest(pool, pool)
    item, away = distance.with_groups(np.arange(40)).nearest(pool, pool)
    assert searched == [*range(40), *range(30, 40)]
    expected_item, expected_away = PointDistance(items, np.arange(40)).nearest(pool, pool)
    assert (item == expected_item).all()
    np.testing.assert_allclose(away, expected_away, rtol=1e-5)


def test_a_copycat_is_found_by_the_weaker_method_too() -> None:
    outcome = MemorizationTest(POINTS, TRAIN, TRAIN, []).run()
    assert outcome.detected and outcome.method == "reference" and outcome.held_out == 0 and outcome.share > 0.3
    assert outcome.share >= outcome.identical / outcome.samples and "by chance" not in copy_verdict(outcome).sentence
    assert "Copying found" in copy_verdict(outcome).sentence
    clean = MemorizationTest(POINTS, SAMPLES, TRAIN, []).run()
    assert (
        not clean.detected
        and "cannot prove" in copy_verdict(clean).sentence
        and "noticed" not in copy_verdict(clean).sentence
    )


def test_repeats_by_chance_are_no_copies_without_held_out_items_either() -> None:
    """In a source of 4,000 items, some of 400 real items are identical to another one, and so are samples to real items."""
    source, rng = points(4_000, 4), np.random.default_rng(6)
    train, samples = rng.integers(4_000, size=400), rng.integers(4_000, size=300)
    real = [source[i] for i in train]
    outcome = MemorizationTest(POINTS, [source[i] for i in samples], real, [], groups=train).run()
    assert not outcome.detected and outcome.method == "reference"
    num_repeated = sum((train == i).sum() > 1 for i in train)
    assert outcome.identical == np.isin(samples, train).sum() > 20
    assert (outcome.real_compared, outcome.real_identical) == (400, num_repeated)
    copied = MemorizationTest(POINTS, real[:300], real, [], groups=train).run()
    by_chance = num_repeated / 400
    assert copied.detected and copied.share == pytest.approx(1.0 - by_chance, abs=0.1)


def test_too_few_held_out_items_say_what_is_needed() -> None:
    outcome = MemorizationTest(POINTS, SAMPLES[:30], TRAIN, HELD[:6]).run()
    assert outcome.limit is None
    held_out, samples = outcome.needed(PLANTED_RATES[-1])
    assert held_out > 6 and samples > 30
    samples, held_out = rounded_up(samples), rounded_up(held_out)
    is_reachable = held_out <= len(TRAIN) + 6  # many times the data is no advice where more samples would do
    ways = f"{samples:,} samples" + f" or {held_out:,} held-out items" * is_reachable
    assert f"about {ways} are needed" in copy_verdict(outcome).sentence


def test_samples_far_from_all_items_are_no_copies_however_little_the_tests_can_prove() -> None:
    outcome = MemorizationTest(POINTS, SAMPLES[:100], TRAIN, HELD[:6]).run()
    assert outcome.detection_limit is None and outcome.near is not None and outcome.near.bound is not None
    assert outcome.has_power and outcome.scores()[0].high == outcome.limit == outcome.near.bound
    assert copy_verdict(outcome).clause == (
        f"no copies found: at most {percent(outcome.near.bound)} of the samples are as near to a real item as lightly changed "
        "copies are"
    )
    copied = MemorizationTest(POINTS, [*TRAIN[:8], *SAMPLES[8:100]], TRAIN, HELD[:6]).run()
    assert copied.detected or copied.limit is None or copied.limit > 0.08


def test_a_split_that_is_not_random_is_told_by_the_control() -> None:
    """Held-out items that are noisy versions of training ones are nearer to the training part than chance explains."""
    rng = np.random.default_rng(0)
    held_out = [t + 0.05 * rng.normal(size=6) for t in TRAIN]
    outcome = MemorizationTest(POINTS, SAMPLES, TRAIN, held_out).run()
    assert outcome.control_p is not None and outcome.control_p <= 0.001
    assert "not valid" in copy_verdict(outcome).sentence


def test_held_out_twins_are_compared_one_by_one() -> None:
    groups = np.concatenate([np.arange(300), np.arange(300) + 300])
    groups[300:310] = np.arange(10)
    outcome = MemorizationTest(POINTS, SAMPLES, TRAIN, HELD, groups, options=MemorizationOptions(controls=False)).run()
    assert outcome.train == outcome.held_out == 300
    assert "10 of 300 held-out items have near-duplicates among the training items" in outcome.notes[0]
    copied = MemorizationTest(
        POINTS, [*TRAIN[:30], *SAMPLES[30:]], TRAIN, HELD, groups, options=MemorizationOptions(controls=False)
    ).run()
    assert copied.detected and copied.share == pytest.approx(0.1, abs=0.03)


def test_controls_that_time_forbids_are_said() -> None:
    outcome = MemorizationTest(POINTS, SAMPLES, TRAIN, HELD, options=MemorizationOptions(remaining=lambda: 0.0)).run()
    assert len(outcome.notes) == 1 and "for lack of time; not measured: planted copies, " in outcome.notes[0]
    assert outcome.controls == [] and outcome.control_p is None


def test_copies_found_without_time_to_count_them_are_the_identical_ones() -> None:
    samples = [*TRAIN[:30], *SAMPLES[30:]]
    late = MemorizationTest(POINTS, samples, TRAIN, HELD, options=MemorizationOptions(remaining=lambda: 0.0)).run()
    counted = MemorizationTest(POINTS, samples, TRAIN, HELD).run()
    assert late.detected and 0.0 < late.low <= late.share and late.identical == 30
    assert late.low <= counted.low <= 30 / len(samples)
    assert 0.0 < late.plain_low <= counted.plain_low <= counted.low
    assert "how many samples are altered copies" in late.notes[-1] and counted.notes == []


def test_planted_copies_end_with_the_time() -> None:
    left = iter([1.0] * 5)
    outcome = MemorizationTest(
        POINTS, SAMPLES, TRAIN, HELD, options=MemorizationOptions(remaining=lambda: next(left, 0.0))
    ).run()
    assert outcome.controls == [] and outcome.detection_limit is None
    assert "exact planted copies of " in outcome.notes[0] and "for lack of time" in outcome.notes[0]
    assert outcome.shortened and outcome.limit is not None
    without = replace(outcome, near=None)
    assert "was not measured, for lack of time" in copy_verdict(without).sentence


def test_json_has_the_fixed_names() -> None:
    plain = result_json(
        MemorizationTest(POINTS, SAMPLES, TRAIN, HELD, options=MemorizationOptions(controls=False)).run()
    )
    assert {"detected", "p", "share", "detection_limit", "method", "pairs"} <= set(plain)
    assert plain["method"] == METHODS["scan"]
    assert json.loads(json.dumps(plain))["pairs"][0].keys() >= {"sample", "train", "distance", "usual"}


def test_an_alarm_of_the_control_is_repeated_with_other_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """One choice of items in a hundred raises an alarm although held-out items are a random draw."""
    for alarms, method in (([0.001], "scan"), ([0.001] * 20, "shifted"), ([0.001, 1.0] * 3 + [0.001] * 20, "shifted")):
        remaining = list(alarms)
        monkeypatch.setattr(Controls, "both_p", lambda *_, rest=remaining: rest.pop(0) if rest else 1.0)
        outcome = MemorizationTest(
            POINTS, SAMPLES[:50], TRAIN, HELD, options=MemorizationOptions(randomly_held_out=False, controls=False)
        ).run()
        assert outcome.method == method


def test_few_copies_are_not_rounded_away_in_the_clause() -> None:
    base = MemorizationTest(POINTS, SAMPLES, TRAIN, HELD, options=MemorizationOptions(controls=False)).run()
    copied = replace(
        base, detected=True, p=0.002, share=0.002, low=0.0012, samples=1000, identical=9, detection_limit=0.05
    )
    assert copy_verdict(copied).clause == (
        "at least 0.9% of the samples are copies of training items: 9 of 1,000 are identical to one"
    )
    near = replace(copied, identical=0)
    assert copy_verdict(near).clause == "at least about 0.12% of the samples are altered copies of training items"
    weak = replace(base, train=320, n_train_total=791)
    assert copy_verdict(weak).clause == "no copies found, but only 320 of 791 training items were compared"
    assert copy_verdict(weak).clause.split("but ")[1] in copy_verdict(weak).sentence


def test_closest_pairs_of_one_passage_come_after_those_of_others() -> None:
    """All twelve pairs of a report of SQL showed one comment that many files begin with."""
    rng = np.random.default_rng(0)
    comment, *others = ("".join(rng.choice(list("abcdefgh "), 256)) for _ in range(4))
    train = [comment, f"-- {comment}"[:256], f"{comment[100:]}{others[0][:100]}", *others]
    pairs = [ClosestPair(i, i % 3, 0.004, 0.07) for i in range(20)] + [
        ClosestPair(20 + i, 3 + i, 0.005, 0.07) for i in range(3)
    ]
    chosen = distinct_first(pairs, train, PASSAGES.runs)
    assert [pair.train for pair in chosen[:4]] == [0, 3, 4, 5] and len(chosen) == PAIRS
    assert [pair.sample for pair in chosen[4:]] == list(range(1, 9))
    assert [pair.train for pair in distinct_first(pairs, train, POINTS.runs)[:6]] == list(range(6))
    late = distinct_first(pairs, train, PASSAGES.runs, lambda: 0.0)
    assert [pair.train for pair in late[:6]] == list(range(6))


def test_each_text_of_the_closest_pairs_is_read_once() -> None:
    """Whole texts were compared pair by pair, character by character: 17 s for 14 pairs of 400,000 characters."""
    read_items: list[int] = []

    def runs(item: int) -> frozenset[int]:
        read_items.append(item)
        return frozenset({item % 5})

    pairs = [ClosestPair(i, i % 40, 0.004, 0.07) for i in range(120)]
    assert [pair.train for pair in distinct_first(pairs, range(40), runs)[:6]] == [0, 1, 2, 3, 4, 5]
    assert read_items == list(range(40))
    long = "".join(np.random.default_rng(0).choice(list("abcdefgh "), 200_000))
    assert 5_000 < len(text_runs(long)) <= MAX_RUNS and text_runs("short") == frozenset()
    assert not text_runs(f"x{long[90_000:92_000]}").isdisjoint(text_runs(long))


def test_words_promise_no_privacy() -> None:
    base = MemorizationTest(POINTS, SAMPLES, TRAIN, HELD, options=MemorizationOptions(controls=False)).run()
    every: list[CopyTestResult] = [
        replace(base, detected=outcome, method=method, detection_limit=limit, controls=controls)
        for outcome in (True, False)
        for method in METHODS
        for limit, controls in (
            (0.01, [PlantedControl("exact", 0.01, 1.0)]),
            (None, [PlantedControl("exact", 0.1, 0.2)]),
        )
    ]
    for copies in every:
        words = copy_verdict(copies).sentence.lower()
        assert words.endswith(".") and "private" not in words and "anonym" not in words
    assert "or more" in copy_verdict(replace(base, detection_limit=0.005, detected=False)).sentence


def test_nothing_to_test() -> None:
    with pytest.raises(ValueError, match="samples and training items"):
        MemorizationTest(POINTS, [], TRAIN, HELD).run()


def test_what_is_the_same_is_said_whatever_the_test_can_prove() -> None:
    single = MemorizationTest(POINTS, TRAIN[:1], TRAIN, HELD).run()
    assert not single.detected and single.identical == 1
    assert copy_verdict(single).sentence.startswith("1 of 1 sample is identical to a training item")
    assert "no time" not in copy_verdict(single).sentence and "are needed" in copy_verdict(single).sentence
    all_of_them = MemorizationTest(POINTS, TRAIN, TRAIN, []).run()
    assert all_of_them.identical == len(TRAIN) and result_json(all_of_them)["identical"] == len(TRAIN)
    assert MemorizationTest(POINTS, SAMPLES, TRAIN, HELD).run().identical == 0
