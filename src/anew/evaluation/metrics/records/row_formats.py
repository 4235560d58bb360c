"""Records that are rows of fields, divided by a delimiter or named in a JSON object: their format, and features of fields.

Legend for shapes: n rows, c columns, d features.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from anew.estimators.dates import DateFormat, date_format
from anew.estimators.key_fields import DELIMITERS
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.records.date_fields import date_features

MIN_PARTS = 3  # least parts of records that are not rows: two parts are a name with an addition; chosen
# What divides the parts of records that are not rows, and how often each record must have it. Prose and names have none of these in each
# record; an arrow divides the two sides of a reaction
PART_DELIMITERS = {">>": 1} | dict.fromkeys("/|;:", MIN_PARTS - 1)
MAX_READ = 20_000  # training records that a format, and what always or often holds in it, is learned from; more hardly change it
REGULAR = 0.9  # least share of rows with the same number of fields, or that are JSON objects
MAX_KEYS = 64  # keys of JSON objects that are a column each, the most frequent; chosen
USUAL_KEY = 0.99  # share of objects with a key from which on one without it is malformed; chosen
# Least shares of fields that are numbers in a column of numbers (missing ones aside), and that are numbers or frequent other
# values ("", "NA")
NUMERIC, KNOWN = 0.5, 0.95
MIN_ROWS = 50  # training rows that columns are learned from, at least
NULL = "null"  # JSON; any field may have no value
FREQUENT_VALUES = 8  # most frequent values that have a feature each, of those that are not numbers
MAX_DECIMALS = 6  # numbers are told apart up to so many decimals: those with more are computed; chosen
TAIL = 0.01  # share of a column's values on each side beyond which values are clipped: they would hide all others
MAX_INTEGERS = 4  # integers of a field, such as an address of the internet; a field of more is text; chosen
MAX_INTEGER = 1e15  # larger ones are cut to it: a float holds no larger ones
MAX_REMEMBERED = 32  # characters of a number that is remembered; chosen: longer fields are hardly numbers
_INTEGER = re.compile(r"\d+")
_POINT, _MARK = re.compile(r"\.(\d+)"), re.compile(r"[.,](\d+)")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")


class FieldLayout(Protocol):
    """How records are divided into fields."""

    @property
    def description(self) -> str:
        """A clause: "3 fields, divided by ','"."""

    def fields(self, record: str) -> list[str] | None:
        """The fields of a record; None if it is malformed."""

    def name(self, column: int) -> str:
        """What a column is called: "field 3", or "the field 'price'"."""


@dataclass(frozen=True)
class Delimited:
    """Rows with a fixed number of fields, divided by a delimiter.

    names: Names of the fields; () if they have none.
    """

    delimiter: str
    width: int
    names: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        return f"{self.width} fields, divided by {self.delimiter!r}"

    def fields(self, record: str) -> list[str] | None:
        fields = split(record, self.delimiter)
        return fields if len(fields) == self.width else None

    def name(self, column: int) -> str:
        return f"the field {self.names[column]!r}" if self.names and self.names[column] else f"field {column + 1}"


@dataclass(frozen=True)
class JsonObjects:
    """The values of JSON objects by key; those of nested objects have keys such as "place.name". A missing one is "".

    Attributes:
        keys: The key of each column.
        required: Keys without which an object is malformed.
    """

    keys: tuple[str, ...]
    required: frozenset[str]

    @property
    def description(self) -> str:
        return f"{len(self.keys)} fields of JSON objects"

    def fields(self, record: str) -> list[str] | None:
        values = json_fields(record)
        if values is None or not self.required <= values.keys():
            return None
        return [values.get(key, "") for key in self.keys]

    def name(self, column: int) -> str:
        return f"the field {self.keys[column]!r}"


@dataclass(frozen=True)
class Column:
    """A column, as learned from training rows.

    Attributes:
        numbers: Sorted numbers of the column, or of days for dates; None where it holds neither.
        levels: Most frequent values that are not numbers.
        missing: Values that mean a missing one: "" if training rows have it, and null of JSON even if none has it.
        thousands: Whether commas group thousands; otherwise a comma is a decimal sign.
        dates: How dates or times of day are written, if the column holds such.
        integers: Sorted integers within fields that are not numbers, such as "3-2" and "1999/00", by their place in the field; empty
            if fields do not hold equally many.
    """

    numbers: Array | None
    levels: tuple[str, ...]
    missing: tuple[str, ...]
    thousands: bool
    dates: DateFormat | None = None
    integers: tuple[Array, ...] = ()

    def number(self, field: str) -> float | None:
        """The finite number that a field of this column holds; of days, if it is a date."""
        return number(field, self.thousands) if self.dates is None else self.dates.number(field)

    def is_valid(self, field: str) -> bool:
        return self.numbers is None or field in self.missing or field in self.levels or self.number(field) is not None

    def values(self, fields: Sequence[str]) -> Array | None:
        """The numbers of valid fields (n,), the median in place of others; None where the column does not hold numbers."""
        if self.numbers is None:
            return None
        median = float(np.median(self.numbers))
        return np.array([median if (value := self.number(field)) is None else value for field in fields])

    def features(self, fields: Sequence[str]) -> Array:
        """(n, d) features of valid fields: a flag for each missing value and level, then a number, its rank and its decimals, or what
        `date_features` says of dates, or the length of other values, and each integer in them with its rank."""
        values_with_flag = (*self.missing, *self.levels)
        flags = np.array([[field == value for value in values_with_flag] for field in fields], dtype=np.float64)
        flags = flags.reshape(len(fields), len(values_with_flag))
        values = self.values(fields)
        if self.numbers is None or values is None:
            lengths = np.log1p([[len(field)] for field in fields])
            return np.concatenate([flags, lengths, *self._integer_features(fields)], axis=1)
        if self.dates is None:
            further = np.array([[num_decimals(field, self.thousands)] for field in fields], dtype=np.float64)
        else:
            further = date_features(self.dates, values)
        return np.column_stack([flags, _number_features(values, self.numbers), further])

    def _integer_features(self, fields: Sequence[str]) -> list[Array]:
        """(n, 2) features of each integer of the fields; the medians in place of those of fields with more or fewer."""
        medians = [float(np.median(numbers)) for numbers in self.integers]
        rows = [own if len(own := integers_within(field)) == len(medians) else medians for field in fields]
        columns = np.array(rows, dtype=np.float64).reshape(len(fields), len(medians)).T
        return [_number_features(values, numbers) for values, numbers in zip(columns, self.integers, strict=True)]


@dataclass(frozen=True)
class RowFormat:
    """How records are divided into fields, and what these are."""

    layout: FieldLayout
    columns: tuple[Column, ...]

    def fields(self, record: str) -> list[str] | None:
        """The fields of a record; None if it is malformed."""
        fields = self.layout.fields(record)
        return fields if fields and all(map(Column.is_valid, self.columns, fields)) else None

    def features(self, rows: Sequence[Sequence[str]]) -> Array:
        """(n, d) features of rows of fields."""
        return np.concatenate(
            [column.features([row[i] for row in rows]) for i, column in enumerate(self.columns)], axis=1
        )


def _number_features(values: Array, numbers: Array) -> Array:
    """(n, 2) numbers (n,), clipped to the range of nearly all `numbers` of training rows, sorted, and their rank among these."""
    low, high = np.quantile(numbers, [TAIL, 1.0 - TAIL])
    ranks = np.searchsorted(numbers, values, "left") + np.searchsorted(numbers, values, "right")
    return np.column_stack([np.clip(values, low, high), ranks / (2.0 * len(numbers))])


def integers_within(field: str) -> list[float]:
    """The integers of a field, in their order: 3 and 2 of "3-2"."""
    return [min(float(digits), MAX_INTEGER) for digits in _INTEGER.findall(field)]


def number(field: str, thousands: bool = False) -> float | None:
    """The finite number that a field holds. thousands: whether commas group thousands ("1,234.5"), or one is a decimal sign ("1,5")."""
    text = field.strip()
    # Cached texts stay in memory, and a field of text may be long
    return _remembered(text, thousands) if len(text) <= MAX_REMEMBERED else _parsed(text, thousands)


def _parsed(text: str, thousands: bool) -> float | None:
    if "_" in text:  # float() takes 12_34, an identifier
        return None
    if thousands and "," in text and not _GROUPED.fullmatch(text):
        return None
    try:
        value = float(text.replace(",", "" if thousands else "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


_remembered = lru_cache(maxsize=100_000)(_parsed)  # each figure of rows asks for the numbers of the same fields


def num_decimals(field: str, thousands: bool = False) -> int:
    """How many decimals a number has, up to MAX_DECIMALS; 0 for what is none. thousands: whether commas group thousands."""
    match = (_POINT if thousands else _MARK).search(field)
    return min(len(match[1]), MAX_DECIMALS) if match and number(field, thousands) is not None else 0


def groups_thousands(fields: Sequence[str]) -> bool:
    """Whether commas group thousands in a column: all of its numbers with a comma can be read so. If they have a decimal comma and
    three digits after it throughout, they are all read 1,000 times too large, which no comparison notices."""
    with_comma = [field for field in set(fields) if "," in field]
    is_grouped = [number(field, thousands=True) is not None for field in with_comma]
    is_decimal = [number(field) is not None for field in with_comma]
    return any(is_grouped) and all(grouped for grouped, decimal in zip(is_grouped, is_decimal, strict=True) if decimal)


def split(record: str, delimiter: str) -> list[str]:
    """The fields of a record, which may be quoted; none of a record that no reader of tables takes."""
    try:
        return next(csv.reader([record], delimiter=delimiter), [])
    except csv.Error:
        return []


def json_fields(record: str) -> dict[str, str] | None:
    """The values of a JSON object by key; None for what is none. Lists, and strings that could be numbers, stay JSON."""
    if not record.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(record)
        return dict(_flat(value, "")) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return None


def _flat(value: dict[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _flat(inner, f"{prefix}{key}.")
        elif isinstance(inner, str) and number(inner) is None and number(inner, thousands=True) is None:
            yield prefix + key, inner
        else:
            yield prefix + key, json.dumps(inner, ensure_ascii=False)


def row_format(records: Sequence[str], names: tuple[str, ...] = ()) -> RowFormat | None:
    """The format of records that are rows of at least two fields; None for others. names: those of the fields, if they have some."""
    records = [record for record in records[:MAX_READ] if record]
    if len(records) < MIN_ROWS:
        return None
    objects = _json_objects(records)
    if objects is not None:
        rows = [row for record in records if (row := objects.fields(record))]
        return RowFormat(objects, tuple(_column(fields, (NULL,)) for fields in zip(*rows, strict=True)))
    for delimiter in DELIMITERS:
        if sum(delimiter in record for record in records) < REGULAR * len(records):
            continue  # splitting 17,000 proteins takes a second
        rows = [split(record, delimiter) for record in records]
        width, count = Counter(map(len, rows)).most_common(1)[0]
        if width >= 2 and count >= REGULAR * len(rows):
            by_column = zip(*(row for row in rows if len(row) == width), strict=True)
            columns = tuple(_column(fields) for fields in by_column)
            # Blanks divide rows that have numbers, such as log lines: not names of two words
            if delimiter != " " or any(column.numbers is not None for column in columns):
                return RowFormat(Delimited(delimiter, width, names if len(names) == width else ()), columns)
    return None


def part_delimiter(records: Sequence[str]) -> str | None:
    """The delimiter of records that have several parts, as InChI has, but are not `row_format`; None for others."""
    records = [record for record in records[:MAX_READ] if record]
    if len(records) < MIN_ROWS or row_format(records) is not None:
        return None
    shares = {
        d: sum(record.count(d) >= least for record in records) / len(records) for d, least in PART_DELIMITERS.items()
    }
    return next((delimiter for delimiter, share in shares.items() if share >= REGULAR), None)


def _json_objects(records: Sequence[str]) -> JsonObjects | None:
    """The columns of records of which nearly all are JSON objects of at least two keys; None for others."""
    objects = [fields for record in records if (fields := json_fields(record))]
    if len(objects) < REGULAR * len(records):
        return None
    counts = Counter(key for fields in objects for key in fields).most_common(MAX_KEYS)
    required = frozenset(key for key, count in counts if count >= USUAL_KEY * len(objects))
    return JsonObjects(tuple(key for key, _ in counts), required) if len(counts) >= 2 else None


def _column(fields: Sequence[str], missing: tuple[str, ...] = ()) -> Column:
    missing = ("", *missing) if "" in fields else missing
    thousands = groups_thousands(fields)
    present = [field for field in fields if field not in missing]
    dates = date_format(present)
    column = Column(None, (), missing, thousands, dates)
    numbers = [value for field in present if (value := column.number(field)) is not None]
    levels = Counter(field for field in present if column.number(field) is None).most_common(FREQUENT_VALUES)
    num_known = len(numbers) + sum(count for _, count in levels)
    if numbers and len(numbers) >= NUMERIC * len(present) and num_known >= KNOWN * len(present):
        frequent = tuple(level for level, count in levels if count > 1)
        return replace(column, numbers=np.sort(np.array(numbers)), levels=frequent)
    frequent = tuple(level for level, _ in Counter(present).most_common(FREQUENT_VALUES))
    return Column(None, frequent, missing, thousands, integers=_integers(present))


def _integers(fields: Sequence[str]) -> tuple[Array, ...]:
    """The sorted integers of fields by their place in the field, where nearly all fields hold equally many."""
    rows = [integers_within(field) for field in fields]
    width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
    if not 0 < width <= MAX_INTEGERS or count < KNOWN * len(rows):
        return ()
    return tuple(np.sort(np.array([row[i] for row in rows if len(row) == width])) for i in range(width))
