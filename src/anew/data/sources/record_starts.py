"""Starts of records of several lines in a large file that is read in spans."""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import IO

CHUNK = 1 << 20  # bytes that are searched at a time


class RecordStarts:
    """Searches one file forwards for the next record. What a search has passed is remembered, so that all searches together
    read the file once, however long its records are. Thread-safe."""

    def __init__(self) -> None:
        self._gaps: list[tuple[int, int]] = []  # (at, start): no record begins in [at, start); disjoint, in order
        self._lock = threading.Lock()

    def after(self, stream: IO[bytes], at: int, size: int, line_end: bytes, record: bytes) -> int:
        """The first place at or after `at` where a line begins with `record`; the size of the file where none does."""
        with self._lock:
            place = bisect_right(self._gaps, (at, size + 1))
            if place and self._gaps[place - 1][1] >= at:
                return self._gaps[place - 1][1]
            gap = self._gaps[place] if place < len(self._gaps) else None
            start = _search(stream, at, size if gap is None else gap[0], line_end, record)
            if start is None:
                start = size if gap is None else gap[1]
                del self._gaps[place : place + 1]
            self._gaps.insert(place, (at, start))
            return start


def _search(stream: IO[bytes], at: int, stop: int, line_end: bytes, record: bytes) -> int | None:
    """The first record that begins in [at, stop]."""
    width, mark = len(line_end), line_end + record
    position = (at - 1) // width * width
    stream.seek(position)
    tail = b""
    while position <= stop and (more := stream.read(CHUNK)):
        data, origin = tail + more, position - len(tail)
        place = data.find(mark)
        while place >= 0 and (origin + place) % width:
            place = data.find(mark, place + 1)
        if place >= 0:
            start = origin + place + width
            return start if start <= stop else None
        tail = data[-(len(mark) - 1) :]
        position += len(more)
    return None
