"""A zip archive that is given as data: it is unpacked into the cache once, and then read like any folder."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from anew.core import files
from anew.core.activity import progress_lines
from anew.core.files import clause
from anew.core.schema import Record
from anew.core.wording import plural
from anew.data import limits
from anew.data.sources.listing import LocalCopy, list_files
from anew.data.types import SkippedItem
from anew.errors import DataError, RunError

SUFFIX = ".zip"
CHUNK_BYTES = 1 << 20  # read at a time
MAX_NOTED_BYTES = 64 << 20  # of what is noted of an archive with a million refusals
# Errors of a member that cannot be read: `zipfile` raises RuntimeError where a password is needed
_MEMBER_ERRORS = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
_ENCRYPTED = 0x1  # a bit of `ZipInfo.flag_bits`
_HIDDEN = re.compile(
    r"(^|/)(\.(?!\.(/|$))|__MACOSX/|__pycache__/)"
)  # left out of listings of folders, too, or added by macOS
_LEADS_OUT = re.compile(r"^$|^/|^[A-Za-z]:|\\|\0|(^|/)\.\.(/|$)")


class _Unpacked(Record):
    """What was unpacked of an archive.

    Attributes:
        archive: Size and modification time of the archive.
        count: Number of files.
        size: Bytes of these files.
        refusals: Name of each member that was not unpacked, and the reason.
    """

    archive: tuple[int, int]
    count: int
    size: int
    refusals: tuple[tuple[str, str], ...] = ()


def zip_at(place: Path) -> Path | None:
    """The zip archive at a path, by its suffix: the file itself, or the only one in a folder, as of a download; None if there is none."""
    if place.is_dir():
        with suppress(OSError), os.scandir(place) as entries:
            names = list(itertools.islice((entry.name for entry in entries if not entry.name.startswith(".")), 2))
            return zip_at(place / names[0]) if len(names) == 1 and not (place / names[0]).is_dir() else None
    return place if place.suffix.lower() == SUFFIX and place.is_file() else None


def unpacked(archive: Path, shown: str) -> LocalCopy:
    """Unpack an archive into the cache, unless it is there since the archive last changed.

    Hidden files are left out; links, encrypted members and names that lead out of the archive are refused.

    Args:
        archive: The archive.
        shown: Its path or address as the user gave it.

    Raises:
        DataError: It is not a zip archive, nothing of it can be unpacked, or it is too large for the disk.
    """
    key = hashlib.blake2b(os.fsencode(os.path.realpath(archive)), digest_size=12).hexdigest()
    folder = files.cache_root(None) / "unpacked" / key
    place, note = folder / "files", folder / "contents.json"
    folder.mkdir(parents=True, exist_ok=True)
    info = archive.stat()
    with FileLock(folder / "lock"):
        contents = _noted(note)
        if contents is None or contents.archive != (info.st_size, info.st_mtime_ns) or not place.is_dir():
            note.unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            contents = _unpack(archive, shown, place, info)
            files.write_json(note, contents.model_dump(), indent=None)
    refusals = [SkippedItem(name, reason) for name, reason in contents.refusals]
    if refusals and not contents.count:
        raise DataError(f"nothing of {shown!r} could be unpacked; {refusals[0].name}: {refusals[0].reason}")
    amount = f"{plural(contents.count, 'file')}, {limits.size(contents.size)}"
    sentence = f"{shown} is read from an unpacked copy in the cache ({amount})."
    return LocalCopy(place, sentence, list_files(place), refusals)


def _noted(note: Path) -> _Unpacked | None:
    """What a file says was unpacked; None if it is missing or damaged."""
    try:
        # Not by `checked`: JSON has lists for tuples, which only this accepts
        return _Unpacked.model_validate_json(files.read(note, MAX_NOTED_BYTES))
    except (RunError, ValueError):
        return None


def _unpack(archive: Path, shown: str, place: Path, info: os.stat_result) -> _Unpacked:
    """Unpack an archive into a new folder. info: of the archive."""
    place.mkdir()
    with _opened(archive, shown) as opened:
        # Not by `is_dir`, which fails on an empty name
        members = [
            member
            for member in opened.infolist()
            if not (member.filename.endswith("/") or _HIDDEN.search(member.filename))
        ]
        _check_size(shown, sum(member.file_size for member in members), info.st_size, place)
        size, refusals = _extract_all(opened, members, shown, place, info.st_mtime_ns)
    count = len({member.filename for member in members}) - len(refusals)
    return _Unpacked(archive=(info.st_size, info.st_mtime_ns), count=count, size=size, refusals=tuple(refusals.items()))


def _extract_all(
    opened: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], shown: str, place: Path, mtime_ns: int
) -> tuple[int, dict[str, str]]:
    """Write members into a folder; returns the bytes written, and why the others were not, by name."""
    num_of_name = Counter(member.filename for member in members)
    refusals = {name: "it is in the archive twice" for name, num in num_of_name.items() if num > 1}
    size, total = 0, sum(member.file_size for member in members)

    def describe() -> str:
        return f"unpacking {shown}: {limits.size(size)} of {limits.size(total)}"

    with progress_lines(describe):
        for member in members:
            if member.filename in refusals:
                continue
            reason = _refusal(member) or _extract(opened, member, place / member.filename, mtime_ns)
            if reason is None:
                size += member.file_size
            else:
                refusals[member.filename] = reason
    return size, refusals


@contextmanager
def _opened(archive: Path, shown: str) -> Iterator[zipfile.ZipFile]:
    try:
        stream = _BoundedReader(io.FileIO(archive))
        with stream, zipfile.ZipFile(stream) as opened:
            yield opened
    except zipfile.BadZipFile:
        raise DataError(
            f"{shown!r} is not a zip archive, or not a whole one; download it again, or give a folder"
        ) from None
    except (NotImplementedError, ValueError) as error:
        raise DataError(
            f"{shown!r} cannot be unpacked ({clause(error)}); unpack it yourself, and give the folder"
        ) from None
    except OSError as error:
        raise DataError(f"{shown!r} cannot be unpacked ({clause(error)}); check its permissions and the disk") from None


class _BoundedReader(io.BufferedReader):
    """An archive whose list of members is bounded: `zipfile` reads it at once, and makes an object of each entry."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > limits.ZIP_DIRECTORY_BYTES:
            raise ValueError(f"the list of its files takes more than {limits.size(limits.ZIP_DIRECTORY_BYTES)}")
        return super().read(size)


def _check_size(shown: str, total: int, packed: int, place: Path) -> None:
    """Raise DataError if an archive unpacks to more than its bytes can hold, or than the disk has room for."""
    if total > limits.GZIP_RATIO * packed:
        raise DataError(
            f"{shown!r} says that it unpacks to {limits.size(total)}, which {limits.size(packed)} cannot hold; it is damaged, or made to "
            "fill disks"
        )
    free = max(0, shutil.disk_usage(place).free - files.FREE_DISK_BYTES)
    if total > free:
        raise DataError(
            f"{shown!r} unpacks to {limits.size(total)}, and the disk of the cache has room for {limits.size(free)}; set the environment "
            "variable ANEW_CACHE to a folder on a larger disk"
        )


def _refusal(member: zipfile.ZipInfo) -> str | None:
    """Why a member is not unpacked; None if it is."""
    if _LEADS_OUT.search(member.filename):
        return "its name leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "it is a link"
    if member.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    return None


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, mtime_ns: int) -> str | None:
    """Write a member to a path; returns why it could not be written, or None.

    mtime_ns: Modification time that it gets, that of the archive: what is learned from a file is cached by it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(member) as source, path.open("xb") as out:
            shutil.copyfileobj(source, out, CHUNK_BYTES)
        os.utime(path, ns=(mtime_ns, mtime_ns))
    except _MEMBER_ERRORS as error:
        with suppress(OSError):  # it may be a folder, or have one that is a file
            path.unlink(missing_ok=True)
        return f"it cannot be unpacked ({clause(error)})"
    return None
