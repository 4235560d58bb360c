"""Numbers that no record of the data has at their place."""

from __future__ import annotations

import numpy as np
import pytest

from anew.evaluation.metrics.records.number_order import number_scores
from anew.evaluation.metrics.records.number_ranges import OUT_OF_RANGE, NumberRange, ranges
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.reporting.grading import part_of
from anew.evaluation.score import Score


def line(rng: np.random.Generator, most_hour: int = 23) -> str:
    """A line of a log with the time of day, an address and a number with a long tail."""
    address = ".".join(str(part) for part in rng.integers(1, 255, 4))
    size = int(2_000 * rng.pareto(1.5))
    return f"{address} [{rng.integers(0, most_hour + 1):02}:{rng.integers(0, 60):02}] {size}"


def scored(samples: list[str]) -> Score:
    rng = np.random.default_rng(7)
    records = [line(rng) for _ in range(1_000)]
    return next(
        s for s in number_scores(RecordSets(samples, records[:300], [], records[300:], 0)) if s.spec is OUT_OF_RANGE
    )


@pytest.mark.parametrize("seed", range(5))
def test_real_records_are_in_range(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    score = scored([line(rng) for _ in range(300)])
    part = part_of(score)
    assert part is not None and part.grade == "good" and score.value < 0.02


def test_impossible_hours_are_out_of_range() -> None:
    rng = np.random.default_rng(1)
    score = scored([line(rng, 99) for _ in range(300)])
    part = part_of(score)
    assert part is not None and part.grade == "poor" and score.value == pytest.approx(0.74, abs=0.06)


def test_a_range_has_a_margin_and_a_place_needs_many_records() -> None:
    records = [{("a",): float(i % 21)} | ({("b",): 1.0} if i < 50 else {}) for i in range(400)]
    (limits,) = ranges(records)
    assert limits == NumberRange(("a",), 0.0, 20.0)
    assert [limits.excludes({("a",): value}) for value in (-2.1, -2.0, 22.0, 22.1)] == [True, False, False, True]
    assert not limits.excludes({("b",): 9.0})
