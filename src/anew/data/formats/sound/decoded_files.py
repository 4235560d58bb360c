"""Sound files that were decoded last, in memory: finding what a file holds, comparing it and learning it follow each other."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

# The worker is asked for a batch of files, then for the clips of these: twice a batch, of stereo of 44.1 kHz and 2 s; chosen
MAX_BYTES = 1 << 27
MAX_SHARE = 0.125  # of these bytes that one file may take: a long one would drive out the others; chosen


class DecodedFiles:
    """Samples by a key that says which file they are of and how it was read. Thread-safe. What it keeps cannot be changed any more."""

    def __init__(self) -> None:
        self._bytes = 0
        self._files: OrderedDict[Hashable, tuple[NDArray[np.float32], int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> tuple[NDArray[np.float32], int] | None:
        """The samples (N,) or (N, 2) of a file and their rate in Hz; None if they are not kept."""
        with self._lock:
            if key in self._files:
                self._files.move_to_end(key)
            return self._files.get(key)

    def keep(self, key: Hashable, samples: NDArray[np.float32], rate: int) -> None:
        """Keep the samples (N,) or (N, 2) of a file in place of those that were not asked for the longest time."""
        if samples.nbytes > MAX_SHARE * MAX_BYTES:
            return
        with self._lock:
            if key in self._files:
                return
            samples.flags.writeable = False
            self._files[key] = samples, rate
            self._bytes += samples.nbytes
            while self._bytes > MAX_BYTES:
                self._bytes -= self._files.popitem(last=False)[1][0].nbytes
