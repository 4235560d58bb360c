"""Reading of a whole file into memory, up to a limit."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from anew.data import limits
from anew.data.formats import by_range

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe must not be waited for


def read_whole(path: str | Path) -> bytes:
    """The bytes of a regular file of at most `limits.FILE_BYTES`.

    Raises OSError if it cannot be read, and ValueError (one clause) if it is larger, or not a regular file.
    """
    max_bytes = limits.FILE_BYTES
    stored = by_range.find_stored(path)
    if stored is not None:
        size = stored.file.bytes or 0
        if size > max_bytes:
            raise ValueError(too_large(size, max_bytes))
        return stored.store.read(stored.file, 0, size)
    # For a small file, a path object and a stream would take three times as long as reading it.
    descriptor = os.open(path, _FLAGS)
    try:
        info = os.fstat(descriptor)
        if stat.S_ISDIR(info.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("it is not a regular file")
        if info.st_size > max_bytes:
            raise ValueError(too_large(info.st_size, max_bytes))
        # Reading one byte more than its size shows whether it grew.
        pieces = [os.read(descriptor, info.st_size + 1)]
        while pieces[-1] and sum(map(len, pieces)) <= max_bytes:
            pieces.append(os.read(descriptor, 1 << 20))
    finally:
        os.close(descriptor)
    data = b"".join(pieces) if len(pieces) > 2 else pieces[0]
    if len(data) > max_bytes:
        raise ValueError(too_large(len(data), max_bytes))
    return data


def too_large(size: int, max_bytes: int) -> str:
    """The reason why a file of `size` bytes is not read whole, one clause."""
    return f"it is larger ({limits.size(size)}) than what is read whole ({limits.size(max_bytes)})"


def with_line_feeds(text: str) -> str:
    """The text with LF for each of its line ends: those of Windows (CRLF) and of old Macs (CR) are read so."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
