"""Files that are dropped on the page: streamed to the disk, into a folder of their own below the start folder.

Many small files come in one request, a bundle, since a request for each would take longer than the files. They follow one another in it,
each as the length of its path (4 bytes), its size (8 bytes), the path in UTF-8, and its contents. Numbers are little-endian.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool

from anew.core import files
from anew.errors import printable, shorten
from anew.server.errors import ApiError
from anew.studio_app.start_folder import StartFolder

FOLDER = "uploads"
MAX_FILE_BYTES = 64 * 2**30  # larger files are better chosen by their path
# Names in a path; bytes of a name: file systems allow 255, and temporary names are longer.
MAX_PARTS, MAX_PART = 12, 200
WRITE_BYTES = 2**20  # that are written at a time, as pieces arrive in kilobytes
CHECK_BYTES = 64 * 2**20  # that are written between two checks whether the disk has room
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/]')
# Devices of Windows, also with a suffix
_DEVICE = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9]) *(\..*)?", re.IGNORECASE)
BUNDLE_HEAD = struct.Struct("<IQ")  # what stands before each file of a bundle: length of its path, and size
MAX_BUNDLE_PATH = 4_000  # bytes of a path in a bundle
MAX_BUNDLE_FILE = 2**20  # bytes of a file in a bundle, which is in memory before it is written; chosen
BUNDLE_WRITE_BYTES, BUNDLE_WRITE_FILES = 8 * 2**20, 512  # that are written at a time, which bounds memory; chosen


def new_upload(folder: StartFolder, name: str) -> str:
    """Create the folder of an upload. Returns its name."""
    folder.check_exists()
    files.check_folder(folder.root / FOLDER)  # not a link, which may have come with the start folder and lead out of it
    stem = _UNSAFE.sub("_", printable(name))[:40].strip(". ") or "files"
    stem = f"{stem}-1" if _DEVICE.fullmatch(stem) else stem
    number = 1
    while True:
        path = folder.root / FOLDER / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(parents=True)
            return folder.name(path)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise ApiError(413, f"the folder for the files cannot be created ({files.clause(error)})") from None


def target_of(folder: StartFolder, upload: str, path: str) -> Path:
    """The path of a file of an upload.

    Raises:
        ApiError: There is no such upload, or the path leads out of it.
    """
    base = folder.path(upload)
    if base.parent != folder.root / FOLDER or not base.is_dir():
        raise ApiError(404, f"{shorten(upload)} is not an upload, or was deleted")
    parts = path.split("/")
    if not all(map(_is_plain, parts)) or len(parts) > MAX_PARTS:
        raise ApiError(400, f"the file name {shorten(path)} cannot be used; {_reason(path)}rename the file")
    target = base.joinpath(*parts)
    if not target.resolve().is_relative_to(base):
        raise ApiError(403, f"{shorten(path)} leads out of its folder")
    return target


def discard_if_empty(folder: StartFolder, upload: str) -> None:
    """Delete the folder of an upload of which no file arrived."""
    with contextlib.suppress(ApiError, OSError):
        base = folder.path(upload)
        if base.parent == folder.root / FOLDER:
            for path, _, _ in os.walk(base, topdown=False):
                os.rmdir(path)  # refused where there is a file


def _is_plain(part: str) -> bool:
    """Whether a name is safe: not too long, not hidden, printable, and a name of a file on every system."""
    size = len(part.encode("utf-8", "surrogatepass"))
    is_file = not _UNSAFE.search(part) and not _DEVICE.fullmatch(part) and part[-1:] not in (".", " ")
    return 0 < size <= MAX_PART and part[0] != "." and is_file and printable(part) == part


def _reason(path: str) -> str:
    """A clause on what a system does not allow in a path; "" if it is something else."""
    unsafe = _UNSAFE.search(path.replace("/", ""))
    if unsafe:
        return f"it contains {unsafe[0]!r}; "
    parts = path.split("/")
    if any(part[-1:] in (".", " ") for part in parts):
        return "a name in it ends with a dot or a blank, which Windows leaves out; "
    device = next((part for part in parts if _DEVICE.fullmatch(part)), None)
    return f"{shorten(device)} is a device on Windows; " if device else ""


async def receive(target: Path, chunks: AsyncIterator[bytes], length: int | None) -> int:
    """Write a file as it arrives, completely or not at all. Returns its size.

    Args:
        length: Its announced size; None if unknown.

    Raises:
        ApiError: 413 the disk has no room; 400 it is incomplete.
    """
    with writing(target, length or 0) as file:
        size = await _write(file, target, chunks)
        if length is not None and size != length:
            raise ApiError(400, f"{target.name} did not arrive completely; drop it again")
    return size


@contextlib.contextmanager
def writing(target: Path, size: int) -> Iterator[BinaryIO]:
    """A context with a new file of about `size` bytes, which gets its name when the context ends without an error.

    Raises:
        ApiError: 413 it cannot be written, or does not fit on the disk.
    """
    temporary = target.with_name(files.temporary_name(target.name))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_disk_space(target, size)
        with open(temporary, "xb", buffering=WRITE_BYTES) as file:
            yield file
        os.replace(temporary, target)
    except OSError as error:
        raise ApiError(413, f"{target.name} cannot be written ({files.clause(error)})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


async def _write(file: BinaryIO, target: Path, chunks: AsyncIterator[bytes]) -> int:
    """Write all chunks, as long as the disk has room. Returns the number of bytes."""
    size, checked_at = 0, 0
    async for chunk in chunks:
        size += len(chunk)
        if size - checked_at > CHECK_BYTES:
            checked_at = size
            _check_disk_space(target, 0)
        if size > MAX_FILE_BYTES:
            raise ApiError(413, f"{target.name} is larger than {MAX_FILE_BYTES:,} bytes; choose it by its path")
        await run_in_threadpool(file.write, chunk)
    return size


def _check_disk_space(target: Path, size: int) -> None:
    """Raise ApiError 413 if `size` more bytes would fill the disk."""
    if shutil.disk_usage(target.parent).free - size < files.FREE_DISK_BYTES:
        raise ApiError(
            413,
            f"{target.name} does not fit on the disk, where {files.FREE_DISK_BYTES // 10**9} GB stay free; free some space",
        )


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
        data = bytes(self._unread[:count])
        del self._unread[:count]
        return data


async def receive_bundle(folder: StartFolder, upload: str, pieces: AsyncIterator[bytes]) -> int:
    """Write the files of a bundle as they arrive, each completely or not at all. Returns their number.

    Args:
        upload: Name of the upload that they belong to.
        pieces: The bytes of the bundle.

    Raises:
        ApiError: A path leads out of the upload, a file is too large, the disk is full, or the bundle is incomplete.
    """
    reader, count = _Pieces(pieces), 0
    waiting: list[tuple[str, bytes]] = []
    while not await reader.is_at_end():
        path_length, size = BUNDLE_HEAD.unpack(await reader.take(BUNDLE_HEAD.size))
        if path_length > MAX_BUNDLE_PATH or size > MAX_BUNDLE_FILE:
            raise ApiError(
                413,
                f"a file of a bundle may have at most {MAX_BUNDLE_FILE:,} bytes, and a path of {MAX_BUNDLE_PATH:,}; send it alone",
            )
        path = (await reader.take(path_length)).decode("utf-8", "replace")
        waiting.append((path, await reader.take(size)))
        count += 1
        if len(waiting) >= BUNDLE_WRITE_FILES or sum(len(data) for _, data in waiting) >= BUNDLE_WRITE_BYTES:
            await run_in_threadpool(_write_all, folder, upload, waiting)
            waiting = []
    await run_in_threadpool(_write_all, folder, upload, waiting)
    return count


def _write_all(folder: StartFolder, upload: str, waiting: list[tuple[str, bytes]]) -> None:
    for path, data in waiting:
        with writing(target_of(folder, upload, path), len(data)) as file:
            file.write(data)
