"""Rows of fields in lists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest

from anew.evaluation.metrics.duplicate_groups import equal_keys
from anew.evaluation.metrics.records.delimited import row_scores
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.row_formats import Delimited, JsonObjects, json_fields, row_format, split
from anew.evaluation.reporting.grading import grade_by_question
from anew.evaluation.score import Score

N = 400


def rows(n: int, seed: int) -> list[str]:
    """A radius and a perimeter that belongs to it, a colour, and a weight that is missing in one row of ten."""
    rng = np.random.default_rng(seed)
    radius = rng.gamma(9.0, 1.5, n)
    perimeter = 2.0 * np.pi * radius * rng.normal(1.0, 0.005, n)
    weight = [f"{w:.1f}" if rng.random() < 0.9 else "NA" for w in rng.normal(50.0, 9.0, n)]
    colour = rng.choice(["red", "dark, green"], n)
    return [f'{r:.2f},{p:.1f},"{c}",{w}' for r, p, c, w in zip(radius, perimeter, colour, weight, strict=True)]


def scores(samples: list[str]) -> dict[str, Score]:
    train = rows(3_000, 2)
    return {score.spec.name: score for score in row_scores(RecordSets(samples, rows(N, 1), train[:N], train, 0))}


def grade(samples: list[str]) -> str:
    return grade_by_question(list(scores(samples).values()))["closeness"].grade


def shuffled_columns(records: list[str]) -> list[str]:
    rng = np.random.default_rng(0)
    columns = np.array([split(record, ",") for record in records]).T
    shuffled = [rng.permutation(column) for column in columns]
    return [
        f'{radius},{perimeter},"{colour}",{weight}' for radius, perimeter, colour, weight in zip(*shuffled, strict=True)
    ]


def test_real_rows_differ_in_nothing() -> None:
    real = scores(rows(N, 3))
    assert real["malformed_rows"].value == 0.0 and real["malformed_rows"].real_baseline == 0.0
    assert 0.4 < real["columns_auc"].value < 0.6


def test_shuffled_columns_are_told_from_real_rows() -> None:
    result = scores(shuffled_columns(rows(N, 3)))
    assert result["malformed_rows"].value == 0.0
    assert result["columns_auc"].value > 0.9 and grade(shuffled_columns(rows(N, 3))) == "poor"


def test_numbers_that_are_always_rounded_are_told_from_real_rows() -> None:
    rounded = [
        ",".join([*record.split(",")[:-1], record.rpartition(",")[2].partition(".")[0]]) for record in rows(N, 3)
    ]
    assert scores(rounded)["malformed_rows"].value == 0.0
    assert scores(rounded)["columns_auc"].value > 0.9 and grade(rounded) == "poor"


def visits(n: int, seed: int, step: int, minutes: int, width: int) -> list[str]:
    """A case number, a height and a time of day, rounded to a step and to some minutes; numbers are padded to a width."""
    rng = np.random.default_rng(seed)
    heights = rng.normal(170.0, 15.0, n) // step * step
    times = rng.integers(8 * 60, 18 * 60, n) // minutes * minutes
    cases = rng.integers(0, 900, n)
    return [f"{c:0{width}},{h:.0f},{t // 60}:{t % 60:02}" for c, h, t in zip(cases, heights, times, strict=True)]


@pytest.mark.parametrize(("step", "minutes", "width"), [(1, 15, 5), (5, 1, 5), (5, 15, 1)])
def test_round_numbers_quarters_of_an_hour_and_zeros_before_numbers_are_missed(
    step: int, minutes: int, width: int
) -> None:
    train = visits(2_000, 2, 5, 15, 5)

    def told_apart(samples: list[str]) -> float:
        scores = {
            score.name: score.value
            for score in row_scores(RecordSets(samples, visits(N, 1, 5, 15, 5), train[:N], train, 0))
        }
        return scores["columns_auc"]

    assert told_apart(visits(N, 3, step, minutes, width)) > 0.85 and told_apart(visits(N, 3, 5, 15, 5)) < 0.6


def test_malformed_rows_are_counted() -> None:
    broken = ["17.2,1a,red,50.0", "17.2,100.0,red", "17.2,100.0,red,", "\r\n17", "n,,,\0"]
    result = scores([*broken * 20, *rows(N - 100, 3)])
    assert result["malformed_rows"].value == pytest.approx(100 / N) and result["columns_auc"].n == N - 100


def objects(records: list[str]) -> list[str]:
    """The same rows as JSON objects, one field nested and another left out where it is missing."""
    lines = []
    for record in records:
        radius, perimeter, colour, weight = split(record, ",")
        size = {"radius": float(radius), "perimeter": float(perimeter)}
        rest = {} if weight == "NA" else {"weight": float(weight)}
        lines.append(json.dumps({"size": size, "colour": colour, **rest}))
    return lines


def test_columns_of_json_objects_are_told_apart_as_well_as_those_of_rows() -> None:
    train, held_out = objects(rows(3_000, 2)), objects(rows(N, 1))

    def auc(samples: list[str]) -> tuple[float, float]:
        scores = {score.spec.name: score for score in row_scores(RecordSets(samples, held_out, train[:N], train, 0))}
        return scores["malformed_rows"].value, scores["columns_auc"].value

    malformed, real = auc(objects(rows(N, 3)))
    assert malformed == 0.0 and 0.4 < real < 0.6
    assert auc(objects(shuffled_columns(rows(N, 3))))[1] > 0.9
    broken = [
        '{"size": {"radius": 1.0}',
        '{"colour": "red"}',
        "[1, 2]",
        '{"size": {"radius": "1", "perimeter": 2}}',
    ] * 25
    assert auc([*broken, *objects(rows(N - 100, 3))])[0] == pytest.approx(100 / N)


def test_null_is_no_fault_of_a_row_but_told_where_the_data_has_a_number() -> None:
    train, held_out, samples = objects(rows(3_000, 2)), objects(rows(N, 1)), objects(rows(N, 3))
    perimeter = [json.loads(record)["size"]["perimeter"] for record in samples]
    nulls = [record.replace(str(value), "null") for record, value in zip(samples, perimeter, strict=True)]
    for without in (1, N // 2):
        own = [*nulls[:without], *samples[without:]]
        result = {score.spec.name: score.value for score in row_scores(RecordSets(own, held_out, train[:N], train, 0))}
        assert result["malformed_rows"] == 0.0 and (result["columns_auc"] > 0.7) is (without > 1)
    (malformed, *_) = row_scores(
        RecordSets([record.replace("null", '"-"') for record in nulls], held_out, train[:N], train, 0)
    )
    assert malformed.value == 1.0


def test_columns_that_are_mostly_null_hold_numbers() -> None:
    form = row_format([json.dumps({"a": "x", "sales": i if i % 4 == 0 else None}) for i in range(200)])
    assert form is not None and form.columns[1].numbers is not None and len(form.columns[1].numbers) == 50
    assert form.fields('{"a": "y", "sales": null}') and not form.fields('{"a": "y", "sales": "many"}')
    form = row_format([f"x,{i if i else ''}" for i in range(200)])  # missing once
    assert form is not None and form.fields("y,") == ["y", ""] and form.fields("y,null") is None


def test_json_objects_are_read_by_key() -> None:
    record = '{"a": "x", "b": {"c": 1.5, "d": null, "e": {}}, "f": "12", "g": [1, 2]}'
    assert json_fields(record) == {"a": "x", "b.c": "1.5", "b.d": "null", "b.e": "{}", "f": '"12"', "g": "[1, 2]"}
    assert json_fields("[1]") is None and json_fields('{"a": 1') is None and json_fields("{" * 100_000) is None
    form = row_format(['{"b": 1, "a": "x"}', '{"a": "y", "b": 2, "c": 3}'] * 100)
    assert form is not None and form.layout == JsonObjects(("b", "a", "c"), frozenset("ab"))
    assert form.fields('{"a": "z", "b": 7}') == ["7", "z", ""] and form.fields('{"a": "z"}') is None
    assert form.columns[2].numbers is not None and form.columns[2].is_valid("")
    assert row_format(['{"a": 1}'] * 100) is None


def test_names_of_another_country_are_told_from_real_rows() -> None:
    rng = np.random.default_rng(0)
    countries = rng.choice(["JP", "NO"], 2_000)
    parts = {"JP": ["ka", "to", "shi", "mu", "ro", "ha"], "NO": ["vik", "fjor", "sund", "hav", "berg", "nes"]}
    records = [f"{''.join(rng.choice(parts[country], 4))},{country},{rng.integers(99)}" for country in countries]
    samples, held_out, train = records[:N], records[N : 2 * N], records[2 * N :]
    swapped = [
        f"{record.split(',')[0]},{','.join(other.split(',')[1:])}"
        for record, other in zip(samples, held_out, strict=True)
    ]
    real, broken = (
        list(row_scores(RecordSets(part, held_out, train[:N], train, 0)))[1].value for part in (samples, swapped)
    )
    assert abs(real - 0.5) < 0.1 and broken > 0.65


def matches(n: int, seed: int, off: bool = False) -> list[str]:
    """A date, a season such as "1974/75", which begins in July, and a score. off: whether half of the seasons are the one before or
    after."""
    rng = np.random.default_rng(seed)
    days = [date(1963, 7, 1) + timedelta(days=int(day)) for day in rng.integers(16_000, size=n)]
    shift = rng.choice([0, 0, -1, 1], n) if off else np.zeros(n, dtype=int)
    begins = [day.year - (day.month < 7) + int(years) for day, years in zip(days, shift, strict=True)]
    goals = rng.poisson(1.5, (n, 2)).tolist()
    return [
        f"{day:%d.%m.%Y};{year}/{(year + 1) % 100:02};{home}:{away}"
        for day, year, (home, away) in zip(days, begins, goals, strict=True)
    ]


def test_dates_outside_their_season_are_told_from_real_rows() -> None:
    """A season has too many values for a feature each, and is no number; the integers in it are. Half of the samples are right, so
    that no classifier is right more often than three times in four."""
    held_out, train = matches(N, 1), matches(3_000, 2)
    real, broken = (
        list(row_scores(RecordSets(samples, held_out, train[:N], train, 0)))[1].value
        for samples in (matches(N, 3), matches(N, 3, off=True))
    )
    assert abs(real - 0.5) < 0.08 and broken > 0.68


def test_samples_that_repeat_each_other_are_no_rows_of_another_kind() -> None:
    assert 0.4 < scores(rows(N // 2, 3) * 2)["columns_auc"].value < 0.6


def test_rows_that_stand_in_several_parts_do_not_tell_samples_apart() -> None:
    """Columns were learned from rows of which many were held-out ones, too: those were known by heart."""
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("abcdefghij"), 6)) for _ in range(2_000)]
    source = [f"{name},{rng.integers(10, 9999)},{rng.random() * 90:.2f}" for name in names]
    train, samples, held_out = (list(rng.choice(source, n)) for n in (3_000, N, N))
    assert 0.4 < list(row_scores(RecordSets(samples, held_out, train[:N], train, 0)))[1].value < 0.57


def test_versions_of_a_real_row_in_both_halves_do_not_tell_samples_apart() -> None:
    """Rows of which some fields were edited later stand in the data several times."""
    held_out, train = ([f"{row}{i}" for row in rows(N // 5, seed) for i in range(5)] for seed in (1, 2))
    samples = [f"{row}{i % 5}" for i, row in enumerate(rows(N, 3))]

    def keys(records: Sequence[str]) -> list[int]:
        return equal_keys([record[:-1] for record in records])

    grouped = list(row_scores(RecordSets(samples, held_out, train, train, 0, keys)))[1]
    alone = list(row_scores(RecordSets(samples, held_out, train, train, 0)))[1]
    assert grouped.value < 0.65 and grouped.real_baseline < 0.65 < alone.value


def test_what_is_no_list_of_rows_has_no_scores() -> None:
    assert row_format(["Anna", "Bob", "Eve, the last"] * 100) is None
    assert row_format(rows(40, 0)) is None
    assert list(row_scores(RecordSets(["a"] * 60, ["b"] * 60, ["c"] * 60, ["d"] * 600, 0))) == []


@pytest.mark.parametrize("delimiter", ["\t", ";", "|"])
def test_delimiters_and_decimal_commas(delimiter: str) -> None:
    records = [f"{i},5{delimiter}{i * i},25" for i in range(100)]
    form = row_format(records)
    assert form is not None and form.layout == Delimited(delimiter, 2)
    assert all(column.numbers is not None for column in form.columns)


def test_fields_have_the_names_of_the_columns_where_the_table_names_them() -> None:
    """The page said "field 6 and field 11" of a table with `net` and `place` in its first row."""
    records = [f"{i % 7},,{i * i}" for i in range(100)]
    form, unnamed = row_format(records, ("net", "", "place")), row_format(records, ("net", "place"))
    assert form is not None and unnamed is not None
    assert [form.layout.name(i) for i in range(3)] == ["the field 'net'", "field 2", "the field 'place'"]
    assert unnamed.layout.name(0) == "field 1"
