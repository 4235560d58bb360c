"""Lists all files below a path. Files that cannot be read are refused by name and never end the listing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from anew.data import limits
from anew.data.types import SkippedItem
from anew.errors import DataError

_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class File(NamedTuple):
    """One file of the listing. path: relative to the root, with `/`; stamp: modification time in nanoseconds."""

    path: str
    bytes: int
    stamp: int


class Listing(NamedTuple):
    """A listing of files.

    Attributes:
        root: The folder that paths are relative to.
        files: Files in the order of paths.
        hidden: Number of entries that are left out because of their names.
        refusals: Files that cannot be used.
    """

    root: Path
    files: list[File]
    hidden: int
    refusals: list[SkippedItem]


def list_files(place: Path) -> Listing:
    """Every file below a folder, or the one file. Follows links, but no loops.

    Raises DataError if `place` itself cannot be read or is neither a folder nor a regular file."""
    info = _info(place)
    if stat.S_ISREG(info.st_mode):
        return Listing(place.parent, [File(place.name, info.st_size, info.st_mtime_ns)], 0, [])
    if not stat.S_ISDIR(info.st_mode):
        raise DataError(f"{str(place)!r} is {_describe_mode(info.st_mode)}; give a folder or a file")
    listing = Listing(place, [], 0, [])
    hidden = 0
    visited: set[tuple[int, int]] = {(info.st_dev, info.st_ino)}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(f"{place}/{folder}") as entries:
                hidden += sum(_add(entry, folder, listing, waiting, visited) for entry in entries)
        except OSError as error:
            if not folder:
                raise DataError(f"{str(place)!r} cannot be read ({error.strerror}); check its permissions") from None
            _refuse(listing, folder.rstrip("/"), f"cannot be read ({error.strerror})")
    listing.files.sort()
    return listing._replace(hidden=hidden)


def _info(place: Path) -> os.stat_result:
    try:
        return place.stat()
    except OSError as error:
        raise DataError(
            f"{shorten_path(str(place))!r} cannot be read ({error.strerror}); check its permissions"
        ) from None


def _add(
    entry: os.DirEntry[str], folder: str, listing: Listing, waiting: list[str], visited: set[tuple[int, int]]
) -> bool:
    """Add an entry to the listing, or to the waiting folders if it is a new one; returns whether it is hidden."""
    if entry.name.startswith(".") or entry.name == "__pycache__":
        return True
    path = folder + entry.name
    try:
        info = entry.stat()
    except FileNotFoundError:
        _refuse(listing, path, "is a broken link" if entry.is_symlink() else "vanished while the folder was listed")
        return False
    except OSError as error:
        _refuse(listing, path, f"cannot be read ({error.strerror})")
        return False
    if stat.S_ISREG(info.st_mode):
        listing.files.append(File(path, info.st_size, info.st_mtime_ns))
    elif not stat.S_ISDIR(info.st_mode):
        _refuse(listing, path, f"is {_describe_mode(info.st_mode)}, not a file")
    elif (info.st_dev, info.st_ino) not in visited:
        visited.add((info.st_dev, info.st_ino))
        waiting.append(f"{path}/")
    return False


def _describe_mode(mode: int) -> str:
    return _SPECIAL.get(stat.S_IFMT(mode), "neither a file nor a folder")


def _refuse(listing: Listing, path: str, reason: str) -> None:
    listing.refusals.append(SkippedItem(shorten_path(path), reason))


def shorten_path(path: str) -> str:
    """The path for a sentence: of a long one, the beginning and the end."""
    half = limits.LISTING.shown // 2
    return path if len(path) <= 2 * half else f"{path[:half]}...{path[-half:]}"
