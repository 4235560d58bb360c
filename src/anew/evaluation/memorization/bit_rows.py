"""Rows of bits, packed: permutations of labels. A thousand rows of a hundred thousand labels take 13 MB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Integers

# Bits that are unpacked at once: bounds memory, to 4 MB and running counts of them to 16; chosen
BITS_AT_ONCE = 4_000_000


class BitRows:
    """Rows (r, columns) of zeros and ones.

    Args:
        rows: Each (columns,) of bools, or of zeros and ones; at least one. They are packed one by one.
    """

    def __init__(self, rows: Iterable[Bools | NDArray[np.uint8]]) -> None:
        self.num_columns, packed = 0, []
        for row in rows:
            self.num_columns = len(row)
            packed.append(np.packbits(row))
        self._packed = np.stack(packed)

    def __len__(self) -> int:
        return len(self._packed)

    def first(self, columns: Integers) -> Bools:
        """(k,) the bits of the first row at these columns."""
        return np.asarray(self._unpacked(slice(1))[0, columns], dtype=np.bool_)

    def parts(self, columns: Integers) -> Iterator[NDArray[np.uint8]]:
        """The bits of all rows at these columns (k,): (r, k) in parts of some rows, one after another."""
        at_once = max(BITS_AT_ONCE // max(self.num_columns, len(columns), 1), 1)
        for start in range(0, len(self), at_once):
            yield self._unpacked(slice(start, start + at_once))[:, columns]

    def with_first(self, row: NDArray[np.uint8] | Bools, without: int, count: int) -> BitRows:
        """Another first row, (columns,), and the first `count` of the others but for row `without`, which is not 0."""
        changed = BitRows([row])
        # Slices, since an index would copy them once more
        others = self._packed[1 : min(without, count + 1)], self._packed[without + 1 : max(count + 2, without + 1)]
        changed._packed = np.concatenate([changed._packed, *others])
        return changed

    def row(self, number: int) -> NDArray[np.uint8]:
        """(columns,) one of the rows."""
        return np.asarray(self._unpacked(slice(number, number + 1))[0])

    def _unpacked(self, rows: slice) -> NDArray[np.uint8]:
        """(k, columns) some of the rows."""
        return np.unpackbits(self._packed[rows], axis=1, count=self.num_columns)
