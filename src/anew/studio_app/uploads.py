"""Files that are dropped on the page, streamed to the disk into a folder of their own below the start folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool

from anew.core import files
from anew.errors import printable, shorten
from anew.server.faults import ApiError
from anew.studio_app.start_folder import StartFolder

FOLDER = "uploads"
MAX_FILE_BYTES = 64 * 2**30  # what is larger is on a disk already, and is chosen by its path
# Folders of a path, bytes of a name: disks allow 255 bytes, and temporary names are longer.
MAX_PARTS, MAX_PART = 12, 200
WRITE_BYTES = 2**20  # that are written at a time, as pieces arrive in kilobytes
CHECK_BYTES = 64 * 2**20  # written between two looks whether there is room
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/]')


def new_upload(folder: StartFolder, name: str) -> str:
    """Make the folder of an upload; its name."""
    folder.check_there()
    files.check_folder(folder.root / FOLDER)  # a link, which may have come with the folder, would lead out of it
    stem = _UNSAFE.sub("_", printable(name)).strip(". ")[:40] or "files"
    number = 1
    while True:
        place = folder.root / FOLDER / (stem if number == 1 else f"{stem}-{number}")
        try:
            place.mkdir(parents=True)
            return folder.name(place)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise ApiError(413, f"no folder for the files can be made ({files.clause(error)})") from None


def target_of(folder: StartFolder, upload: str, path: str) -> Path:
    """Path of a file of an upload.

    Raises:
        ApiError: The upload is none, or the path leads out of it.
    """
    base = folder.path(upload)
    if base.parent != folder.root / FOLDER or not base.is_dir():
        raise ApiError(404, f"{shorten(upload)} is not an upload, or no longer one")
    parts = path.split("/")
    if not all(map(_is_plain, parts)) or len(parts) > MAX_PARTS:
        raise ApiError(400, f"a file cannot be kept under the name {shorten(path)}; rename it")
    target = base.joinpath(*parts)
    if not target.resolve().is_relative_to(base):
        raise ApiError(403, f"{shorten(path)} leads out of its folder")
    return target


def _is_plain(part: str) -> bool:
    """Whether a name can be kept as it is: it fits the disk, and shows as what it is wherever it is listed."""
    size = len(part.encode("utf-8", "surrogatepass"))
    return 0 < size <= MAX_PART and part[0] != "." and not _UNSAFE.search(part) and printable(part) == part


async def receive(target: Path, chunks: AsyncIterator[bytes], length: int | None) -> int:
    """Write a file as it arrives, whole or not at all; its size.

    Args:
        target: Where to.
        chunks: Its bytes.
        length: How many are announced.

    Raises:
        ApiError: 413 it is too large for the disk, or incomplete.
    """
    with writing(target, length or 0) as file:
        size = await _write(file, target, chunks)
        if length is not None and size != length:
            raise ApiError(400, f"{target.name} did not arrive whole; drop it again")
    return size


@contextlib.contextmanager
def writing(target: Path, size: int) -> Iterator[BinaryIO]:
    """A file of about so many bytes to be written, in its place once the block ends, and nowhere where that raises.

    Raises:
        ApiError: 413 it cannot be written there, or does not fit on the disk.
    """
    temporary = target.with_name(files.temporary_name(target.name))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(target, size)
        with open(temporary, "xb", buffering=WRITE_BYTES) as file:
            yield file
        os.replace(temporary, target)
    except OSError as error:
        raise ApiError(413, f"{target.name} cannot be written ({files.clause(error)})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


async def _write(file: BinaryIO, target: Path, chunks: AsyncIterator[bytes]) -> int:
    """All chunks into a file as long as there is room; how many bytes that were."""
    size, checked_at = 0, 0
    async for chunk in chunks:
        size += len(chunk)
        if size - checked_at > CHECK_BYTES:
            checked_at = size
            _check_room(target, 0)
        if size > MAX_FILE_BYTES:
            raise ApiError(413, f"{target.name} is larger than {MAX_FILE_BYTES:,} bytes; choose it by its path")
        await run_in_threadpool(file.write, chunk)
    return size


def _check_room(target: Path, size: int) -> None:
    """ApiError where so many bytes next to this path would fill the disk."""
    if shutil.disk_usage(target.parent).free - size < files.SPARE:
        raise ApiError(413, f"{target.name} does not fit on the disk, where 2 GB stay free; free some space")
