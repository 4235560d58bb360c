"""Reading of gzip files, and of plain files in the same way."""

from __future__ import annotations

import contextlib
import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from anew.data import limits
from anew.data.formats import by_range

MAGIC = b"\x1f\x8b"
HEAD_BYTES = 1 << 13  # bytes that are inflated to detect what a file holds
CHUNK = 1 << 16  # compressed bytes that are read at once
DAMAGE = (OSError, EOFError, zlib.error)  # errors that a truncated or damaged stream raises


def is_packed(data: bytes) -> bool:
    """Whether the bytes of a file are those of gzip."""
    return data.startswith(MAGIC)


def inflate(data: bytes) -> bytes:
    """The bytes of a text file, inflated if it is gzip. Raises ValueError (one clause) if it is damaged or too large."""
    if not is_packed(data):
        return data
    max_bytes = limits.GZIP_TEXT_BYTES
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            inflated = stream.read(max_bytes + 1)
    except DAMAGE:
        raise ValueError("it is damaged gzip data") from None
    if len(inflated) > max_bytes:
        raise ValueError(
            f"inflates to more than {limits.size(max_bytes)}; unpack it, since plain files are read in pieces"
        )
    return inflated


def inflate_head(head: bytes) -> bytes:
    """The first bytes of a text file, inflated from its first bytes `head`; `head` itself if it is not gzip."""
    if not is_packed(head):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def is_gzip(path: Path) -> bool:
    """Whether a file begins like gzip. Raises OSError if it cannot be opened."""
    with by_range.open_file(path) as stream:
        return is_packed(stream.read(2))


def open_file(path: Path) -> IO[bytes]:
    """Open a file for reading bytes in order, inflated if it is gzip."""
    return cast(IO[bytes], gzip.open(path, "rb")) if is_gzip(path) else path.open("rb")


def map_file(path: Path, limit: int) -> NDArray[np.uint8]:
    """Map at most `limit` bytes of a file, without holding them in memory.

    A gzip file is inflated into a nameless temporary file, which is removed with the array; bytes after damage are missing.
    """
    with _temporary(path, limit) if is_gzip(path) else path.open("rb") as stream:
        empty = stream.seek(0, 2) == 0
        return np.empty(0, np.uint8) if empty else np.memmap(stream, np.uint8, "r")[:limit]


def _temporary(path: Path, limit: int) -> IO[bytes]:
    out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    with path.open("rb") as stream, contextlib.suppress(zlib.error):  # the caller refuses what is missing
        for piece in _inflate_stream(stream):
            out.write(piece[: limit - out.tell()])
            if out.tell() >= limit:
                break
    out.flush()
    return out


def _inflate_stream(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the contents of a gzip file of one or more members, up to the byte where it is damaged (`gzip` stops earlier)."""
    pending = b""
    while pending or (pending := stream.read(CHUNK)):
        member = zlib.decompressobj(wbits=31)
        while not member.eof and (pending or (pending := stream.read(CHUNK))):
            yield member.decompress(pending, 16 * CHUNK)
            pending = member.unconsumed_tail or member.unused_data
        yield member.flush()
