"""Parcels: many small files in one request, since a request for each would take longer than the files.

Files follow one another, each as the length of its path (4 bytes), its size (8 bytes), the path in UTF-8, and its contents. Numbers
are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool

from anew.server.faults import ApiError
from anew.studio_app.start_folder import StartFolder
from anew.studio_app.uploads import target_of, writing

HEAD = struct.Struct("<IQ")
MAX_PATH = 4_000  # bytes of a path
MAX_BYTES = 2**20  # of a file, which is in memory before it is written; larger ones are sent alone; chosen
WRITTEN_BYTES, WRITTEN_FILES = 8 * 2**20, 512  # that are written at a time, which bounds memory; chosen


class _Pieces:
    """Reads exact numbers of bytes from pieces as they arrive."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces, self._unread = pieces, bytearray()

    async def is_at_end(self) -> bool:
        """Whether all bytes were read."""
        while not self._unread:
            piece = await anext(self._pieces, None)
            if piece is None:
                return True
            self._unread += piece
        return False

    async def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self._unread) < count:
            piece = await anext(self._pieces, None)
            if piece is None:
                raise ApiError(400, "some of the files did not arrive completely; drop them again")
            self._unread += piece
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken


async def receive_parcel(folder: StartFolder, upload: str, pieces: AsyncIterator[bytes]) -> int:
    """Write the files of a parcel as they arrive, each completely or not at all. Returns their number.

    Args:
        folder: The start folder.
        upload: Name of the upload that they belong to.
        pieces: The bytes of the parcel.

    Raises:
        ApiError: A path leads out of the upload, a file is too large, the disk is full, or the parcel is incomplete.
    """
    reader, count = _Pieces(pieces), 0
    waiting: list[tuple[str, bytes]] = []
    while not await reader.is_at_end():
        path_length, size = HEAD.unpack(await reader.take(HEAD.size))
        if path_length > MAX_PATH or size > MAX_BYTES:
            raise ApiError(
                413,
                f"a file of a parcel may have at most {MAX_BYTES:,} bytes, and a path of {MAX_PATH:,}; send it alone",
            )
        path = (await reader.take(path_length)).decode("utf-8", "replace")
        waiting.append((path, await reader.take(size)))
        count += 1
        if len(waiting) >= WRITTEN_FILES or sum(len(data) for _, data in waiting) >= WRITTEN_BYTES:
            await run_in_threadpool(_write_all, folder, upload, waiting)
            waiting = []
    await run_in_threadpool(_write_all, folder, upload, waiting)
    return count


def _write_all(folder: StartFolder, upload: str, waiting: list[tuple[str, bytes]]) -> None:
    for path, data in waiting:
        with writing(target_of(folder, upload, path), len(data)) as file:
            file.write(data)
