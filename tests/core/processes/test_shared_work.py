"""Work that several processes share; here threads stand for processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from anew.core.arrays import Numbers
from anew.core.processes.shared_work import SharedWork
from anew.errors import ProcessError
from thread_worlds import SIZE, Board, ThreadWorld


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
        shared = [SharedWork(ThreadWorld(rank, SIZE, board=board)) for rank in range(SIZE)]
        for results in pool.map(lambda rank: squares(shared[rank], pieces, computed[rank]), range(SIZE)):
            assert len(results) == len(alone) == num_pieces
            for arrays, expected in zip(results, alone, strict=True):
                for array, wanted in zip(arrays, expected, strict=True):
                    assert np.array_equal(array, wanted) and array.dtype == wanted.dtype
    assert sorted(length for own in computed for length in own) == list(range(num_pieces))
    shared[0].close()
    assert len(squares(shared[0], pieces, [])) == num_pieces  # alone: the others are gone


def test_different_work_is_refused() -> None:
    board = Board()
    with ThreadPoolExecutor(SIZE) as pool:
        shared = [SharedWork(ThreadWorld(rank, SIZE, board=board)) for rank in range(SIZE)]
        pending = [pool.submit(squares, work, [[0, 1], [rank]], []) for rank, work in enumerate(shared)]
        for refused in pending:
            with pytest.raises(ProcessError, match="do not measure the same items"):
                refused.result()
