"""Fields of records that are different in all of them, such as the code that each record begins with."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

# The comma comes after the others, since it may be the decimal sign, and blanks last, since they also divide words
DELIMITERS = ("\t", ";", "|", ",", " ")
# Largest probability that a new record has a value of a key field which another record has
MAX_REPEATED = 0.01
# Records that count as repeated besides those that are, so that fewer than 300 never show a key: at 95%, none of n says that the
# probability is below 3 / n
UNSEEN = 3
# Measurements: they are different in most records because they are exact, and two records may have the same one by chance
DECIMAL = re.compile(r"[-+]?\d*[.,]\d+(e[-+]?\d+)?", re.IGNORECASE)
# Share of the values between the least and the greatest one that are there, from which on a field counts its records; chosen
COUNTER_SHARE = 0.5
OUTERMOST = 20  # one of so many of the least values, and of the greatest ones, may be anything; chosen
SCREENED = 2_000  # records, at most, in which fields are sought: splitting all takes a second for each million; chosen
MAX_COLUMNS = 64  # of a row that are looked at; chosen
DIGITS = "0123456789"
MAX_DIGITS = 18  # of a whole number that 64 bits hold


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
        fields = _split(record, self.delimiter, self.column + 1)
        return fields[self.column] if len(fields) > self.column else None


def find_key_fields(records: Sequence[str]) -> tuple[KeyField, ...]:
    """The key fields of a list, by the first delimiter that all of its records have: any column where records have equally many fields,
    else only the first one. Empty if whole records repeat, or are too few to tell. Fields of decimals, or that count, are none."""
    spread = records[:: max(1, -(-len(records) // SCREENED))]
    delimiter = next((mark for mark in DELIMITERS if spread and all(mark in record for record in spread)), None)
    if delimiter is None or not hardly_repeat(records):
        return ()
    widths = {len(_split(record, delimiter)) for record in spread}
    columns = range(min(*widths, MAX_COLUMNS)) if len(widths) == 1 else range(1)
    fields = [KeyField(delimiter, column) for column in columns]
    fields = [field for field in fields if not _are_decimals(field, spread)]
    fields = [field for field in fields if hardly_repeat([field.value(record) for record in spread])]
    return tuple(field for field in fields if _is_key([field.value(record) for record in records]))


def hardly_repeat(values: Sequence[str | int | None]) -> bool:
    """Whether a new value would hardly be one of these."""
    num_repeated = sum(count for count in Counter(values).values() if count > 1)
    return num_repeated + UNSEEN <= MAX_REPEATED * len(values)


def is_counter(values: Collection[str]) -> bool:
    """Whether values are whole numbers, perhaps within the same text (`no. 7`), or times, that stand for most of those in their range.

    Such values differ because each is used up, not because there are many others: a new record that is like the data has a known one.
    """
    places = _numbers(values)
    outermost = len(places) // OUTERMOST
    places = places[outermost : len(places) - outermost]
    if len(places) < 2:
        return False
    gaps = np.diff(places)
    return len(places) > COUNTER_SHARE * (int(places[-1] - places[0]) // int(np.gcd.reduce(gaps)) + 1)


def _are_decimals(field: KeyField, records: Sequence[str]) -> bool:
    """Whether most records have a number with a decimal sign in a field."""
    values = [(field.value(record) or "").strip(' "') for record in records]
    return 2 * sum(DECIMAL.fullmatch(value) is not None for value in values) > len(values)


def _is_key(values: Sequence[str | None]) -> bool:
    return hardly_repeat(values) and not is_counter({value for value in values if value is not None})


def _numbers(values: Collection[str]) -> NDArray[np.int64]:
    """The different numbers (n,) that values stand for, in rising order: whole ones, or seconds of times; none if one is neither."""
    names = list(values)
    prefix = _common_beginning(names).rstrip(DIGITS)
    suffix = _common_beginning([name[::-1] for name in names])[::-1].lstrip(DIGITS)
    digits = [name[len(prefix) : len(name) - len(suffix)].strip() for name in names]
    if all(text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS for text in digits):
        return np.unique(np.array([int(text) for text in digits], dtype=np.int64))
    try:
        times = [datetime.fromisoformat(name.strip()).replace(tzinfo=None) for name in names]
    except ValueError:
        return np.zeros(0, dtype=np.int64)
    begin = datetime(1, 1, 1)
    return np.unique(np.array([(time - begin).total_seconds() for time in times]).astype(np.int64))


def _common_beginning(names: Sequence[str]) -> str:
    # All others lie between these two
    first, last = min(names, default=""), max(names, default="")
    return "".join(
        mark for mark, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    )


def _split(record: str, delimiter: str, most: int = -1) -> list[str]:
    """The fields of a record. Quotes hold fields together, but for fields that blanks divide, which are words.

    most: Delimiters that are looked at; -1 for all.
    """
    if delimiter != " " and '"' in record:
        try:
            return next(csv.reader([record], delimiter=delimiter))
        except csv.Error:
            pass  # a line break, or a field of more characters than it reads
    return record.split(delimiter, most)
