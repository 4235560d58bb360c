"""The memory of a process, measured within programs that tests start; on Linux."""

from __future__ import annotations

import ctypes
from pathlib import Path

MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc's malloc.h


def held_bytes(num_sharers: int = 1) -> float:
    """Bytes that this process holds: its own, and its part of those that it shares, with itself, among `num_sharers` processes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    own, shared = (
        1024 * int(line.split()[1]) for name in ("RssAnon", "RssShmem") for line in lines if line.startswith(name)
    )
    return own + shared / num_sharers


def return_at_once(min_bytes: int) -> None:
    """From now on, memory of at least so many bytes that is freed goes back to the system at once."""
    ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, min_bytes)
