"""Memorization tests within the time of an evaluation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from anew.evaluation.features.kmers import bigrams
from anew.evaluation.inputs import EvaluationInputs, RealItems, RealPool
from anew.evaluation.memorization.copy_verdict import copy_verdict, result_json
from anew.evaluation.memorization.item_types import IMAGES
from anew.evaluation.memorization.result import CopyTestResult
from anew.evaluation.memorization_schedule import FIRST_SIZE, MIDDLE_SHARE, ComparisonSize, SizeSchedule, comparisons
from anew.evaluation.modalities.image import EXPORT as IMAGE
from anew.evaluation.modalities.text import EXPORT as TEXT
from anew.evaluation.timed_memorization import MemorizationSeries
from reporters import Lines
from small_pools import HELD, KEPT, PROSE, TRAIN, pictures, pool_of


@pytest.mark.parametrize("copied", [True, False])
def test_a_copycat_of_images_fails_and_another_generator_passes(
    make_inputs: Callable[..., EvaluationInputs], copied: bool
) -> None:
    samples = TRAIN[:200] if copied else pictures(200, 2)
    evaluation = IMAGE(make_inputs(TRAIN, HELD, samples, pool=pool_of(TRAIN, HELD)))
    (result,) = evaluation.copy_tests()
    assert result.detected == copied and result.method == "scan"
    assert result.scope == IMAGES.scope and "turned" in result.scope
    scores = {s.name: s for s in result.scores()}
    assert scores["copied_share"].value == pytest.approx(float(copied), abs=0.1)
    assert (scores["novelty_auc"].high < 0.3) == copied
    assert (result.detection_limit is None) == copied  # where copies are found, nobody asks what would have been


@pytest.mark.parametrize("copied", [True, False])
def test_a_copycat_of_texts_fails_and_bigrams_pass(make_inputs: Callable[..., EvaluationInputs], copied: bool) -> None:
    samples = PROSE if copied else bigrams(PROSE, 100, np.random.default_rng(0))
    evaluation = TEXT(make_inputs(PROSE, KEPT, samples, pool=pool_of(PROSE, KEPT)))
    evaluation.announcements.reporter = lines = Lines()
    (result,) = evaluation.copy_tests()
    assert result.detected == copied and result.share == pytest.approx(float(copied), abs=0.1)
    assert lines.lines[0] == "  reading the real items that samples are compared with"


def test_empty_samples_are_not_looked_at(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """A training whose samples were all empty ended in a traceback."""
    evaluation = TEXT(make_inputs(PROSE, KEPT, [""] * 8, pool=pool_of(PROSE, KEPT)))
    assert [list(evaluation.copy_tests()), list(evaluation.copy_tests())] == [[], []]
    assert [note.sentence for note in evaluation.notes] == ["Not measured: the copying test (all samples are empty)."]
    evaluation = TEXT(make_inputs(PROSE, KEPT, ["", PROSE[0]], pool=pool_of(PROSE, KEPT)))
    assert evaluation.run_memorization_test(pool_of(PROSE, KEPT)(0), None, 1).samples > 0


def test_many_samples_are_all_compared_with_as_many_more_real_items(
    make_inputs: Callable[..., EvaluationInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-n 100000` compared 10,000 of them with 200,000 real items. A budget decides by itself how many of each it has time for."""
    compared: list[tuple[int, int]] = []

    def run_memorization_test(self: Any, pool: RealPool, max_count: int | None, num_samples: int) -> CopyTestResult:
        compared.append((num_samples, len(requested)))
        return IMAGE_TEST(self, pool, max_count, 20, controls=False)

    IMAGE_TEST = IMAGE.run_memorization_test
    monkeypatch.setattr(IMAGE, "run_memorization_test", run_memorization_test)
    requested: list[int] = []

    def pool_for(n: int) -> RealPool:
        requested.append(n)
        return pool_of(TRAIN, HELD)(n)

    for n in (100, 12_000):
        assert len(list(IMAGE(make_inputs(TRAIN, HELD, TRAIN[:1] * n, pool=pool_for)).copy_tests())) == 1
    assert compared == [(100, 1), (12_000, 2)] and requested == [200_000, 1_200_000]


def test_in_draws_a_sample_that_is_a_known_record_is_not_counted(make_inputs: Callable[..., EvaluationInputs]) -> None:
    names = [f"name {i}" for i in np.random.default_rng(0).geometric(0.1, 900)]
    train, held_out, samples = names[:500], names[500:700], names[700:]
    for are_draws in (False, True):
        pool = replace(pool_of(train, held_out)(0), are_draws=are_draws)
        inputs = make_inputs(train, held_out, samples, packed=False, pool=lambda n, pool=pool: pool)
        (result,) = TEXT(inputs).copy_tests()
        assert not result.detected and ("identical" in copy_verdict(result).sentence) != are_draws
        assert (result_json(result)["identical"] is None) == are_draws


@pytest.mark.parametrize(("rate", "num_train", "num_controls"), [(14e6, 242, 2), (35e6, 964, 2), (200e6, 4000, 6)])
def test_in_little_time_few_items_are_looked_at_and_it_is_said(
    make_inputs: Callable[..., EvaluationInputs],
    monkeypatch: pytest.MonkeyPatch,
    rate: float,
    num_train: int,
    num_controls: int,
) -> None:
    """rate: comparisons a second."""
    clock, run_memorization_test = [0.0], IMAGE.run_memorization_test

    def timed_test(self: Any, pool: RealPool, max_items: int | None, num_samples: int, **more: bool) -> CopyTestResult:
        result = run_memorization_test(self, pool, max_items, num_samples, **more)
        num_real, controls = result.train + result.held_out, more["controls"]
        clock[0] += comparisons(num_samples, num_real, self.item_type.query_cost, controls=controls) / rate
        return result

    monkeypatch.setattr(IMAGE, "run_memorization_test", timed_test)
    monkeypatch.setattr("anew.evaluation.inputs.time.monotonic", lambda: clock[0])
    train, held_out = pictures(4000, 3), pictures(2500, 4)
    evaluation = IMAGE(make_inputs(train, held_out, pictures(100, 5), pool=pool_of(train, held_out), seconds=0.4))
    result = list(evaluation.copy_tests())[-1]
    assert (result.train, len(result.controls)) == (num_train, num_controls) and result.n_train_total == 4000
    if num_train == 4000:
        assert (
            not evaluation.notes
            and copy_verdict(result).sentence
            == "No copies found; 5% copies or more, exact or lightly changed, would have been noticed."
        )
        return
    (note,) = [note.sentence for note in evaluation.notes]
    assert f"{num_train} of 4,000 training items" in note
    assert f"only {num_train} of 4,000 training items were compared in the time given" in copy_verdict(result).sentence


def test_what_memory_does_not_hold_is_not_looked_at_twice(make_inputs: Callable[..., EvaluationInputs]) -> None:
    requested: list[int] = []

    def capped(n: int) -> RealPool:
        requested.append(n)
        return RealPool(TRAIN[:60], HELD[:40], None, 5000, True)  # however many there is time for

    evaluation = IMAGE(make_inputs(TRAIN, HELD, pictures(100, 5), pool=capped, seconds=60.0))
    results = list(evaluation.copy_tests())
    assert [result.samples for result in results] == [64, 100, 100] and results[-1].n_train_total == 5000
    assert ["thumbnails" in result.scope for result in results] == [True, True, False]
    assert requested[0] == 128 and len(requested) <= 2


def test_the_first_memorization_test_is_of_few_and_its_time_says_what_the_next_may_look_at(
    make_inputs: Callable[..., EvaluationInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, tried = [0.0], list[tuple[int, int]]()

    def run_memorization_test(self: Any, pool: RealPool, max_count: int | None, num_samples: int, **more: bool) -> Any:
        real = min(max_count or self.pool_size(pool), self.pool_size(pool))
        tried.append((num_samples, real))
        assert more == {"brief": True, "controls": tried[-1] != (64, 128)}  # this one is for its pace
        clock[0] += comparisons(num_samples, real, self.item_type.query_cost) / 200_000
        return CopyTestResult(
            detected=False,
            p=1.0,
            share=0.0,
            low=0.0,
            detection_limit=None,
            method="scan",
            pairs=[],
            distance="pixels",
            samples=num_samples,
            train=len(pool.head(real).train),
            held_out=len(pool.head(real).held_out),
            n_train_total=4000,
        )

    monkeypatch.setattr(IMAGE, "run_memorization_test", run_memorization_test)
    monkeypatch.setattr("anew.evaluation.inputs.time.monotonic", lambda: clock[0])
    train, held_out = pictures(4000, 3), pictures(2500, 4)
    samples = pictures(1000, 5)
    for seconds, is_enough in ((7.0, False), (16.0, False), (2000.0, True)):
        clock[0] = 0.0
        tried.clear()
        evaluation = IMAGE(make_inputs(train, held_out, samples, pool=pool_of(train, held_out), seconds=seconds))
        results = list(evaluation.copy_tests())
        assert {result.limited_by for result in results if result.train < 4000} <= {"time"}
        assert tried[0] == (64, 128) and clock[0] < seconds
        assert (tried[-1] == (1000, 6500)) == is_enough == (not evaluation.notes)
        assert clock[0] > 0.2 * seconds or is_enough
        assert not any("of 4,000 training items" in note.sentence for note in evaluation.notes) or tried[-1][1] < 6500


def test_memorization_tests_go_on_where_those_of_a_shorter_time_ended(
    make_inputs: Callable[..., EvaluationInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the time that was left after a report, the first small memorization test was run once more, and the items were read again."""
    clock, tried, read_counts = [0.0], list[tuple[int, int]](), list[int]()
    run_memorization_test = IMAGE.run_memorization_test

    def timed_test(self: Any, pool: RealPool, max_items: int | None, num_samples: int, **more: bool) -> CopyTestResult:
        result = run_memorization_test(self, pool, max_items, num_samples, **more)
        tried.append((num_samples, result.train + result.held_out))
        clock[0] += comparisons(*tried[-1], self.item_type.query_cost, controls=more["controls"]) / 8e6
        return result

    def pool(n: int) -> RealPool:
        read_counts.append(n)
        return pool_of(train, held_out)(n)

    monkeypatch.setattr(IMAGE, "run_memorization_test", timed_test)
    monkeypatch.setattr("anew.evaluation.inputs.time.monotonic", lambda: clock[0])
    train, held_out = pictures(1_000, 3), pictures(600, 4)
    inputs = make_inputs(train, held_out, pictures(100, 5), pool=pool, seconds=0.6)
    first = IMAGE(inputs)
    assert len(list(first.copy_tests())) > 1
    num_tried, num_read = len(tried), len(read_counts)
    further = IMAGE(replace(inputs, seconds=6.0))
    further.continue_tests(first)
    results = list(further.copy_tests())
    assert tried[num_tried] > max(tried[:num_tried]) and len(read_counts) == num_read
    # Once all are compared as thumbnails, they are compared thoroughly, and a first memorization test says how long that takes.
    assert tried[num_tried:] == [(100, 1600), (64, 128), (100, 1600)] and "thumbnails" not in results[-1].scope
    assert not further.may_compare_thoroughly
    coarse = IMAGE(replace(inputs, seconds=1.5))
    latest = list(coarse.copy_tests())[-1]
    assert latest.is_coarse and "thumbnails" in latest.scope and coarse.may_compare_thoroughly
    with_more = IMAGE(replace(inputs, samples=pictures(140, 5), seconds=1.5))
    with_more.continue_tests(coarse)
    (*_, last) = with_more.copy_tests()
    assert last.samples == 140 and "thumbnails" in last.scope
    no_time = IMAGE(replace(inputs, seconds=0.01))
    no_time.continue_tests(first)
    assert list(no_time.copy_tests()) == []


def test_a_thorough_memorization_test_of_fewer_items_does_not_replace_a_coarse_one_of_all(
    make_inputs: Callable[..., EvaluationInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer samples than a first memorization test has, the thorough one of 128 items was taken for a result."""
    clock, run_memorization_test = [0.0], IMAGE.run_memorization_test

    def timed_test(self: Any, pool: RealPool, max_items: int | None, num_samples: int, **more: bool) -> CopyTestResult:
        result = run_memorization_test(self, pool, max_items, num_samples, **more)
        clock[0] += 0.1 if "thumbnails" in result.scope else 2.0
        return result

    monkeypatch.setattr(IMAGE, "run_memorization_test", timed_test)
    monkeypatch.setattr("anew.evaluation.inputs.time.monotonic", lambda: clock[0])
    train, held_out = pictures(600, 3), pictures(300, 4)
    evaluation = IMAGE(make_inputs(train, held_out, pictures(40, 5), pool=pool_of(train, held_out), seconds=5.0))
    result = list(evaluation.copy_tests())[-1]
    assert (result.train, result.held_out) == (600, 300) and "thumbnails" in result.scope
    assert evaluation.may_compare_thoroughly


def test_all_are_compared_thoroughly_if_there_is_time_however_many_they_are() -> None:
    """Of digits 18 s were left for a test of 7 s, but a smaller one was planned before it, which says nothing after a coarse one."""
    schedule = SizeSchedule(600)
    series = MemorizationSeries[Any](schedule, available=RealItems(4_400, 600), max_real=5_000, num_coarse=600)
    schedule.add(FIRST_SIZE, 0.1)
    seconds = schedule.seconds(series.whole)
    smaller = copy.deepcopy(schedule).next(2.0 * seconds, series.available, series.max_real)
    assert smaller is not None and smaller != series.whole
    assert series.next(2.0 * seconds) == series.whole
    schedule.size = FIRST_SIZE
    # The first time is mostly fixed, so a second test in a quarter of the time tells
    trial = series.next(1.05 * seconds)
    assert trial is not None and FIRST_SIZE < trial < series.whole
    assert schedule.seconds(trial) <= MIDDLE_SHARE * 1.05 * seconds
    slow, fast = copy.deepcopy(series), copy.deepcopy(series)
    slow.add(trial, schedule.seconds(trial), 5_000, controls=True)
    assert slow.next(0.8 * seconds) is None
    fast.add(trial, 0.3 * schedule.seconds(trial), 5_000, controls=True)
    assert fast.next(0.8 * seconds) == series.whole


def test_what_the_copying_test_compared_in_full_is_not_said_to_be_missing(
    make_inputs: Callable[..., EvaluationInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    run_memorization_test = IMAGE.run_memorization_test

    def slow_test(self: Any, pool: RealPool, max_count: int | None, num_samples: int, **more: bool) -> Any:
        clock[0] += 3.0
        return run_memorization_test(self, pool, max_count, num_samples, **more)

    monkeypatch.setattr(IMAGE, "run_memorization_test", slow_test)
    monkeypatch.setattr("anew.evaluation.inputs.time.monotonic", lambda: clock[0])
    train, held_out = pictures(60, 3), pictures(40, 4)
    evaluation = IMAGE(make_inputs(train, held_out, pictures(200, 5), pool=pool_of(train, held_out), seconds=6.0))
    assert len(list(evaluation.copy_tests())) == 1
    (note,) = [note.sentence for note in evaluation.notes]
    assert note == "Not measured: copies among the other samples (there was time to compare only 64 of 200 samples)."


def test_a_hundredth_of_the_training_items_that_was_not_compared_is_no_news(
    make_inputs: Callable[..., EvaluationInputs],
) -> None:
    (result,) = IMAGE(make_inputs(TRAIN, HELD, pictures(40, 2), pool=pool_of(TRAIN, HELD))).copy_tests()
    for num_compared, num_notes in ((170, 0), (160, 1)):
        evaluation = IMAGE(make_inputs(TRAIN, HELD, pictures(40, 2), pool=pool_of(TRAIN, HELD)))
        part = replace(result, train=num_compared, n_train_total=171)
        evaluation._note_incomplete(part, ComparisonSize(40, 300), 40)
        assert len(evaluation.notes) == num_notes


def test_the_closest_pairs_say_what_their_distances_are_of(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """The page says once what is usual, since an item with identical twins is not .39 from the nearest other one."""
    pair = IMAGE(make_inputs(TRAIN, HELD, TRAIN[:1])).pair_view(TRAIN[0], TRAIN[1], 0.07, 0.39, "pixels")
    assert pair.close and pair.caption == "distance 0.07 (usual: 0.39)"


def test_held_out_items_of_another_kind_prove_nothing(make_inputs: Callable[..., EvaluationInputs]) -> None:
    other = [255 - np.roll(x, 2, 0) // 2 for x in HELD]
    evaluation = IMAGE(make_inputs(TRAIN, other, pictures(200, 2), pool=pool_of(TRAIN, other, random=False)))
    (result,) = evaluation.copy_tests()
    assert (
        result.method == "shifted"
        and not result.detected
        and "not to be a random draw" in copy_verdict(result).sentence
    )
    random = IMAGE(make_inputs(TRAIN, HELD, TRAIN[:100], pool=pool_of(TRAIN, HELD, random=False)))
    assert next(iter(random.copy_tests())).method == "scan"


def test_recordings_that_were_held_out_whole_are_the_reason_given(make_inputs: Callable[..., EvaluationInputs]) -> None:
    """The user gave all items in one folder, so no sentence asks for that."""
    other = [255 - np.roll(x, 2, 0) // 2 for x in HELD]
    pool = replace(pool_of(TRAIN, other, random=False)(0), held_out_together=True)
    (result,) = IMAGE(make_inputs(TRAIN, other, pictures(200, 2), pool=lambda n: pool)).copy_tests()
    assert (
        result.method == "shifted"
        and "whole files" in copy_verdict(result).sentence
        and "one file" in copy_verdict(result).clause
    )
    assert "random draw" not in copy_verdict(result).sentence
