"""Files in a remote store that are read by range. They have paths like local files, below a folder that is registered here.
All readers open files through this module."""

from __future__ import annotations

import io
import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from anew.core.stores.ranges import BLOCK, RangeFile, RangeStore
from anew.core.stores.stored_files import StoredFile


@dataclass(frozen=True, slots=True)
class FileInStore:
    """A file in a store."""

    store: RangeStore
    file: StoredFile


@dataclass(frozen=True, slots=True)
class _Folder:
    store: RangeStore
    files: Mapping[str, StoredFile]


# The places of so many files are kept: a file is asked for several times, and found by a search among a million names.
FOUND_FILES = 65_536

_folders: dict[str, _Folder] = {}
_found: dict[str, FileInStore] = {}  # files in stores by path


def register(folder: Path, store: RangeStore, stored: Mapping[str, StoredFile]) -> None:
    """From now on, read these files below a folder from a store. stored: files by their path below the folder, with `/`."""
    _found.clear()
    _folders[f"{folder}{os.sep}"] = _Folder(store, stored)


def unregister(folder: Path) -> None:
    """From now on, read all files below a folder from the disk again."""
    _found.clear()
    _folders.pop(f"{folder}{os.sep}", None)


def find_stored(path: str | Path) -> FileInStore | None:
    """The file in its store; None if it is on the disk."""
    if not _folders:
        return None
    text = os.fspath(path)
    stored = _found.get(text)
    if stored is not None:
        return stored
    for root, folder in _folders.items():
        if text.startswith(root):
            file = folder.files.get(text[len(root) :].replace(os.sep, "/"))
            return None if file is None else _keep(text, FileInStore(folder.store, file))
    return None


def _keep(path: str, file: FileInStore) -> FileInStore:
    if len(_found) >= FOUND_FILES:
        _found.clear()
    _found[path] = file
    return file


def open_file(path: str | Path, until: int | None = None) -> IO[bytes]:
    """Open a file for reading, on the disk or in a store. until: offset up to which reading ahead may fetch."""
    stored = find_stored(path)
    return open(path, "rb") if stored is None else io.BufferedReader(RangeFile(stored.store, stored.file, until))


def size_of(path: Path) -> int:
    """The size of a file in bytes. Raises OSError if there is none."""
    stored = find_stored(path)
    return path.stat().st_size if stored is None else stored.file.bytes or 0


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes [start, stop) of a file; without `stop`, up to its end."""

    path: str | Path
    start: int = 0
    stop: int | None = None


def has_stores() -> bool:
    """Whether any folder is registered in this process."""
    return bool(_folders)


def prefetch(ranges: Iterable[Range]) -> None:
    """Fetch ranges of files in stores in the background, neighbouring ones by a single request."""
    by_store: defaultdict[RangeStore, list[tuple[StoredFile, int, int]]] = defaultdict(list)
    for path, ranges_of_file in itertools.groupby(ranges, lambda item: item.path):
        stored = find_stored(path)
        if stored is None:
            continue
        size = stored.file.bytes or 0
        start, stop = -1, -1
        for item in ranges_of_file:
            item_stop = size if item.stop is None else item.stop
            if start >= 0 and stop <= item.start <= stop + BLOCK:
                stop = item_stop
                continue
            if start >= 0:
                by_store[stored.store].append((stored.file, start, stop))
            start, stop = item.start, item_stop
        by_store[stored.store].append((stored.file, start, stop))
    for store, joined in by_store.items():
        store.prefetch_all(joined)
