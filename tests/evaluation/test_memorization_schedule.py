"""How much a memorization test compares in limited time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from anew.evaluation.inputs import RealItems, RealPool
from anew.evaluation.memorization_schedule import (
    FIRST_SIZE,
    MIN_EVIDENCE,
    PLANNED,
    ComparisonSize,
    SizeSchedule,
    comparisons,
    evidence,
    samples_needed,
)

QUERY_COST = 600
AVAILABLE = RealItems(train=3400, held_out=600)


def planned(
    seconds: float, fixed: float, pace: float, num_samples: int = 1000, available: RealItems = AVAILABLE
) -> list[ComparisonSize]:
    """Sizes of the memorization tests of a machine, until there is no time for another one."""
    schedule, spent, sizes = SizeSchedule(num_samples, QUERY_COST), 0.0, list[ComparisonSize]()
    size: ComparisonSize | None = schedule.size
    while size is not None:
        sizes.append(size)
        took = fixed + pace * comparisons(*size, QUERY_COST)
        spent += took
        schedule.add(size, took)
        size = schedule.next(seconds - spent, available, available.total)
    assert spent <= seconds or len(sizes) == 1
    return sizes


@pytest.mark.parametrize("fixed", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("seconds", [2.0, 5.0, 20.0])
def test_no_memorization_test_takes_more_than_the_time_left(seconds: float, fixed: float) -> None:
    for pace in (1e-7, 5e-7, 2.5e-6):
        sizes = planned(seconds, fixed, pace)
        assert sizes[0] == FIRST_SIZE
        evidences = [evidence(size, AVAILABLE) for size in sizes]
        assert all(later > earlier for earlier, later in pairwise(evidences))


def test_of_sizes_that_can_prove_anything_the_one_with_most_training_items_is_taken() -> None:
    schedule = SizeSchedule(1000, QUERY_COST)
    schedule.add(FIRST_SIZE, 0.1)
    size = schedule.next(5.0, AVAILABLE, AVAILABLE.total)
    assert size is not None and size.num_samples < 1000
    assert PLANNED * MIN_EVIDENCE <= 0.1 * evidence(size, AVAILABLE) <= 2.0 * MIN_EVIDENCE
    more_samples = SizeSchedule(1000, QUERY_COST)
    more_samples.add(FIRST_SIZE, 0.1)
    in_little_time = more_samples.next(0.7, AVAILABLE, AVAILABLE.total)  # nothing can be proven: most evidence
    assert in_little_time is not None and in_little_time.num_real < size.num_real
    assert 0.1 * evidence(in_little_time, AVAILABLE) < PLANNED * MIN_EVIDENCE
    assert planned(100.0, 0.1, 5e-7)[-1] == ComparisonSize(1000, 4000)
    assert planned(100.0, 0.1, 5e-7, num_samples=40)[-1] == ComparisonSize(40, 4000)


def test_reading_takes_of_the_time_too() -> None:
    reals = []
    for reading in (0.0, 1e-3):
        schedule = SizeSchedule(300, QUERY_COST)
        schedule.add(FIRST_SIZE, 0.2, reading)
        size = schedule.next(4.0, AVAILABLE, AVAILABLE.total)
        assert size is not None
        reals.append(size.num_real)
    assert reals[1] < reals[0] and reals[1] * 1e-3 < 4.0


def test_the_first_reading_of_few_items_says_little_of_later_ones() -> None:
    sizes = []
    for first in (0.0, 4e-4):
        schedule = SizeSchedule(1000)
        schedule.add(ComparisonSize(64, 128), 0.01, first)
        schedule.add(ComparisonSize(1000, 2_400), 0.26, 2e-5)
        sizes.append(schedule.next(3.0, RealItems(320_000, 35_000), 200_000))
    assert sizes[0] == sizes[1] is not None


def test_samples_that_are_needed_prove_copies_among_all_real_items() -> None:
    needed = samples_needed(AVAILABLE)
    assert 0.1 * evidence(ComparisonSize(needed, AVAILABLE.total), AVAILABLE) >= MIN_EVIDENCE
    assert samples_needed(RealItems(3400, 0)) > 0 == samples_needed(RealItems(0, 600))


def test_evidence_is_that_of_the_items_compared() -> None:
    items = list(range(4000))
    pool = RealPool(items[:3400], items[3400:], None, 3400)
    for n in (128, 1000, 2000, 4000):
        head = pool.head(n)
        assert AVAILABLE.split(n) == RealItems(len(head.train), len(head.held_out))
    assert evidence(ComparisonSize(1000, 1200), AVAILABLE) == pytest.approx(1000 * 600 / 3400 * 0.6931, rel=1e-3)
    assert evidence(ComparisonSize(1000, 700), RealItems(1400, 0)) == pytest.approx(500)
    assert evidence(ComparisonSize(1000, 0), AVAILABLE) == 0.0


def test_two_tests_of_one_size_say_nothing_of_what_is_fixed() -> None:
    schedule = SizeSchedule(64, QUERY_COST)
    for _ in range(2):  # memory held no more the second time
        schedule.add(FIRST_SIZE, 0.3)
    assert schedule.next(5.0, RealItems(64, 64), FIRST_SIZE.num_real) is None


def test_a_far_larger_memorization_test_comes_after_one_between() -> None:
    """17,127 proteins were to follow 64 in one step. That was not over in time, and 64 remained."""
    available, schedule = RealItems(17_127, 1_871), SizeSchedule(100, 20_000)
    schedule.add(FIRST_SIZE, 0.15, 4e-4, controls=False)
    middle = schedule.next(5.0, available, available.total)
    assert middle is not None and 500 < middle.num_real < 3_000
    schedule.add(middle, 0.7, 4e-4)
    size = schedule.next(4.0, available, available.total)
    assert size is not None and size.num_real > 3 * middle.num_real


def test_a_memorization_test_without_controls_has_fewer_comparisons() -> None:
    """Of 20 samples, controls were a quarter of what was counted, and the next memorization test took longer than planned."""
    with_controls, without = (comparisons(20, 128, 20_000, controls=controls) for controls in (True, False))
    assert with_controls > 1.3 * without


@pytest.mark.parametrize(("seconds", "least"), [(129.0, 4_000), (200.0, 7_000)])
def test_further_training_items_are_compared_where_no_further_held_out_items_are_there(
    seconds: float, least: int
) -> None:
    """591 of 8,375 training items were compared with 590 held-out ones, and 129 of 200 s were not used: evidence grew 1.4 times."""
    available = RealItems(8_375, 590)
    schedule = SizeSchedule(600)
    schedule.add(ComparisonSize(64, 128), 0.4)
    schedule.add(ComparisonSize(600, 1_181), 22.3)
    size = schedule.next(seconds, available, available.total)
    assert size is not None and size.num_samples == 600 and available.split(size.num_real).train > least
