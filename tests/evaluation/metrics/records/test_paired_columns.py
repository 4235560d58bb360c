"""Two values that no row of the data has together."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anew.evaluation.metrics.records.paired_columns import unknown_pair_scores
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.score import Score

CITIES = [f"City{chr(65 + i)}" for i in range(26)]
STATES = ["North", "South", "East", "West"]
N = 300


def visits(n: int, seed: int, misplaced: float = 0.0) -> list[str]:
    """A city, its state, a size that has nothing to do with them, and a number."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, len(CITIES), n)
    states = np.where(rng.random(n) < misplaced, places + 1, places) % 4
    sizes = rng.choice(["S", "M", "L"], n)
    return [
        f"{CITIES[a]},{STATES[b]},{size},{rng.random():.3f}" for a, b, size in zip(places, states, sizes, strict=True)
    ]


def scores(samples: list[str], held_out: list[str], training: list[str]) -> list[Score]:
    return list(unknown_pair_scores(RecordSets(samples, held_out, training[:N], training, 0)))


@pytest.mark.parametrize("is_json", [False, True])
def test_cities_in_other_states_are_counted_and_named(is_json: bool) -> None:
    def records(n: int, seed: int, misplaced: float = 0.0) -> list[str]:
        names = ("city", "state", "size", "share")
        rows = visits(n, seed, misplaced)
        return [json.dumps(dict(zip(names, row.split(","), strict=True))) for row in rows] if is_json else rows

    training, held_out = records(3_000, 0), records(N, 1)
    (real,) = scores(records(N, 2), held_out, training)
    assert real.value == 0.0 and real.real_baseline == 0.0 and not real.note
    (wrong,) = scores(records(N, 2, 0.2), held_out, training)
    assert 0.1 < wrong.value < 0.3 and wrong.real_baseline == 0.0
    columns = "the field 'city' and the field 'state'" if is_json else "field 1 and field 2"
    assert wrong.note.startswith("such as 'City") and wrong.note.endswith(f"in {columns}")
    assert wrong.source == f"well-formed rows; values go together in {columns}"


def test_columns_that_are_independent_and_other_records_have_no_score() -> None:
    training = [row.split(",", 2)[2] for row in visits(3_000, 0)]
    assert not scores(training[:N], training[N : 2 * N], training)
    assert not scores(["a"] * 60, ["b"] * 60, ["c"] * 600)


def test_a_value_that_does_not_exist_makes_no_pair() -> None:
    training = visits(3_000, 0)
    (score,) = scores([f"x{row}" for row in visits(N, 2)], visits(N, 1), training)
    assert score.value == 0.0


def test_rare_pairs_of_rows_that_were_not_read_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.evaluation.metrics.records.record_sets.MAX_READ", 3_000)
    rare = [f"CityA,East,S,0.{i}" for i in range(10, 20)]
    training = [*visits(6_000, 0), *rare]
    assert len({*RecordSets([], [], [], training, 0).known} & {*rare}) < 10
    (score,) = scores([*visits(N, 2), *rare, *["CityA,West,S,0.1"] * 10], visits(N, 1), training)
    assert score.value == 10 / (N + 20) and "'West'" in score.note
