"""gzip files as bytes that can be read at any place."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

MAGIC = b"\x1f\x8b"
MOST = 1032  # bytes that one byte of a gzip stream can stand for
DAMAGE = (OSError, EOFError, zlib.error)  # what reading a cut or altered stream raises


def is_gzip(path: Path) -> bool:
    """Whether the file begins like gzip; OSError where it cannot be opened."""
    with path.open("rb") as stream:
        return stream.read(2) == MAGIC


def opened(path: Path) -> IO[Any]:
    """The file for reading bytes in order, inflated if it is gzip."""
    return cast(IO[Any], gzip.open(path, "rb")) if is_gzip(path) else path.open("rb")


def mapped(path: Path, limit: int) -> NDArray[np.uint8]:
    """At most `limit` bytes of a file without holding them in memory: mapped where they lie, or, if the file is gzip, from a
    nameless temporary file that goes away with the array. What follows damage in a gzip stream is missing."""
    with _temporary(path, limit) if is_gzip(path) else path.open("rb") as stream:
        empty = stream.seek(0, 2) == 0
        return np.empty(0, np.uint8) if empty else np.memmap(stream, np.uint8, "r")[:limit]


def _temporary(path: Path, limit: int) -> IO[bytes]:
    out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    written = 0
    try:
        with gzip.open(path, "rb") as stream:
            while written < limit and (chunk := stream.read(min(1 << 20, limit - written))):
                written += out.write(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        pass  # the caller refuses what is missing
    out.flush()
    return out
