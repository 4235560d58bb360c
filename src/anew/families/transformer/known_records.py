"""Which whole records were in the training part, so that samples can be other ones.

Copies of a record stay in one part when the data is split, so a held-out record is never one of the training part. A model
of the symbols does not know that; drawing such a sample again is to condition on it. It is also what people ask of a list
of names, molecules or proteins: records that are not there yet. Where most records repeat, as the lines of a log do, those
that recur are what the data is made of: nothing is kept, and a sample may repeat them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

# Share of records that occur more than once, up to which samples are to be other ones: in a list of names where 8%
# do, copies were named (docs/log.md, 2026-11-27).
MOST_REPEATED = 0.5
Ints = NDArray[np.int64]


class KnownRecords(nn.Module):
    """Hashes of training records as a buffer.

    Args:
        special: Ids of the symbols that are not part of a record's content, by name.
    """

    def __init__(self, special: Mapping[str, int]) -> None:
        super().__init__()
        self.begin_id, self.end_id = special.get("begin"), special.get("end")
        self.register_buffer("place", torch.zeros(0), persistent=False)  # says on which device this is

    @property
    def is_fitted(self) -> bool:
        return "hashes" in self._buffers

    def stored(self) -> Ints:
        """(K,) hashes in rising order."""
        hashes: Ints = self.get_buffer("hashes").cpu().numpy()
        return hashes

    def fit(self, sequences: Sequence[Ints]) -> None:
        """Keep the hashes of records, each of ids with begin and end, unless most of them repeat."""
        record_hashes = [record_hash for record_hash in map(self.hash_of, sequences) if record_hash is not None]
        unique, counts = np.unique(np.array(record_hashes, dtype=np.int64), return_counts=True)
        if len(unique) and counts[counts > 1].sum() <= MOST_REPEATED * len(record_hashes):
            self.register_buffer("hashes", torch.from_numpy(unique).to(self.get_buffer("place").device))

    def hash_of(self, ids: Ints) -> int | None:
        """Of a whole record, with or without its begin; None where ids are not one: without an end, or read backwards."""
        ends = np.flatnonzero(ids == self.end_id)
        if not len(ends):
            return None
        first = int(len(ids) > 0 and ids[0] == self.begin_id)
        content = ids[first : int(ends[0])].astype("<i4")
        return int.from_bytes(blake2b(content.tobytes(), digest_size=8).digest(), "little", signed=True)

    def among(self, rows: Ints) -> Ints:
        """Indices of those rows (n, L) that are training records."""
        row_hashes = [self.hash_of(row) for row in rows]
        known = np.isin(np.array([h or 0 for h in row_hashes], dtype=np.int64), self.stored())
        return np.flatnonzero(known & np.array([h is not None for h in row_hashes], dtype=bool))

    def allocate_buffers(self, shapes: Mapping[str, torch.Size]) -> None:
        """Empty buffers for a state dict, whose names come without prefix."""
        if "hashes" in shapes:
            device = self.get_buffer("place").device
            self.register_buffer("hashes", torch.zeros(shapes["hashes"], dtype=torch.int64, device=device))

    def check(self) -> None:
        """Check the buffer, which may come from anybody.

        Raises:
            ValueError: It is not a sorted list.
        """
        if self.is_fitted and (self.stored().ndim != 1 or (np.diff(self.stored()) <= 0).any()):
            raise ValueError("the hashes of known records are inconsistent")
