"""Fields in which no two records agree."""

from __future__ import annotations

import pytest

from anew.functional.key_fields import KeyField, find_key_fields, hardly_repeat, is_counter

COLOURS = ("red", "green", "blue")
CODES = [i * 7919 % 100_003 for i in range(400)]


@pytest.mark.parametrize(
    ("records", "fields"),
    [
        ([f"10de:{i:04x} Device {'A' * (i % 3)}" for i in range(400)], [(" ", 0)]),
        ([f"{COLOURS[i % 3]};{code};{i % 7}" for i, code in enumerate(CODES)], [(";", 1)]),
        ([f'{{"id": {code}, "colour": "{COLOURS[i % 3]}"}}' for i, code in enumerate(CODES)], [(",", 0)]),
        ([f'{i % 7},"{COLOURS[i % 3]}, {i % 2}",A{code}' for i, code in enumerate(CODES)], [(",", 2)]),
        ([f"{i};{COLOURS[i % 3]}" for i in range(400)], []),  # rows are numbered
        ([f"{COLOURS[i % 3]};{code};{i % 7}" for i, code in enumerate(CODES[:200])], []),  # too few to tell
        ([f"{COLOURS[i % 3]} {code}" for i, code in enumerate(CODES)] * 2, []),  # whole records repeat
        ([f"{code}" for code in CODES], []),  # one field
        ([f"{i / 7:.6f},-{i / 9:.5f},{COLOURS[i % 3]}" for i in range(400)], []),  # measurements
        ([f"{code / 7:.6f};v{code};{COLOURS[i % 3]}" for i, code in enumerate(CODES)], [(";", 1)]),
        ([f"{COLOURS[i % 3]} {COLOURS[i % 2]} {i // 2}" for i in range(400)], []),
    ],
)
def test_fields_that_differ_in_all_records_are_found(records: list[str], fields: list[tuple[str, int]]) -> None:
    assert [(field.delimiter, field.column) for field in find_key_fields(records)] == fields


def test_hardly_any_value_may_be_there_twice() -> None:
    assert hardly_repeat([*range(1000), 1])
    assert not hardly_repeat([*range(1000), *range(10)])
    assert not hardly_repeat(list(range(200)))


def test_a_field_may_be_missing() -> None:
    assert KeyField(";", 1).value("a;b;c") == "b"
    assert KeyField(";", 1).value("a;b") == "b"
    assert KeyField(";", 1).value("a") is None


def test_quotes_hold_a_field_together() -> None:
    assert KeyField(",", 2).value('7,"a, b",0.5') == "0.5"
    assert KeyField(",", 2).value('7,"a\nb",0.5') == "0.5"
    assert KeyField(" ", 1).value('"a b" c') == 'b"'


@pytest.mark.parametrize(
    "spelling",
    ["{}", "{}.", "no. {:05}", '{{"id": {}', "2024-01-{:02} 00:00"],
    ids=["plain", "dot", "name", "JSON", "time"],
)
def test_numbers_that_are_used_up_are_a_counter(spelling: str) -> None:
    numbers = [i for i in range(1, 29) if i % 9]  # the others are held out
    assert is_counter([spelling.format(i) for i in numbers])
    assert not is_counter([*(spelling.format(i) for i in numbers), "none"])


def test_codes_are_no_counter() -> None:
    assert not is_counter([str(code) for code in CODES])
    assert not is_counter([f"{code:04x}" for code in range(400)])
    assert is_counter([*map(str, range(0, 4000, 10)), "999999"])  # one is wrong
    assert not is_counter(["7"]) and not is_counter([])
