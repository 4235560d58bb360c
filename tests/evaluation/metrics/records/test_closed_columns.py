"""Values that no row of the data has, in columns whose values recur."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anew.evaluation.metrics.records.closed_columns import closed_columns, unknown_value_scores
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.row_formats import row_format
from anew.evaluation.score import Score

STATES = [f"State{chr(65 + i)}" for i in range(26)]
N = 300


def visits(n: int, seed: int, misspelt: float = 0.0) -> list[str]:
    """A state, a name that hardly recurs, and a number."""
    rng = np.random.default_rng(seed)
    states = [f"{state}x" if rng.random() < misspelt else state for state in rng.choice(STATES, n)]
    return [f"{state},Person {int(rng.integers(10**6))},{rng.random():.3f}" for state in states]


def scores(samples: list[str], held_out: list[str], training: list[str]) -> list[Score]:
    return list(unknown_value_scores(RecordSets(samples, held_out, training[:N], training, 0)))


def test_only_columns_whose_values_recur_are_closed() -> None:
    training = visits(3_000, 0)
    form = row_format(training)
    assert form is not None
    rows = [fields for record in training if (fields := form.fields(record))]
    assert [column.number for column in closed_columns(form, rows)] == [0]


@pytest.mark.parametrize("is_json", [False, True])
def test_values_that_do_not_exist_are_counted_and_named(is_json: bool) -> None:
    def records(n: int, seed: int, misspelt: float = 0.0) -> list[str]:
        rows = visits(n, seed, misspelt)
        names = ("state", "person", "share")
        return [json.dumps(dict(zip(names, row.split(","), strict=True))) for row in rows] if is_json else rows

    training, held_out = records(3_000, 0), records(N, 1)
    (real,) = scores(records(N, 2), held_out, training)
    assert real.value == 0.0 and real.real_baseline == 0.0 and not real.note
    (wrong,) = scores(records(N, 2, 0.2), held_out, training)
    assert 0.1 < wrong.value < 0.3 and wrong.real_baseline == 0.0
    assert wrong.note.startswith("such as 'State") and "Person" not in wrong.note


def test_rows_without_such_columns_and_other_records_have_no_score() -> None:
    training = [record.partition(",")[2] for record in visits(3_000, 0)]
    assert not scores(training[:N], training[N : 2 * N], training)
    assert not scores(["a"] * 60, ["b"] * 60, ["c"] * 600)


def test_rare_values_of_rows_that_were_not_read_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.evaluation.metrics.records.record_sets.MAX_READ", 3_000)
    training = [*visits(6_000, 0), *(f"Rare{i},Person {i},0.5" for i in range(10))]
    samples = [
        *visits(N, 2),
        *(f"Rare{i},Person 1,0.5" for i in range(10)),
        *(f"Wrong{i},Person 1,0.5" for i in range(10)),
    ]
    (score,) = scores(samples, visits(N, 1), training)
    assert score.value == 10 / len(samples) and score.note.startswith("such as 'Wrong")
    (missing,) = scores([",Person 1,0.5"] * N, visits(N, 1), training)
    assert missing.note == "such as no value"


def test_rare_values_of_rows_that_were_not_read_are_known_though_they_are_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anew.evaluation.metrics.records.record_sets.MAX_READ", 3_000)

    def records(states: list[str]) -> list[str]:
        return [json.dumps({"state": state, "share": 0.5}) for state in states]

    unread = [f"Québec {i}" for i in range(20)]
    training = records([STATES[i % 26] for i in range(6_000)] + unread)
    known = RecordSets([], [], [], training, 0).known
    assert len(known) == 3_000 and not {*records(unread)} <= {*known}
    (score,) = scores(records([*STATES * 5, *unread]), records(STATES * 5), training)
    assert score.value == 0.0 and not score.note
