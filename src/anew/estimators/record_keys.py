"""Fields that tell records apart: codes, numbers or names that no two records of the data share."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# The comma comes after the others, since it may be the decimal sign
DELIMITERS = ("\t", ";", "|", ",", " ")
MIN_RECORDS = 100  # that a key is learned from; chosen
MAX_READ = 20_000  # records that a key is learned from, at most; more hardly change it
PRESENT = 0.99  # least share of records that have the field
# Least share of its values that stand in one record alone. Two rows of a table may be equal by mistake.
UNIQUE = 0.99
MAX_COLUMNS = 64  # first fields that may be keys; bounds the time


@dataclass(frozen=True, slots=True)
class KeyField:
    """A field whose value is another one in nearly every record.

    Attributes:
        delimiter: What divides the fields of a record; "" where records are JSON objects.
        column: Number of the field, from 0 on.
        key: Its key where records are JSON objects, else "".
    """

    delimiter: str
    column: int
    key: str = ""

    @property
    def name(self) -> str:
        """What it is called: "field 1", or "the field 'id'"."""
        return f"the field {self.key!r}" if self.key else f"field {self.column + 1}"

    def value(self, record: str) -> str:
        """The value of a record; "" if it has none."""
        return _fields(record, self.delimiter).get(self.key or str(self.column), "")


def key_fields(records: Sequence[str]) -> list[KeyField]:
    """The fields of rows, JSON objects, or records of words that are different in nearly all records; none of too few records.

    Where records have no constant number of fields, only the first one may be a key, as in "10de:03ec MCP61 IDE".
    """
    records = [record for record in records[:MAX_READ] if record]
    if len(records) < MIN_RECORDS:
        return []
    delimiter = _delimiter(records)
    if delimiter is None:
        return []
    rows = [_fields(record, delimiter) for record in records]
    counts = Counter(name for row in rows for name, value in row.items() if value)
    names = [name for name, count in counts.items() if count >= PRESENT * len(records)]
    if delimiter and Counter(map(len, rows)).most_common(1)[0][1] < PRESENT * len(records):
        names = [name for name in names if name == "0"]
    keys = [name for name in names if _is_key([row[name] for row in rows if row.get(name)])]
    if not delimiter:
        return [KeyField("", column, name) for column, name in enumerate(names) if name in keys]
    return [KeyField(delimiter, int(name)) for name in sorted(keys, key=int)]


def _delimiter(records: Sequence[str]) -> str | None:
    """What divides the fields of nearly all records; "" of JSON objects, None if nothing does."""
    if sum(record.lstrip().startswith("{") for record in records) >= PRESENT * len(records):
        return ""
    shares = ((delimiter, sum(delimiter in record for record in records)) for delimiter in DELIMITERS)
    return next((delimiter for delimiter, count in shares if count >= PRESENT * len(records)), None)


def _fields(record: str, delimiter: str) -> dict[str, str]:
    """The first fields of a record by their number, or by their keys in a JSON object; none of what cannot be read."""
    if not delimiter:
        return dict(_values(record))
    try:
        fields = next(csv.reader([record], delimiter=delimiter), [])
    except csv.Error:
        return {}
    return {str(column): field for column, field in enumerate(fields[:MAX_COLUMNS])}


def _values(record: str) -> Iterator[tuple[str, str]]:
    """The first keys and values of a JSON object."""
    try:
        found = json.loads(record)
    except (ValueError, RecursionError):
        return
    if isinstance(found, dict):
        for key, value in list(found.items())[:MAX_COLUMNS]:
            yield key, "" if value is None else str(value)


def _is_key(values: Sequence[str]) -> bool:
    """Whether nearly all values are different."""
    return len(set(values)) >= UNIQUE * len(values)
