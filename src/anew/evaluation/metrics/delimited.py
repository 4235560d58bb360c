"""Lists whose records are rows of fields ("17.99,10.38,0.28"): well-formed rows, and relations between columns.

Other figures read records as characters. They hardly notice a field too many, nor columns that no longer belong together.

Legend for shapes: n rows, c columns, d features.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.shares import share_score
from anew.evaluation.metrics.two_sample import two_sample_test
from anew.evaluation.score import MetricSpec, Score, Tolerance

MALFORMED_ROWS = MetricSpec(
    "malformed_rows",
    "Malformed rows",
    "Share of samples with another number of fields than rows of the data, or without a number where rows have one.",
    maximum=1.0,
    tolerance=Tolerance(
        "closeness",
        0.03,
        0.15,
        "{value:.0%} of samples are not well-formed rows (real data: {real:.0%})",
        least=50,
    ),
)
COLUMNS_AUC = MetricSpec(
    "columns_auc",
    "Classifier of columns",
    "How often a classifier of the fields, and of how they go together, picks the generated row out of a pair of a sample and a "
    "real row (0.5 = guessing, 1 = always).",
    minimum=0.5,
    maximum=1.0,
    tolerance=Tolerance(
        "closeness",
        0.15,
        0.35,
        "a classifier of the fields of rows picks the sample out of a pair {value:.0%} of the time (guessing: 50%)",
        exact_baseline=0.5,
        least=50,
    ),
)
# The comma comes after the others, since it may be the decimal sign. Blanks divide rows that have numbers, such as log lines: not
# names of two words.
DELIMITERS = "\t;|, "
MAX_READ = 20_000  # training rows that columns are learned from; more hardly change them
REGULAR = 0.9  # least share of rows with the same number of fields
# Least shares of fields that are numbers in a column of numbers, and that are numbers or frequent other values ("", "NA")
NUMERIC, KNOWN = 0.5, 0.95
MIN_ROWS = 50  # training rows that columns are learned from, at least
LEVELS = 8  # most frequent values that have a feature each, of those that are no numbers
TAIL = 0.01  # share of a column's values on each side beyond which values are clipped: they would hide all others
VARIANCE_FLOOR = 1e-6  # least variance of a direction, as a share of the mean one: fields are rounded


@dataclass(frozen=True)
class Column:
    """A column, as learned from training rows.

    Attributes:
        numbers: Sorted numbers of the column; None where it does not hold numbers.
        levels: Most frequent values that are no numbers.
    """

    numbers: Array | None
    levels: tuple[str, ...]

    def is_valid(self, field: str) -> bool:
        return self.numbers is None or field in self.levels or number(field) is not None

    def features(self, fields: Sequence[str]) -> Array:
        """(n, d) features of valid fields: a flag for each level, then a number and its rank, or the length of other values."""
        flags = np.array([[field == level for level in self.levels] for field in fields], dtype=np.float64)
        flags = flags.reshape(len(fields), len(self.levels))
        if self.numbers is None:
            return np.concatenate([flags, np.log1p([[len(field)] for field in fields])], axis=1)
        median = float(np.median(self.numbers))
        values = np.array([median if (value := number(field)) is None else value for field in fields])
        low, high = np.quantile(self.numbers, [TAIL, 1.0 - TAIL])
        ranks = np.searchsorted(self.numbers, values, "left") + np.searchsorted(self.numbers, values, "right")
        return np.column_stack([flags, np.clip(values, low, high), ranks / (2.0 * len(self.numbers))])


@dataclass(frozen=True)
class RowFormat:
    """How records are divided into fields."""

    delimiter: str
    columns: tuple[Column, ...]

    def fields(self, record: str) -> list[str] | None:
        """The fields of a record; None if it is malformed."""
        fields = split(record, self.delimiter)
        if len(fields) != len(self.columns):
            return None
        return fields if all(map(Column.is_valid, self.columns, fields)) else None

    def features(self, rows: Sequence[Sequence[str]]) -> Array:
        """(n, d) features of rows of fields."""
        return np.concatenate(
            [column.features([row[i] for row in rows]) for i, column in enumerate(self.columns)], axis=1
        )


def number(field: str) -> float | None:
    """The finite number that a field holds; a decimal comma is allowed."""
    try:
        value = float(field.strip().replace(",", "."))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def split(record: str, delimiter: str) -> list[str]:
    """The fields of a record, which may be quoted; none of a record that no reader of tables takes."""
    try:
        return next(csv.reader([record], delimiter=delimiter), [])
    except csv.Error:
        return []


def row_format(records: Sequence[str]) -> RowFormat | None:
    """The format of records that are rows of at least two fields; None for others."""
    records = [record for record in records[:MAX_READ] if record]
    for delimiter in DELIMITERS if len(records) >= MIN_ROWS else "":
        rows = [split(record, delimiter) for record in records]
        width, count = Counter(map(len, rows)).most_common(1)[0]
        if width >= 2 and count >= REGULAR * len(rows):
            regular = [row for row in rows if len(row) == width]
            columns = tuple(_column([row[i] for row in regular]) for i in range(width))
            if delimiter != " " or any(column.numbers is not None for column in columns):
                return RowFormat(delimiter, columns)
    return None


def _column(fields: Sequence[str]) -> Column:
    numbers = [value for field in fields if (value := number(field)) is not None]
    levels = Counter(field for field in fields if number(field) is None).most_common(LEVELS)
    n_known = len(numbers) + sum(count for _, count in levels)
    if len(numbers) >= NUMERIC * len(fields) and n_known >= KNOWN * len(fields):
        return Column(np.sort(np.array(numbers)), tuple(level for level, count in levels if count > 1))
    return Column(None, tuple(level for level, _ in Counter(fields).most_common(LEVELS)))


def row_scores(
    samples: Sequence[str], held_out: Sequence[str], train: Sequence[str], training: Sequence[str], seed: int
) -> Iterator[Score]:
    """Yield the scores of samples whose data are rows of fields; none for other data.

    Args:
        samples, held_out, train: Records, as many of each. For the real baseline, `train` takes the samples' place in the
            classifier. Malformed rows are counted in `held_out`, since columns are learned from the others.
        training: All training records, from which columns are learned.
        seed: Seed of the classifier's halves.
    """
    rng = np.random.default_rng(seed)
    form = row_format([training[i] for i in rng.permutation(len(training))[:MAX_READ]])
    if form is None:
        return
    rows = [[fields for record in part if (fields := form.fields(record))] for part in (samples, held_out, train)]
    malformed, real_malformed = ([not form.fields(record) for record in part] for part in (samples, held_out))
    source = f"rows of the data have {len(form.columns)} fields, divided by {form.delimiter!r}"
    yield share_score(MALFORMED_ROWS, malformed, real_malformed, source)
    n = min(map(len, rows))
    if n < MIN_ROWS:
        return
    features = [form.features(part[:n]) for part in rows]
    centre, whiten = _whitening(form.features([fields for row in training[:MAX_READ] if (fields := form.fields(row))]))
    # Of columns that hardly depart from a relation, others are a hundred deviations away: their logarithm tells both apart
    own, real, real_samples = (_compressed((part - centre) @ whiten) for part in features)  # each (n, 2 d)
    result = two_sample_test(own, real, seed)
    yield Score(
        COLUMNS_AUC,
        result.auc,
        low=result.low,
        high=result.high,
        real_baseline=two_sample_test(real_samples, real, seed).auc,
        n=result.n,
        source="a kernel classifier of numbers, ranks and frequent values of well-formed rows, trained on one half and tested on "
        "the other",
    )


def _whitening(features: Array) -> tuple[Array, Array]:
    """The mean (d,) of features of the data, and directions (d, d) in which they vary equally.

    What breaks a relation between columns is far out in one of them.
    """
    centre, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 0.0, deviation, 1.0)
    scaled = (features - centre) / deviation
    variances, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    scale = 1.0 / np.sqrt(np.maximum(variances, VARIANCE_FLOOR * variances.mean()))
    return centre, directions * scale / deviation[:, None]


def _compressed(whitened: Array) -> Array:
    """(n, 2 d) logarithmic features of whitened ones (n, d): signed, and of their size alone."""
    return np.concatenate([np.arcsinh(whitened), np.log1p(np.abs(whitened))], axis=1)
