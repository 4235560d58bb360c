"""Sparse local copies of some ranges of files in stores, for libraries that need a path."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from anew.core import files
from anew.data.formats.by_range import FileInStore

ABANDONED_SECONDS = 86_400.0  # a copy of this age was left behind by a killed process


class PartialFile:
    """A sparse copy of a file in a store, with only some ranges of its bytes. It is deleted with this object.

    Args:
        stored: The file in its store.
        ranges: (start, stop) of the ranges to copy.

    Attributes:
        path: Path of the local file.

    Raises:
        OSError: The copy cannot be written.
        DataError: The store cannot be read.
    """

    def __init__(self, stored: FileInStore, ranges: Sequence[tuple[int, int]]) -> None:
        folder = files.cache_root(None) / "parts"
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        for start, stop in ranges:
            stored.store.prefetch(stored.file, start, stop)
        handle, self.path = tempfile.mkstemp(dir=folder, suffix=".part")
        weakref.finalize(self, _remove, self.path)
        with os.fdopen(handle, "wb") as stream:
            stream.truncate(stored.file.bytes or 0)
            for start, stop in ranges:
                stream.seek(start)
                stream.write(stored.store.read(stored.file, start, stop))


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                path.unlink()
