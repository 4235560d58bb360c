"""How numbers and times in the fields of rows end: heaps of round numbers, cents, quarters of an hour, zeros before a number.

The value of a number hardly shows this: ages that are multiples of five are as large as others.

Legend for shapes: n rows, c columns of numbers or dates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.row_formats import Column
from anew.evaluation.metrics.text_fields import MIN_LEARNED

DIGITS = 2  # last digits that are told apart: cents; of more, each ending is rare

_DIGIT = re.compile(r"\d")
_LEADING_ZERO = re.compile(r"\D*0\d")


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
    """The minute of a time of day, and whether it has seconds. Of a number, the last digits as they are written, behind a zero if it
    begins with one that it does not need ("007"). "" of a field that holds neither."""
    number = column.number(field)
    if number is None:
        return ""
    if column.dates is not None:
        seconds = round(number % 1.0 * 86_400.0)
        return f"{seconds // 60 % 60}:{seconds % 60 > 0}"
    digits = "".join(_DIGIT.findall(field))
    return "0" * (_LEADING_ZERO.match(field) is not None) + digits[-DIGITS:]
