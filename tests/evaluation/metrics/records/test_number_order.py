"""Numbers that always stand in one order, in any place of a record."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from anew.evaluation.metrics.records.number_order import (
    BROKEN_ORDER,
    MIN_ORDER_BROKEN_BY_CHANCE,
    Order,
    number_scores,
    numbers_of,
    orders,
)
from anew.evaluation.metrics.records.number_ranges import MAX_BROKEN
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.reporting.grading import part_of
from anew.evaluation.score import Score

Maker = Callable[[np.random.Generator], tuple[str, str]]  # a record, and the same with two numbers swapped


def weather(rng: np.random.Generator) -> tuple[str, str]:
    warm = int(rng.integers(2, 30))
    dew = int(rng.integers(0, warm))
    head, tail = f"LEMD {rng.integers(0, 360):03}{rng.integers(3, 30):02}KT", f"Q{rng.integers(990, 1030)}"
    cloud = f"FEW{rng.integers(10, 99):03} " * int(rng.integers(0, 2))
    return f"{head} {cloud}{warm:02}/{dew:02} {tail}", f"{head} {cloud}{dew:02}/{warm:02} {tail}"


def rows(rng: np.random.Generator) -> tuple[str, str]:
    whole = rng.uniform(4.0, 9.0)
    part = whole * rng.uniform(0.3, 0.9)
    flower = rng.choice(["setosa", "virginica"])
    return f"{whole:.2f};{part:.2f};{flower}", f"{part:.2f};{whole:.2f};{flower}"


def boxes(rng: np.random.Generator) -> tuple[str, str]:
    left, width = int(rng.integers(0, 500)), int(rng.integers(1, 300))
    right = left + width
    return f'<rect x1="{left}" x2="{right}"/>', f'<rect x1="{right}" x2="{left}"/>'


def intervals(rng: np.random.Generator) -> tuple[str, str]:
    begin = int(rng.integers(0, 90))
    end = begin + int(rng.integers(1, 30))
    return f"pages {begin}-{end} of {rng.integers(1, 9)}", f"pages {end}-{begin} of {rng.integers(1, 9)}"


def scored(maker: Maker, share: float, n: int = 300) -> Score:
    rng = np.random.default_rng(0)
    pairs = [maker(rng) for _ in range(2_000)]
    held_out, training = [pair[0] for pair in pairs[:300]], [pair[0] for pair in pairs[300:]]
    samples = [maker(rng)[int(i < share * n)] for i in range(n)]
    return next(
        score for score in number_scores(RecordSets(samples, held_out, [], training, 0)) if score.spec is BROKEN_ORDER
    )


@pytest.mark.parametrize("maker", [weather, rows, boxes, intervals])
def test_swapped_numbers_are_counted_and_real_records_pass(maker: Maker) -> None:
    grades = []
    for share in (0.0, 0.1, 0.3, 1.0):
        score = scored(maker, share)
        part = part_of(score)
        assert part is not None and score.value == pytest.approx(share, abs=0.02) and score.real_baseline == 0.0
        grades.append(part.grade)
    assert grades == ["good", "fair", "poor", "poor"]


def test_numbers_without_an_order_of_their_own_have_no_figure() -> None:
    rng = np.random.default_rng(0)
    free = [f"{a} and {b}" for a, b in rng.integers(0, 99, (1_000, 2))]
    dates = [f"{rng.integers(1950, 2024)}-{rng.integers(1, 13):02}" for _ in range(1_000)]  # a year is no month
    names = ["".join(rng.choice(list("abcdef"), 6)) for _ in range(1_000)]
    for records in (free, dates, names, []):
        scores = number_scores(RecordSets(records[:100], records[100:200], [], records[200:], 0))
        assert BROKEN_ORDER not in [score.spec for score in scores]


def test_wrong_records_of_the_data_are_its_baseline() -> None:
    rng = np.random.default_rng(0)
    pairs = [boxes(rng) for _ in range(2_000)]
    training = [pair[int(i < 2)] for i, pair in enumerate(pairs[400:])]
    held_out = [pair[int(i < 20)] for i, pair in enumerate(pairs[:200])]
    score = next(number_scores(RecordSets(held_out, held_out, [], training, 0)))
    assert score.spec is BROKEN_ORDER
    assert score.value == score.real_baseline == 0.1


def test_places_of_numbers() -> None:
    assert numbers_of("a=-3 b=4.5 a=7", None) == {("a=0", 0, 1, 0): -3.0, ("b=0", 0, 1, 0): 4.5, ("a=0", 1, 1, 0): 7.0}
    assert numbers_of("2024-07-12 8", None) == {
        ("0-0-0", 0, 3, 0): 2024.0,
        ("0-0-0", 0, 3, 1): 7.0,
        ("0-0-0", 0, 3, 2): 12.0,
        ("0", 0): 8.0,
    }


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_orders_are_those_of_their_definition(gaps: float) -> None:
    rng = np.random.default_rng(0)
    steps = rng.exponential(size=(1_000, 12)) * rng.choice([0.01, 1.0], size=12)
    table = np.where(rng.random((1_000, 1)) < 0.001, -1.0, 1.0) * np.cumsum(steps, axis=1)
    records = [
        {("column", i): float(value) for i, value in enumerate(row) if is_there[i]}
        for row, is_there in zip(table, rng.random(table.shape) >= gaps, strict=True)
    ]

    def is_order(i: int, j: int) -> bool:
        pairs = [
            (row[("column", i)], row[("column", j)]) for row in records if {("column", i), ("column", j)} <= set(row)
        ]
        low, high = np.array(pairs).T
        broken_by_chance = float((low[:, None] > high).mean())
        return float((low > high).mean()) <= MAX_BROKEN and broken_by_chance >= MIN_ORDER_BROKEN_BY_CHANCE

    expected = {(i, j) for i in range(12) for j in range(12) if i != j and is_order(i, j)}
    assert 10 < len(expected) < 66
    assert set(orders(records)) == {Order(("column", i), ("column", j)) for i, j in expected}
