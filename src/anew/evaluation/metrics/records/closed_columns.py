"""Rows with values that the data does not have, in columns whose values recur: states, sizes, airports.

Other figures know such a column by its most frequent values alone, and a word that does not exist is one more rare value to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from anew.core.wording import first_listed, listed
from anew.errors import shorten
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.row_formats import MIN_ROWS, RowFormat
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.score import LEAST_OF_SHARES, Score, Tolerance, bounded_spec

UNKNOWN_VALUES = bounded_spec(
    "unknown_values",
    "Unknown values",
    "Share of rows with a value that no training row has in that column, among columns whose values recur in nearly all rows.",
    Tolerance(
        "closeness",
        small=0.03,
        large=0.15,
        clause="{value:.0%} of well-formed rows have a value that no row of the data has in its column (real data: {real:.0%}){aside}",
        least=LEAST_OF_SHARES,
        explains_others=True,
    ),
)
# Largest share of rows with a new value, from which on a column has values of its own kind, such as names; chosen: below it,
# nearly each unknown value is a fault
MAX_NEW = 0.005
SHOWN_VALUES, SHOWN_COLUMNS = 3, 5  # unknown values, and columns, that a sentence names


@dataclass(frozen=True)
class ClosedColumn:
    """A column, by its number, and the values that it has."""

    number: int
    values: frozenset[str]


def closed_columns(form: RowFormat, rows: Sequence[Sequence[str]], of_numbers: bool = False) -> list[ClosedColumn]:
    """The columns whose values in half of the rows nearly all stand in the other half. of_numbers: Whether they may hold numbers."""
    closed, half = [], len(rows) // 2
    for number, column in enumerate(form.columns):
        if column.numbers is not None and not of_numbers:
            continue
        fields = [row[number] for row in rows]
        known = set(fields[:half])
        if sum(field not in known for field in fields[half:]) <= MAX_NEW * (len(fields) - half):
            closed.append(ClosedColumn(number, frozenset(fields)))
    return closed


def unknown_value_scores(sets: RecordSets) -> Iterator[Score]:
    """Yield the score of unknown values; none where records are not rows, or no column is closed."""
    form = sets.row_format
    if form is None:
        return
    training, samples, held_out = (
        [fields for record in part if (fields := form.fields(record))]
        for part in (sets.known, sets.samples, sets.held_out)
    )
    if len(training) < MIN_ROWS or not samples or not held_out:
        return
    columns = closed_columns(form, training)
    if not columns:
        return
    unknown, real = ([_unknown(row, columns) for row in part] for part in (samples, held_out))
    if len(sets.training) > len(sets.known):  # values that are rare may stand in rows that were not read so far
        elsewhere = _known_among(form, sets.training, {place for row in (*unknown, *real) for place in row})
        unknown, real = (
            [[place for place in row if place not in elsewhere] for row in part] for part in (unknown, real)
        )
    score = share_score(UNKNOWN_VALUES, list(map(bool, unknown)), list(map(bool, real)), _source(form, columns))
    common = [value for (_, value), _ in Counter(place for row in unknown for place in row).most_common(SHOWN_VALUES)]
    examples = listed([shorten(value) if value else "no value" for value in common])
    yield replace(score, note=f"such as {examples}" if examples else "")


def _unknown(row: Sequence[str], columns: Sequence[ClosedColumn]) -> list[tuple[int, str]]:
    """The values of a row that its closed columns do not have, each with the number of its column."""
    return [(column.number, row[column.number]) for column in columns if row[column.number] not in column.values]


def _known_among(form: RowFormat, records: Sequence[str], values: Set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Which of some values, each with the number of its column, stand in any of these records.

    Records are divided, since a value may stand in them with quotes or escaped."""
    if not values:
        return set()
    return {place for record in records for place in enumerate(form.fields(record) or ()) if place in values}


def _source(form: RowFormat, columns: Sequence[ClosedColumn]) -> str:
    names = [form.layout.name(column.number) for column in columns]
    return f"well-formed rows; values recur in {first_listed(names, SHOWN_COLUMNS)}"
