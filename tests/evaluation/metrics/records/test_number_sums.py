"""Numbers that follow from others of the same record."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anew.evaluation.metrics.records.number_order import number_scores, numbers_of
from anew.evaluation.metrics.records.number_sums import BROKEN_SUM, weighted_sums
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.row_formats import row_format
from anew.evaluation.reporting.grading import part_of
from anew.evaluation.score import Score


def creature(rng: np.random.Generator, error: int = 0) -> str:
    stats = {name: int(rng.integers(4, 30)) * 5 for name in ("hp", "attack", "speed")}
    return json.dumps({"name": f"c{rng.integers(900)}", "stats": stats, "total": sum(stats.values()) + error})


def bill(rng: np.random.Generator, error: float = 0.0) -> str:
    """The mean of two amounts, in cents: rounded, so within half of one."""
    a, b = rng.integers(100, 9000, 2) / 100.0
    return f"{rng.choice(['tea', 'rice'])};{a:.2f};{b:.2f};{(a + b) / 2.0 + 0.001 + error:.2f};{rng.integers(1, 5)}"


def celsius(rng: np.random.Generator, error: float = 0.0) -> str:
    degrees = float(rng.integers(-200, 400)) / 10.0
    return f"{degrees:.1f} C ({degrees * 1.8 + 32.0 + error:.2f} F) at station {rng.integers(100)}"


def scored(maker: object, error: float, n: int = 300) -> Score:
    rng = np.random.default_rng(0)
    make = maker if callable(maker) else None
    assert make is not None
    training, held_out = ([make(rng) for _ in range(size)] for size in (1_500, 300))
    samples = [make(rng, error) for _ in range(n)]
    return next(
        score for score in number_scores(RecordSets(samples, held_out, [], training, 0)) if score.spec is BROKEN_SUM
    )


@pytest.mark.parametrize(("maker", "error"), [(creature, 1), (bill, 0.05), (celsius, 0.5)])
def test_broken_sums_are_counted_and_real_records_have_none(maker: object, error: float) -> None:
    real, broken = part_of(scored(maker, 0)), part_of(scored(maker, error))
    assert real is not None and broken is not None and real.grade == "good" and broken.grade == "poor"
    assert real.score.value <= 0.01 and real.score.real_baseline == pytest.approx(0.0, abs=0.01)
    assert broken.score.value > 0.98


def equation(rng: np.random.Generator, error: int = 0) -> str:
    a, b, operation = int(rng.integers(2, 90)), int(rng.integers(2, 90)), rng.choice(["+", "-", "x"])
    return f"{a} {operation} {b} = {(a + b if operation == '+' else a - b if operation == '-' else a * b) + error}"


def parcel(rng: np.random.Generator, error: int = 0) -> str:
    """Lines of two shapes, with a rule each."""
    a, b = rng.integers(10, 900, 2)
    return f"{a} g in {b} bags: {a * b + error} g" if rng.random() < 0.5 else f"from {a} to {b}, {a - b + error} m down"


@pytest.mark.parametrize("maker", [equation, parcel])
def test_records_of_several_forms_follow_the_rule_of_their_own(maker: object) -> None:
    """Equations that were all wrong by one were close to the data: no rule holds for sums and products alike."""
    real, broken = part_of(scored(maker, 0)), part_of(scored(maker, 1))
    assert real is not None and broken is not None and (real.grade, broken.grade) == ("good", "poor")


def test_the_weights_of_a_sum_are_simple_even_if_some_records_are_wrong() -> None:
    rng = np.random.default_rng(0)
    records = [creature(rng, 40 * (i in (3, 400))) for i in range(1_200)]
    form = row_format(records)
    assert form is not None
    (relation,) = weighted_sums([numbers_of(record, form) for record in records])
    assert relation.weights == (1.0, 1.0, 1.0) and relation.constant == 0.0 and relation.slack < 0.5


def test_numbers_that_only_go_together_follow_from_none() -> None:
    rng = np.random.default_rng(0)
    records = []
    for _ in range(1_500):
        width = int(rng.integers(10, 90))
        records.append(f"{width},{2 * width + int(rng.integers(-2, 3))},{int(rng.integers(2) * 1)},7")
    form = row_format(records)
    assert not list(weighted_sums([numbers_of(record, form) for record in records]))
    day = [
        {(0,): float(i % 5), (1,): float(i % 5 * 1000 + rng.integers(0, 900)), (2,): float(rng.integers(90))}
        for i in range(900)
    ]
    assert not list(weighted_sums(day))  # half of the first is 500 of the second
    assert not list(weighted_sums([])) and not list(weighted_sums([{(0,): 1.0, (1,): 2.0}] * 100))
