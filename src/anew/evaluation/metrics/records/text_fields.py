"""Relations between the text of a field and other fields of its row: a Japanese name does not belong to a Norwegian place.

Texts have too many values for a feature each. Here the class of another field (a frequent value, or a quarter of the range of
numbers) is predicted from the character n-grams of the text, by naive Bayes learned from training rows that are not compared.

`FieldEndings` says how the numbers of a field end.

Legend for shapes: n rows, k classes, g n-grams of all rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anew.core.arrays import Integers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.records.row_formats import Column
from anew.functional.text_hashes import code_points, ngram_cells

WIDTHS = (1, 2, 3)  # characters of an n-gram: they overlap, so the evidence of all is divided by their number
CELLS = 8_192  # size of the hash table of n-grams: a few that share a cell do no harm
MAX_CHARACTERS = 200  # so much of a text is read; chosen: longer ones repeat what they say
PRIOR_NGRAMS = 100.0  # n-grams of all classes that each class is credited with: 30 to 3,000 tell classes equally well
MAX_LEARNED = 5_000  # rows that a prediction is learned from; chosen
MIN_LEARNED = 200  # rows, at least; chosen: fewer tell no classes apart
CHECK_EVERY = 4  # every fourth row is not learned from, but tells whether a text says anything about a field
EVIDENCE = 4.0  # standard errors by which it must
MAX_PREDICTIONS = 8  # the strongest are used: a classifier of few rows cannot weigh more
MIN_OF_CLASS, MAX_CLASSES = 10, 24  # rows of a class, and classes, of which the last holds all others; chosen
# Quantiles that divide a column of numbers into four classes, which are equally frequent; chosen.
QUARTERS = (0.25, 0.5, 0.75)
MIN_DISTINCT_SHARE = 0.2  # least share of distinct values that makes a column one of texts; others are classes
DIGITS = 2  # last digits that are told apart: cents; of more, each ending is rare
_DIGIT = re.compile(r"\d")
_LEADING_ZERO = re.compile(r"\D*0\d")


@dataclass(frozen=True)
class NGrams:
    """The character n-grams of some texts: their cells (g,), and where those of each text start (n,)."""

    cells: Integers
    starts: Integers

    @classmethod
    def of(cls, texts: Sequence[str]) -> NGrams:
        cells = [_cells(text) for text in texts]
        return cls(np.concatenate(cells), np.cumsum([0, *map(len, cells[:-1])]))

    def rows(self) -> Integers:
        """The number of the text that each n-gram belongs to, (g,)."""
        lengths = np.diff(self.starts, append=len(self.cells))
        return np.repeat(np.arange(len(self.starts)), lengths)


@dataclass(frozen=True)
class Classes:
    """The classes of a column, which other columns may tell.

    Attributes:
        values: Values that are a class each; all others are one more. Empty for numbers.
        ends: Ends of the quarters of a column of numbers.
    """

    values: tuple[str, ...]
    ends: Array

    @classmethod
    def of(cls, fields: Sequence[str], numbers: Array | None) -> Classes | None:
        """The classes of a column; None if it has but one. numbers: its numbers, if it holds numbers."""
        ends = np.zeros(0) if numbers is None else np.unique(np.quantile(numbers, QUARTERS))
        frequent = Counter(fields).most_common(MAX_CLASSES - 1) if numbers is None else []
        values = tuple(value for value, count in frequent if count >= MIN_OF_CLASS)
        has_others = sum(count for _, count in frequent[: len(values)]) < len(fields)
        is_divided = len(ends) > 0 or (len(values) + has_others > 1 and len(values) > 0)
        return cls(values, ends) if is_divided else None

    def __len__(self) -> int:
        return len(self.values) + len(self.ends) + 1

    def numbers_of(self, fields: Sequence[str], values: Array | None) -> Integers:
        """The class (n,) of each field. values: its numbers (n,), if the column holds numbers."""
        if values is not None:
            return np.searchsorted(self.ends, values, "right")
        numbers = {value: i for i, value in enumerate(self.values)}
        return np.array([numbers.get(field, len(self.values)) for field in fields], dtype=np.intp)


@dataclass(frozen=True)
class ClassPrediction:
    """Predicts the class of a column from the text of another.

    Attributes:
        evidence: (k, CELLS) log-ratios of an n-gram's frequency in texts of a class to that in all.
        prior: (k,) log shares of the classes.
    """

    evidence: Array
    prior: Array

    @classmethod
    def learn(cls, ngrams: NGrams, classes: Integers, num_classes: int) -> ClassPrediction:
        index = classes[ngrams.rows()] * CELLS + ngrams.cells
        counts = np.bincount(index, minlength=num_classes * CELLS).reshape(num_classes, CELLS).astype(np.float64)
        overall = (counts.sum(axis=0) + 0.5) / (counts.sum() + 0.5 * CELLS)
        totals = counts.sum(axis=1, keepdims=True)
        evidence = np.log((counts + PRIOR_NGRAMS * overall) / (totals + PRIOR_NGRAMS)) - np.log(overall)
        rows = np.bincount(classes, minlength=num_classes)
        return cls(evidence / len(WIDTHS), np.log((rows + 0.5) / (rows.sum() + 0.5 * num_classes)))

    def log_ratios(self, ngrams: NGrams) -> Array:
        """(n, k) log-ratios of the probability of each class, given a text, to its share in the data."""
        likelihood = np.stack([np.add.reduceat(row[ngrams.cells], ngrams.starts) for row in self.evidence], axis=1)
        joint = likelihood + self.prior
        return np.asarray(likelihood - np.logaddexp.reduce(joint, axis=1, keepdims=True))


def _cells(text: str) -> Integers:
    """The cell of each character n-gram of a text, whose ends count as characters; at least one."""
    x = code_points(f"\0{text[:MAX_CHARACTERS]}\0")
    return np.concatenate([ngram_cells(x, width, CELLS) for width in WIDTHS])


@dataclass(frozen=True)
class Relation:
    """The relation of the text of a column to another column: the numbers of both, and how the text predicts classes of the other."""

    text: int
    other: int
    classes: Classes
    prediction: ClassPrediction


@dataclass(frozen=True)
class TextRelations:
    """The relations of a list's texts to its other columns."""

    columns: tuple[Column, ...]
    relations: tuple[Relation, ...]

    @classmethod
    def learn(cls, columns: tuple[Column, ...], rows: Sequence[Sequence[str]]) -> TextRelations:
        """The strongest relations among rows of fields, in random order; none among few rows."""
        rows = rows[:MAX_LEARNED]
        if len(rows) < MIN_LEARNED:
            return cls(columns, ())
        fields = list(zip(*rows, strict=True))
        classes = [Classes.of(own, column.numbers) for own, column in zip(fields, columns, strict=True)]
        relations = [
            relation
            for text, column in enumerate(columns)
            if column.numbers is None and len(set(fields[text])) >= MIN_DISTINCT_SHARE * len(rows)
            for relation in _relations(columns, fields, classes, text)
        ]
        relations.sort(key=lambda strength: -strength[0])
        return cls(columns, tuple(relation for _, relation in relations[:MAX_PREDICTIONS]))

    def features(self, rows: Sequence[Sequence[str]]) -> Array:
        """(n, r) how well the class of each row goes with its text, for each relation: its log-ratio."""
        fields = list(zip(*rows, strict=True))
        features = np.zeros((len(rows), len(self.relations)))
        for i, relation in enumerate(self.relations):
            ratios = relation.prediction.log_ratios(NGrams.of(fields[relation.text]))
            other_field = fields[relation.other]
            features[:, i] = ratios[
                np.arange(len(rows)), _class_numbers(relation.classes, self.columns, other_field, relation.other)
            ]
        return features


def _class_numbers(classes: Classes, columns: Sequence[Column], fields: Sequence[str], column: int) -> Integers:
    return classes.numbers_of(fields, columns[column].values(fields))


def _relations(
    columns: Sequence[Column], fields: Sequence[Sequence[str]], classes: Sequence[Classes | None], text: int
) -> Iterator[tuple[float, Relation]]:
    """Yield the relations of a column of texts, each with the evidence for it in rows that it was not learned from."""
    is_checked = np.arange(len(fields[text])) % CHECK_EVERY == 0
    learned, checked = (
        NGrams.of([field for field, is_in in zip(fields[text], part, strict=True) if is_in])
        for part in (~is_checked, is_checked)
    )
    for other, own in enumerate(classes):
        if other == text or own is None:
            continue
        numbers = _class_numbers(own, columns, fields[other], other)
        prediction = ClassPrediction.learn(learned, numbers[~is_checked], len(own))
        ratios, real = prediction.log_ratios(checked), numbers[is_checked]
        rows = np.arange(len(real))
        gain = ratios[rows, real] - ratios[rows, np.roll(real, 1)]
        error = float(gain.std()) / np.sqrt(len(gain))
        if error > 0.0 and gain.mean() > EVIDENCE * error:
            yield float(gain.mean()) / error, Relation(text, other, own, prediction)


@dataclass(frozen=True)
class FieldEndings:
    """How often the numbers and dates of each column end in each way.

    Attributes:
        columns: The columns of the data.
        log_shares: Logarithms of the shares of rows with each ending, by the number of the column; none of few rows.
    """

    columns: tuple[Column, ...]
    log_shares: Mapping[int, Mapping[str, float]]

    @classmethod
    def learn(cls, columns: tuple[Column, ...], rows: Sequence[Sequence[str]]) -> FieldEndings:
        """The endings of rows of fields that are not compared themselves: theirs would be known by heart."""
        if len(rows) < MIN_LEARNED:
            return cls(columns, {})
        counts = {
            i: Counter(_ending(row[i], column) for row in rows)
            for i, column in enumerate(columns)
            if column.numbers is not None
        }
        return cls(
            columns,
            {
                i: {ending: float(np.log(count / len(rows))) for ending, count in of_column.items()}
                for i, of_column in counts.items()
            },
        )

    def features(self, rows: Sequence[Sequence[str]]) -> Array:
        """(n, c) how usual the endings of each row are; one that was not learned counts as half as frequent as the rarest."""
        features = np.zeros((len(rows), len(self.log_shares)))
        for place, (i, of_column) in enumerate(self.log_shares.items()):
            unknown = min(of_column.values()) - float(np.log(2.0))
            features[:, place] = [of_column.get(_ending(row[i], self.columns[i]), unknown) for row in rows]
        return features


def _ending(field: str, column: Column) -> str:
    """The minute of a time of day, and whether it has seconds. The last digits of a number as they are written, after a zero if it begins
    with one that it does not need ("007"). "" for a field that holds neither."""
    number = column.number(field)
    if number is None:
        return ""
    if column.dates is not None:
        seconds = round(number % 1.0 * 86_400.0)
        return f"{seconds // 60 % 60}:{seconds % 60 > 0}"
    digits = "".join(_DIGIT.findall(field))
    return "0" * (_LEADING_ZERO.match(field) is not None) + digits[-DIGITS:]
