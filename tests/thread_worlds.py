"""Threads that stand for the processes of a command."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from anew.core.processes.shared_work import SharedWork
from anew.core.processes.world import World

SIZE = 3
T = TypeVar("T")


@dataclass
class Board:
    """Messages of threads, by rank."""

    messages: dict[int, bytes] = field(default_factory=dict)
    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(SIZE, timeout=60))


@dataclass(frozen=True, slots=True)
class ThreadWorld(World):
    board: Board = field(default_factory=Board)

    def exchange(self, data: bytes) -> list[bytes]:
        """The messages of all threads. A thread that fails must not leave the others waiting: see `on_threads`."""
        self.board.messages[self.rank] = data
        self.board.barrier.wait()
        messages = [self.board.messages[rank] for rank in range(SIZE)]
        self.board.barrier.wait()  # else a faster thread writes its next message before all have read this one
        return messages


def on_threads(compute: Callable[[SharedWork], T]) -> list[T]:
    """What each thread computes with the work that they share. If one fails, this fails as it did, not as those that wait for it."""
    board = Board()

    def computed(rank: int) -> T:
        try:
            return compute(SharedWork(ThreadWorld(rank, SIZE, board=board)))
        except BaseException:
            board.barrier.abort()
            raise

    with ThreadPoolExecutor(SIZE) as pool:
        futures = [pool.submit(computed, rank) for rank in range(SIZE)]
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError))
    return [future.result() for future in futures]
