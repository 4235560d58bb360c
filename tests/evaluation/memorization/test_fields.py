"""Copies among rows of fields."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anew.evaluation.memorization.audit import audit
from anew.evaluation.memorization.fields import FieldDistance, records_type
from anew.evaluation.memorization.item_types import RECORDS
from anew.evaluation.metrics.row_formats import row_format

KINDS = ("tool", "doc", "lib", "game", "font")


def rows(n: int, seed: int) -> list[list[str]]:
    """A kind, two sizes, a short name and a long summary."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdefghiklmnoprst"), rng.integers(3, 9))) for _ in range(400)]
    return [
        [
            str(rng.choice(KINDS)),
            str(rng.integers(10, 5_000)),
            str(rng.integers(5, 3_000)),
            str(rng.choice(words)) + str(rng.integers(90)),
            " ".join(rng.choice(words, 20)),
        ]
        for _ in range(n)
    ]


def joined(table: list[list[str]]) -> list[str]:
    return [",".join(row) for row in table]


TRAIN, HELD_OUT, NEW = (rows(n, seed) for n, seed in ((400, 1), (200, 2), (200, 3)))


def test_rows_copied_but_for_their_longest_field_are_found() -> None:
    table = [[*TRAIN[i][:4], new[4]] if i < 40 else new for i, new in enumerate(NEW)]
    samples, train, held_out = map(joined, (table, TRAIN, HELD_OUT))
    assert audit(records_type(train), samples, train, held_out, controls=False).detected
    assert not audit(RECORDS, samples, train, held_out, controls=False).detected  # by edits alone they are far away


@pytest.mark.parametrize("seed", range(6))
def test_real_rows_are_not_accused(seed: int) -> None:
    train, held_out, samples = (joined(rows(n, 100 + 3 * seed + i)) for i, n in enumerate((300, 150, 150)))
    assert not audit(records_type(train), samples, train, held_out, seed=seed, controls=False).detected


def test_rows_of_frequent_values_are_not_accused() -> None:
    rng = np.random.default_rng(0)
    records = [
        ",".join(f"{name}{rng.integers(k)}" for name, k in zip("abcd", (4, 9, 5, 7), strict=True)) for _ in range(700)
    ]
    train, held_out, samples = records[:400], records[400:550], records[550:]
    result = audit(records_type(train), samples, train, held_out, controls=False)
    assert not result.detected and not result.repeats_too_often


def test_json_objects_are_compared_by_their_values() -> None:
    names = ("kind", "big", "small", "name", "about")

    def objects(table: list[list[str]], **form: object) -> list[str]:
        return [json.dumps(dict(zip(names, row, strict=True)), **form) for row in table]  # type: ignore[arg-type]

    train, held_out, new = (objects(table) for table in (TRAIN, HELD_OUT, NEW))
    respaced = objects(TRAIN, separators=(" ,  ", " : "), sort_keys=True)[:30]
    result = audit(records_type(train), [*respaced, *new[30:]], train, held_out, controls=False)
    assert result.detected and result.identical == 30


def test_a_malformed_row_is_far_from_all_others() -> None:
    records = [*joined(TRAIN), "broken", "broken"]
    form = row_format(records)
    assert form is not None
    distance = FieldDistance(records, np.arange(len(records)), form)
    item, away = distance.nearest(np.array([len(TRAIN)]), np.arange(len(TRAIN) + 2))
    assert item[0] >= 0 and away[0] == 1.0
    assert distance.nearest(np.array([0]), np.array([0]))[0][0] == -1  # items of its own group do not count


def test_other_records_are_compared_by_edits_alone() -> None:
    names = [row[3] for row in TRAIN]
    assert records_type(names) is RECORDS
    assert records_type([f"{name},{i}" for i, name in enumerate(names)]) is RECORDS  # only two fields
