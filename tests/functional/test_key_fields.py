"""Fields in which no two records agree."""

from __future__ import annotations

import pytest

from anew.functional.key_fields import KeyField, find_key_fields, hardly_repeat

COLOURS = ("red", "green", "blue")


@pytest.mark.parametrize(
    ("records", "fields"),
    [
        ([f"10de:{i:04x} Device {'A' * (i % 3)}" for i in range(400)], [(" ", 0)]),
        ([f"{COLOURS[i % 3]};{i};{i % 7}" for i in range(400)], [(";", 1)]),
        ([f'{{"id": {i}, "colour": "{COLOURS[i % 3]}"}}' for i in range(400)], [(",", 0)]),
        ([f"{COLOURS[i % 3]};{i};{i % 7}" for i in range(200)], []),  # too few to tell
        ([f"{COLOURS[i % 3]} {i}" for i in range(400)] * 2, []),  # whole records repeat
        ([f"{i}" for i in range(400)], []),  # one field
        ([f"{i / 7:.6f},-{i / 9:.5f},{COLOURS[i % 3]}" for i in range(400)], []),  # measurements
        ([f"{i / 7:.6f};v{i};{COLOURS[i % 3]}" for i in range(400)], [(";", 1)]),
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
