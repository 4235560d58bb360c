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

ABANDONED_SECONDS = 86_400.0  # a copy that nobody used for so long was probably left behind by a killed process


class PartialFile:
    """A sparse copy of a file in a store, with only some ranges of its bytes. It is deleted with this object.

    Args:
        ranges: (start, stop) of the ranges to copy.

    Raises:
        OSError: The copy cannot be written.
        DataError: The store cannot be read.
    """

    def __init__(self, stored: FileInStore, ranges: Sequence[tuple[int, int]]) -> None:
        self._stored, self._ranges = stored, ranges
        self._path = self._new_copy()
        weakref.finalize(self, _remove, self._path)

    @property
    def path(self) -> str:
        """Path of the local file. Raises the errors of a new copy, which is made if another process took this one for abandoned."""
        try:
            os.utime(self._path)
        except FileNotFoundError:
            os.replace(self._new_copy(), self._path)
        return self._path

    def _new_copy(self) -> str:
        folder = files.cache_root(None) / "parts"
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        store, file = self._stored.store, self._stored.file
        for start, stop in self._ranges:
            store.prefetch(file, start, stop)
        handle, path = tempfile.mkstemp(dir=folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.truncate(file.bytes or 0)
                for start, stop in self._ranges:
                    stream.seek(start)
                    stream.write(store.read(file, start, stop))
        except BaseException:  # whatever ended it, nothing is left behind
            _remove(path)
            raise
        return path


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                path.unlink()
