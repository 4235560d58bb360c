"""Sets of 64-bit keys: a set of Python takes 90 bytes for each, and a run on ten million records keeps those of its held-out ones."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np

FLAGS_PER_KEY = 4  # so that four of five other keys are told by one look; chosen


class KeySet:
    """Keys, evenly spread over 64 bits. To add some takes as long as to sort all."""

    def __init__(self) -> None:
        self._keys = array("Q")  # rising
        # Whether there is a key that begins with these bits
        self._flags, self._shift = bytearray(1), 64

    def __len__(self) -> int:
        return len(self._keys)

    def add_all(self, keys: Iterable[int]) -> None:
        """Add keys."""
        self._keys.extend(keys)
        different = np.unique(np.frombuffer(self._keys, dtype=np.uint64))
        self._keys = array("Q", different.tobytes())
        num_bits = (FLAGS_PER_KEY * len(different)).bit_length()
        self._shift = 64 - num_bits
        flags = np.zeros(1 << num_bits, dtype=np.uint8)
        if num_bits:
            flags[(different >> np.uint64(self._shift)).astype(np.int64)] = 1
        self._flags = bytearray(flags.tobytes())

    def __contains__(self, key: int) -> bool:
        if not self._flags[key >> self._shift]:
            return False
        place = bisect_left(self._keys, key)
        return place < len(self._keys) and self._keys[place] == key
