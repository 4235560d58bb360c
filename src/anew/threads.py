"""Threads and memory of this process, as they suit tensors."""

from __future__ import annotations

import contextlib
import ctypes
import os

import torch


def use_threads() -> int:
    """As many threads as this process may run on (taskset, containers), shared with the others that torchrun started."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    count = max(1, count // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    _keep_memory()
    return count


def _keep_memory() -> None:
    """Let glibc keep freed memory: a step frees and asks for the same large blocks, and fresh pages cost as much as the
    arithmetic on them."""
    with contextlib.suppress(OSError, AttributeError):
        glibc = ctypes.CDLL("libc.so.6")
        for option, value in (
            (-3, 1 << 30),
            (-1, (1 << 31) - 1),
            (-2, 64 << 20),
        ):  # M_MMAP_THRESHOLD, M_TRIM_, M_TOP_PAD
            glibc.mallopt(option, value)
