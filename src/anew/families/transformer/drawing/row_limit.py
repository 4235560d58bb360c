"""Samples of rows have as many fields as those of the data, values that the data has in closed fields, and values that go together there.

A model that spells its values one character after the other invents many (`Louisuana`), and pairs a city with another state. Therefore
values that the data lacks are drawn in as few samples as further rows have them, and pairs that it lacks in none.

Legend for shapes: n samples, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from anew.core.arrays import Ints
from anew.core.random import sample_generator
from anew.estimators.closed_fields import INCONSISTENT, ClosedFields
from anew.estimators.record_fields import MAX_FIELDS, MIN_FIELDS, FieldReader
from anew.families.transformer.drawing.row_state import RowLimitState, RowValues, Symbols
from anew.families.transformer.fitted_buffers import FittedBuffers

ZERO = b"0"
LEFT_OUT = "the check that rows have as many fields as those of the data, and, in fields whose values recur, only values of the data"


class RowLimit(FittedBuffers):
    """The fields of training rows and their values, as buffers. Without rows there are none, and samples are not limited.

    Args:
        spellings: (V,) the bytes of each token; () where there are none.
        special: Ids of the symbols that are not part of a record's content, by name.
    """

    dtypes: Mapping[str, torch.dtype] = {
        "roles": torch.uint8,
        "width": torch.int64,
        "views": torch.int64,
        "rates": torch.float64,
        "owners": torch.int32,
        "starts": torch.int64,
        "tokens": torch.int32,
        "pairs": torch.int32,
    }

    def __init__(self, spellings: Sequence[bytes], special: Mapping[str, int]) -> None:
        super().__init__()
        # Records that are read from both ends are sequences
        self.spellings = () if "back" in special else spellings
        self.begin_id, self.end_id = special.get("begin", -1), special.get("end", -1)
        self._rows: RowValues | None = None

    @property
    def is_fitted(self) -> bool:
        return "roles" in self._buffers

    @property
    def left_out(self) -> tuple[str, ...]:
        return (LEFT_OUT,) if self.is_fitted else ()

    def fit(self, records: Sequence[Ints]) -> None:
        """Learn the values of records, if they are rows with closed fields."""
        records = [record for record in records if len(record) > 1]
        reader = FieldReader.without_parents(records, self.spellings) if self.spellings and records else None
        closed = None if reader is None else ClosedFields.learn(records, reader, self.end_id, self._zero)
        self.drop_buffers(*self.dtypes)
        if reader is not None and closed is not None:
            self.set_buffers(
                {
                    "roles": reader.roles,
                    "width": np.array([len(reader.parents)]),
                    "views": closed.views,
                    "rates": closed.rates,
                    "owners": closed.owners.astype(np.int32),
                    "starts": closed.starts,
                    "tokens": closed.tokens.astype(np.int32),
                    "pairs": closed.pairs.astype(np.int32),
                }
            )

    @property
    def _zero(self) -> int | None:
        return self.spellings.index(ZERO) if ZERO in self.spellings else None

    def _values(self) -> ClosedFields:
        arrays = self.arrays()
        views, owners, starts, tokens, pairs = (
            arrays[name].astype(np.int64) for name in ("views", "owners", "starts", "tokens", "pairs")
        )
        return ClosedFields(views, arrays["rates"].astype(np.float64), owners, starts, tokens, pairs)

    def check(self) -> None:
        if not self.is_fitted:
            return
        shapes = {name: buffer.shape for name, buffer in self._buffers.items() if buffer is not None}
        if (
            not self.dtypes.keys() <= shapes.keys()
            or shapes["roles"] != (len(self.spellings),)
            or shapes["width"] != (1,)
        ):
            raise ValueError(INCONSISTENT)
        width = int(self.get_buffer("width"))
        if not MIN_FIELDS <= width < MAX_FIELDS:
            raise ValueError(INCONSISTENT)
        self._values().check(width, len(self.spellings))

    def clear_cache(self) -> None:
        self._rows = None

    def start(self, keys: Sequence[tuple[int, ...]]) -> RowLimitState | None:
        """The limit of samples of which nothing has been read; None where samples are not limited. keys: see `keys_of_attempts`."""
        if not self.is_fitted:
            return None
        if self._rows is None:
            roles, width = self.get_buffer("roles").cpu().numpy(), int(self.get_buffer("width"))
            symbols = Symbols(roles, self.begin_id, self.end_id, self._zero or 0)
            self._rows = RowValues.of(self._values(), width, symbols)
        num_views = len(self._rows.closed.views)
        uniforms = [
            torch.rand(num_views, generator=sample_generator(seed, "rows", *numbers)).numpy() for seed, *numbers in keys
        ]
        return RowLimitState(self._rows, np.stack(uniforms))
