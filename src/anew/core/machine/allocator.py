"""How the C library of this process returns memory."""

from __future__ import annotations

import contextlib
import ctypes

# Numbers of glibc's mallopt(3) and what they are set to.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
# Options of malloc with which large blocks stay with the process: fresh pages for each block made large fp32 operations twice as slow
# (docs/log.md, 2026-11-25).
OPTIONS = {M_MMAP_THRESHOLD: 1 << 30, M_TRIM_THRESHOLD: (1 << 31) - 1, M_TOP_PAD: 64 << 20}


def keep_freed_memory() -> None:
    """Let glibc keep freed memory: a step frees and asks for the same large blocks, and fresh pages cost as much as the
    arithmetic on them. Other C libraries are left as they are. For the command line only, whose process serves nothing else."""
    with contextlib.suppress(OSError, AttributeError):
        glibc = ctypes.CDLL("libc.so.6")
        for option, value in OPTIONS.items():
            glibc.mallopt(option, value)


def return_freed_memory() -> None:
    """Let glibc return what is free now: after a lot was allocated once, that is not needed again."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
