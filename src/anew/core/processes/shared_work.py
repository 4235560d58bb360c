"""Work in pieces that the processes of a command do together: each does some of them, and all get the results of all."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from anew.core.arrays import Numbers
from anew.core.exit_codes import STOPPED
from anew.core.processes.world import World
from anew.errors import ProcessError

T = TypeVar("T")

DIGEST_BYTES = 16  # the size of other digests, too: no two contents have the same by chance


class SharedWork:
    """Divides the pieces of a task among all processes, which must request the same tasks in the same order. No piece depends on

    another, so the results do not depend on the number of processes.
    """

    def __init__(self, world: World | None = None) -> None:
        """world: The processes; None for a single one."""
        self._world = World() if world is None else world

    def close(self) -> None:
        """From now on this process works alone."""
        self._world = World()

    def map(
        self,
        compute: Callable[[T], tuple[Numbers, ...]],
        pieces: Sequence[T],
        contents: Callable[[], Iterable[bytes]],
        advance: Callable[[int], None] = lambda count: None,
    ) -> list[tuple[Numbers, ...]]:
        """The arrays that `compute` makes of each piece, on all processes.

        Args:
            compute: Called for each piece on one process.
            pieces: The same on all processes.
            contents: Returns a digest of the pieces, by which processes notice that theirs differ: where they are indices of
                items, also a digest of these.
            advance: Called with the number of pieces that are done, if other processes are as fast as this one.

        Raises:
            ProcessError: The processes asked for different work, as where their data differ.
        """
        rank, size = self._world.rank, self._world.size
        own: dict[int, tuple[Numbers, ...]] = {}
        for count, number in enumerate(range(rank, len(pieces), size), 1):
            own[number] = compute(pieces[number])
            advance(min(count * size, len(pieces)))
        if size == 1:
            return list(own.values())
        messages = self._world.exchange(_digest(contents()) + _packed(own))
        if len({message[:DIGEST_BYTES] for message in messages}) > 1:
            raise ProcessError(
                "the processes do not measure the same items, so they cannot share the work; measure with one process",
                STOPPED,
            )
        results: dict[int, tuple[Numbers, ...]] = {}
        for message in messages:
            results |= _unpacked(message[DIGEST_BYTES:])
        return [results[number] for number in range(len(pieces))]


def _digest(contents: Iterable[bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for content in contents:
        digest.update(content)
    return digest.digest()


def _packed(results: dict[int, tuple[Numbers, ...]]) -> bytes:
    file = io.BytesIO()
    named = {f"{number}.{place}": array for number, arrays in results.items() for place, array in enumerate(arrays)}
    np.savez(file, **named)  # type: ignore[arg-type]  # names of arrays are no other arguments
    return file.getvalue()


def _unpacked(data: bytes) -> dict[int, tuple[Numbers, ...]]:
    results: dict[int, tuple[Numbers, ...]] = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        for name in file.files:  # in the order in which they were packed
            number = int(name.partition(".")[0])
            results[number] = (*results.get(number, ()), file[name])
    return results
