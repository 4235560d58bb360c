"""Work that several processes share; here threads stand for processes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from anew.core.arrays import Numbers
from anew.core.shared_work import SharedWork
from anew.core.world import World
from anew.errors import ProcessError

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
        return [self.board.messages[rank] for rank in range(SIZE)]


def squares(work: SharedWork, pieces: list[list[int]], computed: list[int]) -> list[tuple[Numbers, ...]]:
    def compute(piece: list[int]) -> tuple[Numbers, ...]:
        computed.append(len(piece))
        return np.square(piece), np.array(piece, dtype=np.float32)

    return work.map(compute, pieces, lambda: [repr(pieces).encode()])


@pytest.mark.parametrize("num_pieces", [1, 8])
def test_each_piece_is_computed_once_and_all_get_all_results(num_pieces: int) -> None:
    pieces = [list(range(length)) for length in range(num_pieces)]
    alone, board = squares(SharedWork(), pieces, []), Board()
    computed: list[list[int]] = [[] for _ in range(SIZE)]
    with ThreadPoolExecutor(SIZE) as pool:
        works = [SharedWork(ThreadWorld(rank, SIZE, board=board)) for rank in range(SIZE)]
        for results in pool.map(lambda rank: squares(works[rank], pieces, computed[rank]), range(SIZE)):
            assert len(results) == len(alone) == num_pieces
            for arrays, expected in zip(results, alone, strict=True):
                for array, wanted in zip(arrays, expected, strict=True):
                    assert np.array_equal(array, wanted) and array.dtype == wanted.dtype
    assert sorted(length for own in computed for length in own) == list(range(num_pieces))
    works[0].close()
    assert len(squares(works[0], pieces, [])) == num_pieces  # alone: the others are gone


def test_different_work_is_refused() -> None:
    board = Board()
    with ThreadPoolExecutor(SIZE) as pool:
        shared = [SharedWork(ThreadWorld(rank, SIZE, board=board)) for rank in range(SIZE)]
        pending = [pool.submit(squares, work, [[0, 1], [rank]], []) for rank, work in enumerate(shared)]
        for refused in pending:
            with pytest.raises(ProcessError, match="do not measure the same items"):
                refused.result()
