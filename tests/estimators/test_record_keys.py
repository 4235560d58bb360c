"""Which fields tell records apart."""

from __future__ import annotations

import json

import pytest

from anew.estimators.record_keys import KeyField, key_fields

CODES = [f"{i // 50:04x}:{i * 7919 % 65536:04x} {'Fast ' * (i % 3)}Controller rev {i % 9}" for i in range(400)]
ROWS = [f'{i % 7},"A-{i * 31 % 997}, b",{i % 100 / 10}' for i in range(400)]
OBJECTS = [json.dumps({"kind": i % 3, "id": f"x{i}", "tags": [i % 5]}) for i in range(400)]


@pytest.mark.parametrize(
    ("records", "fields", "value"),
    [
        (CODES, [KeyField(" ", 0)], "0000:0000"),
        (ROWS, [KeyField(",", 1)], "A-0, b"),
        (OBJECTS, [KeyField("", 1, "id")], "x0"),
        # One of a hundred values twice, and records of other forms
        ([*CODES[:396], *CODES[:3], "none"], [KeyField(" ", 0)], "0000:0000"),
    ],
)
def test_fields_of_different_values_are_keys(records: list[str], fields: list[KeyField], value: str) -> None:
    assert key_fields(records) == fields and fields[0].value(records[0]) == value
    assert fields[0].value("") == ""


@pytest.mark.parametrize(
    "records",
    [
        CODES[:60],  # too few
        [f"name{i}" for i in range(400)],  # whole records
        [f"{('the', 'a', 'one')[i % 3]} sentence no {i % 90}" for i in range(400)],  # of words
        CODES * 2,  # of which each is there twice
    ],
)
def test_other_records_have_no_key(records: list[str]) -> None:
    assert key_fields(records) == []


def test_fields_have_names() -> None:
    assert (KeyField(";", 2).name, KeyField("", 0, "id").name) == ("field 3", "the field 'id'")
