"""The values of closed fields of rows, and which of two fields go together, as arrays; see `field_views` and `field_pairs`.

Legend for shapes: W fields, T views, K values, N tokens of all values, P pairs of values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anew.core.arrays import Doubles, Ints
from anew.estimators.field_pairs import MAX_PAIRS, paired_values
from anew.estimators.field_views import ALL_DIGITS, MAX_NUMBERS, MAX_TOKENS, MAX_VALUES, closed_views
from anew.estimators.record_fields import FieldReader

# Views of a field: as it is, of rounded numbers, and of one number or two.
MAX_VIEWS = 2 + 2 * MAX_NUMBERS
INCONSISTENT = "the values of fields are inconsistent"


@dataclass(frozen=True, slots=True)
class ClosedFields:
    """The values of closed fields.

    Attributes:
        views: (T, 4) the field of each view, in rising order, and its `DigitView`.
        rates: (T,) how often further rows have other values there.
        owners: (K,) the view of each value, in rising order.
        starts: (K + 1,) where the tokens of each value begin.
        tokens: (N,) those of all values, which are in lexical order within a view. The last one is the mark or end that follows.
        pairs: (P, 2) an earlier and a later value that go together, in lexical order.
    """

    views: Ints
    rates: Doubles
    owners: Ints
    starts: Ints
    tokens: Ints
    pairs: Ints

    @classmethod
    def learn(cls, records: Sequence[Ints], reader: FieldReader, end: int, zero: int | None) -> ClosedFields | None:
        """The closed fields of records; None without any. For the arguments see `closed_views`."""
        closed_fields = closed_views(records, reader, end, zero)
        if not closed_fields:
            return None
        counts = [len(closed.values) for closed in closed_fields]
        first_values = np.cumsum([0, *counts])[:-1].tolist()
        codes = [closed.codes + first for closed, first in zip(closed_fields, first_values, strict=True)]
        pairs = paired_values(codes, [closed.field for closed in closed_fields])
        values = [value for closed in closed_fields for value in closed.values]
        return cls(
            np.array([(closed.field, *closed.view) for closed in closed_fields], dtype=np.int64),
            np.array([closed.rate for closed in closed_fields]),
            np.repeat(np.arange(len(closed_fields)), counts),
            np.cumsum([0, *map(len, values)]),
            np.array([token for value in values for token in value], dtype=np.int64),
            pairs,
        )

    def check(self, width: int, vocab_size: int) -> None:
        """Check the arrays, which may come from anybody. width: W.

        Raises:
            ValueError: They are inconsistent.
        """
        num_values = len(self.owners)
        shapes = (
            self.views.ndim == 2 and self.views.shape[1] == 4 and len(self.views) > 0,
            self.pairs.ndim == 2 and self.pairs.shape[1] == 2 and len(self.pairs) <= MAX_PAIRS,
            self.rates.shape == (len(self.views),),
            num_values > 0 and self.starts.shape == (num_values + 1,),
        )
        if not all(shapes):
            raise ValueError(INCONSISTENT)
        fields, lengths = self.views[:, 0], np.diff(self.starts)
        checks = (
            int(self.starts[0]) == 0 and int(self.starts[-1]) == len(self.tokens),
            (lengths > 0) & (lengths <= MAX_TOKENS),
            (self.tokens >= 0) & (self.tokens < vocab_size),
            (np.diff(fields) >= 0) & (fields[:-1] >= 0) & (fields[1:] < width),
            fields[0] >= 0 and fields[-1] < width,
            np.diff(self.owners) >= 0,
            self.owners[0] >= 0 and self.owners[-1] < len(fields),
            (self.views[:, 1:] >= 0) & (self.views[:, 1:] <= ALL_DIGITS),
            (self.rates >= 0.0) & (self.rates <= 1.0),
            (self.pairs >= 0) & (self.pairs < num_values),
        )
        if not all(bool(np.all(check)) for check in checks):
            raise ValueError(INCONSISTENT)
        if np.bincount(fields).max() > MAX_VIEWS or np.bincount(self.owners).max() > MAX_VALUES:
            raise ValueError(INCONSISTENT)
