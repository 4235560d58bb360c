"""Links of threads that stand for processes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from anew.core.processes.local_link import LocalLink

R = TypeVar("R")


def links(size: int) -> list[LocalLink]:
    pairs = [socket.socketpair() for _ in range(size - 1)]
    ends = [[first for first, _ in pairs], *([other] for _, other in pairs)]
    return [LocalLink(rank, size, peers, lambda: None, 20.0) for rank, peers in enumerate(ends)]


def in_threads(linked: Sequence[LocalLink], function: Callable[[LocalLink], R]) -> list[R]:
    """The results of all, each of which has a thread."""
    try:
        with ThreadPoolExecutor(len(linked)) as pool:
            return [future.result() for future in [pool.submit(function, link) for link in linked]]
    finally:
        for link in linked:
            link.close()
