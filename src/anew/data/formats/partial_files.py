"""Local stand-ins of files in stores, of which only some ranges are there: for libraries that want a path. The rest is a hole."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from anew.core import files
from anew.data.formats.by_range import Distant

LEFT_S = 86_400.0  # seconds after which a stand-in is one that a kill left behind


class PartialFile:
    """A file that is as long as one in a store, with these of its bytes; it goes away with this object.

    Args:
        stored: The file in its store.
        ranges: (start, stop) of what is needed.

    Attributes:
        path: Its place.

    Raises:
        OSError: It cannot be written.
        DataError: The store cannot be read.
    """

    def __init__(self, stored: Distant, ranges: Sequence[tuple[int, int]]) -> None:
        folder = files.cache_root(None) / "parts"
        folder.mkdir(parents=True, exist_ok=True)
        _remove_left(folder)
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


def _remove_left(folder: Path) -> None:
    for path in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - LEFT_S:
                path.unlink()
