"""Lists all files below a path. Files that cannot be read are refused by name and never end the listing."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from anew.core.wording import are, plural
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
        aliases: Number of links that are left out, since they lead to other files of the listing.
    """

    root: Path
    files: list[File]
    hidden: int
    refusals: list[SkippedItem]
    aliases: int = 0

    @property
    def notes(self) -> list[str]:
        """A sentence on the links, if some are left out."""
        if not self.aliases:
            return []
        return [
            f"{plural(self.aliases, 'link')} to files of this folder {are(self.aliases)} left out: each file counts once"
        ]


def list_files(place: Path) -> Listing:
    """Every file below a folder, or the one file, once. Follows links, but no loops, and none to a folder that holds this one.

    Raises DataError if `place` itself cannot be read or is neither a folder nor a regular file."""
    info = _info(place)
    if stat.S_ISREG(info.st_mode):
        return Listing(place.parent, [File(place.name, info.st_size, info.st_mtime_ns)], 0, [])
    if not stat.S_ISDIR(info.st_mode):
        raise DataError(f"{str(place)!r} is {_describe_mode(info.st_mode)}; give a folder or a file")
    listing = Listing(place, [], 0, [])
    identities = _Identities()
    hidden = 0
    visited: set[tuple[int, int]] = {(info.st_dev, info.st_ino)}
    above = _folders_above(place)
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(f"{place}/{folder}") as entries:
                hidden += sum(_add(entry, folder, listing, waiting, visited, above, identities) for entry in entries)
        except OSError as error:
            if not folder:
                raise DataError(f"{str(place)!r} cannot be read ({error.strerror}); check its permissions") from None
            _refuse(listing, folder.rstrip("/"), f"it cannot be read ({error.strerror})")
    files = identities.without_aliases(listing.files)
    return listing._replace(files=sorted(files), hidden=hidden, aliases=len(listing.files) - len(files))


class _Identities:
    """Which file each path leads to: several paths may lead to one, through links of both kinds."""

    def __init__(self) -> None:
        # Arrays, since a million tuples would take 100 MB
        self._devices, self._inodes, self._are_links = array("Q"), array("Q"), bytearray()
        self._has_links = False

    def add(self, info: os.stat_result, is_link: bool) -> None:
        """Add the next file of the listing."""
        self._devices.append(info.st_dev)
        self._inodes.append(info.st_ino)
        self._are_links.append(is_link)
        self._has_links |= is_link or info.st_nlink > 1

    def without_aliases(self, files: list[File]) -> list[File]:
        """One of the paths to each file, in the order of `add`: none that is a symbolic link, if there is another one."""
        if not self._has_links:
            return files
        identities = list(zip(self._devices, self._inodes, strict=True))
        order = sorted(range(len(files)), key=lambda i: (self._are_links[i], files[i].path))
        first_of: dict[tuple[int, int], int] = {}
        for i in order:
            first_of.setdefault(identities[i], i)
        # Some network file systems have no inodes
        return [file for i, file in enumerate(files) if not identities[i][1] or first_of[identities[i]] == i]


def _info(place: Path) -> os.stat_result:
    try:
        return place.stat()
    except OSError as error:
        raise DataError(
            f"{shorten_path(str(place))!r} cannot be read ({error.strerror}); check its permissions"
        ) from None


def _folders_above(place: Path) -> set[tuple[int, int]]:
    """(device, inode) of the folders that hold a folder."""
    infos = [_info(folder) for folder in place.resolve().parents]
    return {(info.st_dev, info.st_ino) for info in infos if info.st_ino}


def _add(
    entry: os.DirEntry[str],
    folder: str,
    listing: Listing,
    waiting: list[str],
    visited: set[tuple[int, int]],
    above: Container[tuple[int, int]],
    identities: _Identities,
) -> bool:
    """Add an entry to the listing, or to the waiting folders if it is a new one; returns whether it is hidden."""
    if entry.name.startswith(".") or entry.name == "__pycache__":
        return True
    path = folder + entry.name
    try:
        info = entry.stat()
    except FileNotFoundError:
        _refuse(
            listing, path, "it is a broken link" if entry.is_symlink() else "it vanished while the folder was listed"
        )
        return False
    except OSError as error:
        _refuse(listing, path, f"it cannot be read ({error.strerror})")
        return False
    if stat.S_ISREG(info.st_mode):
        listing.files.append(File(path, info.st_size, info.st_mtime_ns))
        identities.add(info, entry.is_symlink())
    elif not stat.S_ISDIR(info.st_mode):
        _refuse(listing, path, f"it is {_describe_mode(info.st_mode)}, not a file")
    elif (info.st_dev, info.st_ino) in above:
        _refuse(listing, path, "it is a link to a folder that holds the data")
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
