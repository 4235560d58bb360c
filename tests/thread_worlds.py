"""Threads that stand for the processes of a command."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from anew.core.processes.world import World

SIZE = 3


@dataclass
class Board:
    """Messages of threads, by rank."""

    messages: dict[int, bytes] = field(default_factory=dict)
    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(SIZE, timeout=20))


@dataclass(frozen=True, slots=True)
class ThreadWorld(World):
    board: Board = field(default_factory=Board)

    def exchange(self, data: bytes) -> list[bytes]:
        self.board.messages[self.rank] = data
        self.board.barrier.wait()
        messages = [self.board.messages[rank] for rank in range(SIZE)]
        self.board.barrier.wait()  # else a faster thread writes its next message before all have read this one
        return messages
