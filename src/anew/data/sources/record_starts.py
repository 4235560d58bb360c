"""Starts of records of several lines in a large file that is read in spans."""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import IO

CHUNK_BYTES = 1 << 20  # bytes searched at a time, which bounds memory


class RecordStarts:
    """Searches one file forwards for the next record. Searched ranges are remembered, so that all searches together read the
    file only once, however long its records are. Thread-safe."""

    def __init__(self) -> None:
        self._gaps: list[tuple[int, int]] = []  # (at, start): no record begins in [at, start); disjoint, in order
        self._lock = threading.Lock()

    def after(self, stream: IO[bytes], at: int, size: int, line_end: bytes, record: bytes) -> int:
        """The first place at or after `at` where a line begins with `record`; the size of the file if there is none."""
        with self._lock:
            index = bisect_right(self._gaps, (at, size + 1))
            if index and self._gaps[index - 1][1] >= at:
                return self._gaps[index - 1][1]
            gap = self._gaps[index] if index < len(self._gaps) else None
            start = _search(stream, at, size if gap is None else gap[0], line_end, record)
            if start is None:
                start = size if gap is None else gap[1]
                del self._gaps[index : index + 1]
            self._gaps.insert(index, (at, start))
            return start


def _search(stream: IO[bytes], at: int, stop: int, line_end: bytes, record: bytes) -> int | None:
    """The first record that begins in [at, stop]."""
    width, mark = len(line_end), line_end + record
    position = (at - 1) // width * width
    stream.seek(position)
    tail = b""
    while position <= stop and (more := stream.read(CHUNK_BYTES)):
        data, origin = tail + more, position - len(tail)
        index = data.find(mark)
        while index >= 0 and (origin + index) % width:
            index = data.find(mark, index + 1)
        if index >= 0:
            start = origin + index + width
            return start if start <= stop else None
        tail = data[-(len(mark) - 1) :]
        position += len(more)
    return None
