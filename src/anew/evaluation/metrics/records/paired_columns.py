"""Rows with two values that no row of the data has together, in columns that depend on each other: a city in another state.

A classifier of columns knows a column by its most frequent values, so it hardly notices rare cities and their states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np

from anew.core.arrays import Ints
from anew.core.wording import first_listed
from anew.errors import shorten
from anew.estimators.field_pairs import related_columns
from anew.evaluation.metrics.records.closed_columns import closed_columns
from anew.evaluation.metrics.records.record_sets import RecordSets
from anew.evaluation.metrics.records.row_formats import MIN_ROWS, RowFormat
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.score import LEAST_OF_SHARES, Score, Tolerance, bounded_spec

UNKNOWN_PAIRS = bounded_spec(
    "unknown_pairs",
    "Unknown pairs",
    "Share of rows with two known values that no training row has together, among pairs of columns that hardly ever have new pairs, and "
    "would have some if they were independent.",
    Tolerance(
        "closeness",
        small=0.03,
        large=0.15,
        clause="{value:.0%} of well-formed rows have two values that no row of the data has together (real data: {real:.0%}){aside}",
        least=LEAST_OF_SHARES,
        explains_others=True,
    ),
)
SHOWN_PAIRS = 3  # pairs of columns that a sentence names
Columns = tuple[int, int]  # their numbers, in rising order
Pair = tuple[Columns, tuple[str, str]]  # two columns and their values
Rows = Sequence[Sequence[str]]


def unknown_pair_scores(sets: RecordSets) -> Iterator[Score]:
    """Yield the score of unknown pairs; none where records are not rows, or no columns depend on each other."""
    form = sets.row_format
    if form is None:
        return
    training, samples, held_out = (_rows(form, part) for part in (sets.known, sets.samples, sets.held_out))
    if len(training) < MIN_ROWS or not samples or not held_out:
        return
    columns = closed_columns(form, training, of_numbers=True)
    numbers = {column.number: {value: i for i, value in enumerate(column.values)} for column in columns}
    codes, of_samples, of_held_out = (_codes(part, numbers) for part in (training, samples, held_out))
    related = related_columns(codes)
    if not related:
        return
    unknown, real = (
        _unknown(part, part_codes, codes, related)
        for part, part_codes in ((samples, of_samples), (held_out, of_held_out))
    )
    if len(sets.training) > len(sets.known):  # rare pairs may stand in rows that were not read so far
        elsewhere = _known_among(form, sets.training, {pair for row in (*unknown, *real) for pair in row})
        unknown, real = ([[pair for pair in row if pair not in elsewhere] for row in part] for part in (unknown, real))
    source = "well-formed rows; values go together in " + first_listed(
        [f"{form.layout.name(first)} and {form.layout.name(second)}" for first, second in related], SHOWN_PAIRS
    )
    score = share_score(UNKNOWN_PAIRS, list(map(bool, unknown)), list(map(bool, real)), source)
    yield replace(score, note=_example(form, [pair for row in unknown for pair in row]))


def _rows(form: RowFormat, records: Sequence[str]) -> list[list[str]]:
    return [fields for record in records if (fields := form.fields(record))]


def _codes(rows: Rows, numbers: Mapping[int, Mapping[str, int]]) -> dict[int, Ints]:
    """The numbers (n,) of the rows' values by column; -1 for unknown values."""
    return {
        column: np.array([of_values.get(row[column], -1) for row in rows], dtype=np.int64)
        for column, of_values in numbers.items()
    }


def _unknown(
    rows: Rows, codes: Mapping[int, Ints], known: Mapping[int, Ints], related: Sequence[Columns]
) -> list[list[Pair]]:
    """The pairs of known values of each row that no known row has. codes, known: see `_codes`; of these rows, and of known ones."""
    unknown: list[list[Pair]] = [[] for _ in rows]
    for first, second in related:
        count = int(known[second].max()) + 1
        pairs, known_pairs = (of_rows[first] * count + of_rows[second] for of_rows in (codes, known))
        is_new = ~np.isin(pairs, known_pairs) & (codes[first] >= 0) & (codes[second] >= 0)
        for number in np.flatnonzero(is_new).tolist():
            unknown[number].append(((first, second), (rows[number][first], rows[number][second])))
    return unknown


def _known_among(form: RowFormat, records: Sequence[str], pairs: Set[Pair]) -> set[Pair]:
    """Which of some pairs stand in any of these records."""
    related = {columns for columns, _ in pairs}
    if not related:
        return set()
    all_pairs = ((columns, (row[columns[0]], row[columns[1]])) for row in _rows(form, records) for columns in related)
    return {pair for pair in all_pairs if pair in pairs}


def _example(form: RowFormat, unknown: Sequence[Pair]) -> str:
    """A clause that names the columns with most unknown pairs, and an example; "" without any."""
    if not unknown:
        return ""
    (first, second), _ = Counter(columns for columns, _ in unknown).most_common(1)[0]
    values = next(values for columns, values in unknown if columns == (first, second))
    names = f"{form.layout.name(first)} and {form.layout.name(second)}"
    return f"such as {' with '.join(shorten(value) if value else 'no value' for value in values)} in {names}"
