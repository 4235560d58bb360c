"""Babble in lists."""

from __future__ import annotations

import random

import pytest

from anew.evaluation.metrics.records.odd_records import MIN_RECORDS, odd_scores
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.reporting.grading import grade_by_question
from anew.evaluation.score import Score

SYLLABLES = ["ka", "ro", "min", "tel", "sa", "vor", "li", "den", "bru", "est", "an", "or"]


def records(n: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))) for _ in range(n)]


def shuffled(texts: list[str], every: int) -> list[str]:
    """Every so many-th with its letters in another order."""
    rng = random.Random(0)
    return ["".join(rng.sample(text, len(text))) if i % every == 0 else text for i, text in enumerate(texts)]


def score(samples: list[str]) -> Score:
    train = records(300, 2)
    (result,) = odd_scores(RecordSets(samples, records(300, 1), train, [*train, *records(1200, 3)], 0))
    return result


def test_shuffled_letters_are_odd_and_real_records_are_not() -> None:
    real, babble = score(records(300, 4)), score(shuffled(records(300, 4), 1))
    assert real.value < 0.1 and abs((real.real_baseline or 0.0) - 0.05) < 0.04
    assert babble.value > 0.5 and babble.low is not None and babble.low > 0.4


@pytest.mark.parametrize(("every", "grade"), [(1, "poor"), (5, "fair")])
def test_babble_is_no_yes(every: int, grade: str) -> None:
    assert grade_by_question([score(shuffled(records(300, 4), every))])["closeness"].grade == grade


def test_few_real_records_are_not_held_up() -> None:
    assert "closeness" not in grade_by_question([score(records(300, 4))])


def test_combinations_of_few_records_are_not_counted() -> None:
    train = records(MIN_RECORDS, 2)
    assert not list(odd_scores(RecordSets(train, records(60, 1), train, [*train, *records(20, 3)], 0)))


@pytest.mark.parametrize("copies", [1, 2])
def test_of_a_short_list_fewer_records_are_judged(copies: int) -> None:
    """As many as leave enough others to count combinations in, the copies of a record with it."""
    distinct = list(dict.fromkeys(records(600, 2)))
    train, held_out = distinct[:220], distinct[220:440]
    real, babble = (
        next(odd_scores(RecordSets(part, held_out, train, copies * train, 0)))
        for part in (records(220, 4), shuffled(records(220, 4), 1))
    )
    assert real.n == babble.n == (120 if copies == 1 else 170)
    assert grade_by_question([babble])["closeness"].grade == "poor" and "closeness" not in grade_by_question([real])


def test_of_draws_only_as_many_copies_are_left_out_as_the_baseline_has() -> None:
    different = records(20, 6)
    train, held_out, more = (random.Random(seed).choices(different, k=300) for seed in range(3))
    (result,) = odd_scores(RecordSets(shuffled(held_out, 1), held_out, train, [*train, *more], 0))
    assert result.value > 0.5 and (result.real_baseline or 0.0) < 0.1 and "in 300 training records" in result.source


def test_records_of_the_baseline_are_not_counted() -> None:
    train = records(300, 2)
    (alone,) = odd_scores(RecordSets(train, records(300, 1), train, [*train, *records(1200, 3)], 0))
    assert alone.value == alone.real_baseline and alone.value > 0.01
