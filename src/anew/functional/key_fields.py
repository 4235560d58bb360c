"""Fields of records that are different in all of them, such as the code that each record begins with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# The comma comes after the others, since it may be the decimal sign, and blanks last, since they also divide words
DELIMITERS = ("\t", ";", "|", ",", " ")
# Largest probability that a new record has a value of a key field which another record has
MAX_REPEATED = 0.01
# Records that count as repeated besides those that are, so that fewer than 300 never show a key: at 95%, none of n says that the
# probability is below 3 / n
UNSEEN = 3
# Measurements: they are different in most records because they are exact, and two records may have the same one by chance
DECIMAL = re.compile(r"[-+]?\d*[.,]\d+(e[-+]?\d+)?", re.IGNORECASE)
SCREENED = 2_000  # records, at most, in which fields are sought: splitting all takes a second for each million; chosen
MAX_COLUMNS = 64  # of a row that are looked at; chosen


@dataclass(frozen=True, slots=True)
class KeyField:
    """A field in which hardly two records agree.

    Attributes:
        delimiter: What divides the fields.
        column: Its number, from 0.
    """

    delimiter: str
    column: int

    def value(self, record: str) -> str | None:
        """What a record has in this field; None if it has fewer fields."""
        fields = record.split(self.delimiter, self.column + 1)
        return fields[self.column] if len(fields) > self.column else None


def find_key_fields(records: Sequence[str]) -> tuple[KeyField, ...]:
    """The key fields of a list, by the first delimiter that all of its records have: any column where records have equally many fields,
    else only the first one. Empty if whole records repeat, or are too few to tell. Fields of decimals are none."""
    spread = records[:: max(1, -(-len(records) // SCREENED))]
    delimiter = next((mark for mark in DELIMITERS if spread and all(mark in record for record in spread)), None)
    if delimiter is None or not hardly_repeat(records):
        return ()
    widths = {record.count(delimiter) + 1 for record in spread}
    columns = range(min(*widths, MAX_COLUMNS)) if len(widths) == 1 else range(1)
    fields = [KeyField(delimiter, column) for column in columns]
    named = [field for field in fields if not _are_decimals(field, spread)]
    return tuple(field for field in named if all(_is_key(field, part) for part in (spread, records)))


def hardly_repeat(values: Sequence[str | int | None]) -> bool:
    """Whether a new value would hardly be one of these."""
    num_repeated = sum(count for count in Counter(values).values() if count > 1)
    return num_repeated + UNSEEN <= MAX_REPEATED * len(values)


def _are_decimals(field: KeyField, records: Sequence[str]) -> bool:
    """Whether most records have a number with a decimal sign in a field."""
    values = [(field.value(record) or "").strip(' "') for record in records]
    return 2 * sum(DECIMAL.fullmatch(value) is not None for value in values) > len(values)


def _is_key(field: KeyField, records: Sequence[str]) -> bool:
    return hardly_repeat([field.value(record) for record in records])
