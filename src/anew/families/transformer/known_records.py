"""Remembers which whole records were in the training part, so that samples can differ from them.

Copies of a record stay in one part when the data is split, so a held-out record is never one of the training part. A model of
the symbols does not know that; redrawing samples that are training records conditions on it. It is also what people expect from a
list of names, molecules or proteins: new records. If most records repeat, as the lines of a log do, repetition is a property of
the data: then nothing is kept, and a sample may repeat records. Held-out records do so too where the split takes repeats for draws
from a distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

# Samples avoid known records up to this share of records that occur more than once: in a list of names with 8%, copies were
# reported (docs/log.md, 2026-11-27).
MAX_REPEATED = 0.5
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
        """Keep the hashes of records (ids with begin and end), unless most of them repeat."""
        record_hashes = [record_hash for record_hash in map(self.hash_of, sequences) if record_hash is not None]
        unique, counts = np.unique(np.array(record_hashes, dtype=np.int64), return_counts=True)
        if len(unique) and counts[counts > 1].sum() <= MAX_REPEATED * len(record_hashes):
            self.register_buffer("hashes", torch.from_numpy(unique).to(self.get_buffer("place").device))

    def hash_of(self, ids: Ints) -> int | None:
        """Hash of a whole record, with or without its begin token; None for other ids: without an end, or read backwards."""
        ends = np.flatnonzero(ids == self.end_id)
        if not len(ends):
            return None
        first = int(len(ids) > 0 and ids[0] == self.begin_id)
        content = ids[first : int(ends[0])].astype("<i4")
        return int.from_bytes(blake2b(content.tobytes(), digest_size=8).digest(), "little", signed=True)

    def among(self, rows: Ints) -> Ints:
        """Indices of those rows (n, L) that are training records."""
        row_hashes = [self.hash_of(row) for row in rows]
        stored, values = self.stored(), np.array([value or 0 for value in row_hashes], dtype=np.int64)
        places = np.searchsorted(stored, values).clip(max=len(stored) - 1)
        is_known = stored[places] == values if len(stored) else np.zeros(len(values), dtype=bool)
        return np.flatnonzero(is_known & np.array([value is not None for value in row_hashes], dtype=bool))

    def allocate_buffers(self, shapes: Mapping[str, torch.Size]) -> None:
        """Make empty buffers for a state dict, whose names have no prefix."""
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
