"""Lists all files below a path. Files that cannot be read are refused by name and never end the listing."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from anew.core.files import clause
from anew.core.stores.text_column import CHUNK, ChosenTexts, TextColumn, TextColumnBuilder, chunked
from anew.core.wording import are, plural
from anew.data.file_names import suffix_of
from anew.data.types import SkippedItem
from anew.errors import DataError

# So much of a path is shown in a sentence.
SHOWN_CHARACTERS = 120
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


class FileTable(Sequence[File]):
    """Files in columns: of ten million, objects of Python would take some gigabytes.

    Args:
        columns: Paths, bytes and stamps.
        numbers: (n,) which rows of the columns these files are; None: all of them.
    """

    def __init__(
        self,
        columns: tuple[TextColumn, NDArray[np.int64], NDArray[np.int64]],
        numbers: NDArray[np.int64] | None = None,
    ) -> None:
        self._columns, self._numbers = columns, numbers

    @classmethod
    def of(cls, files: Iterable[File]) -> FileTable:
        """A table of these files; one that is a table already stays as it is."""
        if isinstance(files, FileTable):
            return files
        builder = _TableBuilder()
        for file in files:
            builder.add(file)
        return builder.table()

    def __len__(self) -> int:
        return len(self._columns[0]) if self._numbers is None else len(self._numbers)

    def __iter__(self) -> Iterator[File]:
        return map(File, self.paths, chunked(self.sizes), chunked(self.stamps))

    @overload
    def __getitem__(self, index: int) -> File: ...

    @overload
    def __getitem__(self, index: slice) -> list[File]: ...

    def __getitem__(self, index: int | slice) -> File | list[File]:
        if isinstance(index, slice):
            return list(self.take(np.arange(len(self))[index]))
        number = range(len(self))[index]
        row = number if self._numbers is None else int(self._numbers[number])
        paths, sizes, stamps = self._columns
        return File(paths[row], int(sizes[row]), int(stamps[row]))

    @property
    def paths(self) -> ChosenTexts:
        """The paths of the files, each made when it is asked for."""
        return ChosenTexts(self._columns[0], self._numbers)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n,) bytes of the files."""
        return self._columns[1] if self._numbers is None else self._columns[1][self._numbers]

    @property
    def stamps(self) -> NDArray[np.int64]:
        """(n,) stamps of the files."""
        return self._columns[2] if self._numbers is None else self._columns[2][self._numbers]

    def merged(self, others: FileTable) -> FileTable:
        """These files and others, in the order of paths."""
        if self._columns is others._columns and self._numbers is not None and others._numbers is not None:
            return FileTable(self._columns, np.sort(np.concatenate([self._numbers, others._numbers])))
        return FileTable.of(sorted([*self, *others]))

    def take(self, indices: NDArray[np.int64]) -> FileTable:
        """The files of these numbers, in this order."""
        return FileTable(self._columns, indices if self._numbers is None else self._numbers[indices])

    def where(self, is_wanted: NDArray[np.bool_]) -> FileTable:
        """The files for which this is true; the table itself if it is for all. is_wanted: (n,)."""
        return self if is_wanted.all() else self.take(np.flatnonzero(is_wanted))

    def grouped(self, name_of: Callable[[str], str]) -> dict[str, FileTable]:
        """The files by a name that follows from their path, in the order in which the names come first."""
        names, code_of = self.paths.coded(name_of)
        counts = np.bincount(code_of, minlength=len(names))
        used = np.flatnonzero(counts)
        if len(used) <= 1:
            return {names[code]: self for code in used.tolist()}
        order = np.argsort(code_of, kind="stable")
        groups = dict(zip(used.tolist(), np.split(order, np.cumsum(counts[used])[:-1]), strict=True))
        return {names[code]: self.take(groups[code]) for code in sorted(groups, key=lambda code: int(groups[code][0]))}

    def ending(self, suffixes: Collection[str], is_wanted: Callable[[str], bool]) -> NDArray[np.int64]:
        """Numbers of the files with wanted paths, each of which has one of some suffixes: see `suffix_of`."""
        numbers = self.paths.named(suffix_of, suffixes.__contains__)
        matches = [is_wanted(path) for path in self.paths.take(numbers)]
        return numbers[np.array(matches, dtype=np.bool_)]

    def without(self, numbers: NDArray[np.int64]) -> FileTable:
        """The other files than those of these numbers."""
        return self.take(np.delete(np.arange(len(self)), numbers)) if len(numbers) else self

    def with_paths(self, is_wanted: Callable[[str], bool]) -> FileTable:
        """The files with such paths."""
        return self.where(np.fromiter(map(is_wanted, self.paths), dtype=bool, count=len(self)))


class _TableBuilder:
    """Makes a table of files that come one by one."""

    def __init__(self) -> None:
        self._paths = TextColumnBuilder()
        self._sizes, self._stamps = array("q"), array("q")
        self._waiting: list[str] = []  # paths that are added together, which takes less time

    def add(self, file: File) -> None:
        self._waiting.append(file.path)
        self._sizes.append(file.bytes)
        self._stamps.append(file.stamp)
        if len(self._waiting) == CHUNK:
            self._add_paths()

    def _add_paths(self) -> None:
        self._paths.extend(self._waiting)
        self._waiting = []

    def table(self) -> FileTable:
        self._add_paths()
        sizes, stamps = (np.frombuffer(column, dtype=np.int64) for column in (self._sizes, self._stamps))
        return FileTable((self._paths.column(), sizes, stamps))


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
    files: FileTable
    hidden: int
    refusals: list[SkippedItem]
    aliases: int = 0

    @property
    def notes(self) -> list[str]:
        """A sentence on the links, if some are left out."""
        if not self.aliases:
            return []
        return [
            f"{plural(self.aliases, 'link')} to files of this folder {are(self.aliases)} left out: each file counts once."
        ]


@dataclass(slots=True)
class LocalCopy:
    """Copy in the cache of data that is not read in its place: it lies at an address, or in an archive.

    Attributes:
        place: The folder, or the one file.
        note: A sentence about it.
        listing: Its files.
        refusals: Files that could not be copied, with reasons.
    """

    place: Path
    note: str
    listing: Listing
    refusals: list[SkippedItem] = field(default_factory=list)


def list_files(place: Path) -> Listing:
    """Every file below a folder, or the one file, once. Follows links, but no loops, and none to a folder that holds this one.

    Raises DataError if `place` itself cannot be read or is neither a folder nor a regular file."""
    info = _info(place)
    if stat.S_ISREG(info.st_mode):
        return Listing(place.parent, FileTable.of([File(place.name, info.st_size, info.st_mtime_ns)]), 0, [])
    if not stat.S_ISDIR(info.st_mode):
        raise DataError(f"{str(place)!r} is {_describe_mode(info.st_mode)}; give a folder or a file")
    return _FolderWalk(place, info).listing()


class _FolderWalk:
    """Walks through a folder in the order of paths. Only the current folder, its parents and the columns of the files so far are in
    memory."""

    def __init__(self, place: Path, info: os.stat_result) -> None:
        self._place = place
        self._visited = {(info.st_dev, info.st_ino)}
        self._above = _folders_above(place)
        self._table, self._identities = _TableBuilder(), _Identities()
        self._hidden = 0
        self._refusals: list[SkippedItem] = []

    def listing(self) -> Listing:
        """All files. Raises DataError if the folder itself cannot be read."""
        waiting = [self._entries("")]
        while waiting:
            path = next(waiting[-1], None)
            if path is None:
                waiting.pop()
            else:
                waiting.append(self._entries(f"{path}/"))
        entries = self._table.table()
        files = self._identities.without_aliases(entries)
        return Listing(self._place, files, self._hidden, self._refusals, len(entries) - len(files))

    def _entries(self, folder: str) -> Iterator[str]:
        """Add what a folder holds; yields each folder in it where its turn is. folder: "", or a path with a slash at its end."""
        try:
            names, links = self._names(folder)
        except OSError as error:
            if not folder:
                raise DataError(
                    f"{str(self._place)!r} cannot be read ({clause(error)}); check its permissions"
                ) from None
            self._refuse(folder.rstrip("/"), f"it cannot be read ({clause(error)})")
            return
        for name in names:
            path = folder + name.rstrip("/")
            info = self._stat(path, name in links)
            if info is not None and self._is_new_folder(path, info, name in links):
                yield path

    def _names(self, folder: str) -> tuple[list[str], set[str]]:
        """(names in a folder, in order, with a slash after those of folders; those of links among them). Raises OSError."""
        names: list[str] = []
        links: set[str] = set()
        with os.scandir(f"{self._place}/{folder}") as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__pycache__":
                    self._hidden += 1
                    continue
                names.append(f"{entry.name}/" if _is_folder(entry) else entry.name)
                if entry.is_symlink():
                    links.add(names[-1])
        return sorted(names), links

    def _stat(self, path: str, is_link: bool) -> os.stat_result | None:
        """The type of an entry; None if it is refused."""
        try:
            return os.stat(f"{self._place}/{path}")
        except FileNotFoundError:
            self._refuse(path, "it is a broken link" if is_link else "it vanished while the folder was listed")
        except OSError as error:
            self._refuse(path, f"it cannot be read ({clause(error)})")
        return None

    def _is_new_folder(self, path: str, info: os.stat_result, is_link: bool) -> bool:
        """Whether an entry is a folder whose turn it is; a file is added."""
        if stat.S_ISREG(info.st_mode):
            self._table.add(File(path, info.st_size, info.st_mtime_ns))
            self._identities.add(info, is_link)
        elif not stat.S_ISDIR(info.st_mode):
            self._refuse(path, f"it is {_describe_mode(info.st_mode)}, not a file")
        elif (info.st_dev, info.st_ino) in self._above:
            self._refuse(path, "it is a link to a folder that holds the data")
        elif (info.st_dev, info.st_ino) not in self._visited:
            self._visited.add((info.st_dev, info.st_ino))
            return True
        return False

    def _refuse(self, path: str, reason: str) -> None:
        self._refusals.append(SkippedItem(shorten_path(path), reason))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # such as a loop of links, which is refused when its turn is
        return False


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

    def without_aliases(self, files: FileTable) -> FileTable:
        """The first of the paths to each file: none that is a symbolic link, if there is another one. files: in the order of `add`."""
        if not self._has_links:
            return files
        columns = (np.frombuffer(column, dtype=np.uint64) for column in (self._devices, self._inodes))
        devices, inodes = columns
        # Of paths to the same file, the first in this order is kept: first those that are no links. Both sorts are stable
        order = np.argsort(np.frombuffer(self._are_links, dtype=np.uint8), kind="stable")
        order = order[np.lexsort((inodes[order], devices[order]))]
        is_first = np.ones(len(files), dtype=bool)
        is_first[order[1:]] = (np.diff(inodes[order]) != 0) | (np.diff(devices[order]) != 0)
        # Some network file systems have no inodes
        return files.where(is_first | (inodes == 0))


def _info(place: Path) -> os.stat_result:
    try:
        return place.stat()
    except OSError as error:
        raise DataError(
            f"{shorten_path(str(place))!r} cannot be read ({clause(error)}); check its permissions"
        ) from None


def _folders_above(place: Path) -> set[tuple[int, int]]:
    """(device, inode) of the folders that hold a folder."""
    infos = [_info(folder) for folder in place.resolve().parents]
    return {(info.st_dev, info.st_ino) for info in infos if info.st_ino}


def _describe_mode(mode: int) -> str:
    return _SPECIAL.get(stat.S_IFMT(mode), "neither a file nor a folder")


def shorten_path(path: str) -> str:
    """The path for a sentence: of a long one, the beginning and the end."""
    half = SHOWN_CHARACTERS // 2
    return path if len(path) <= 2 * half else f"{path[:half]}...{path[-half:]}"
