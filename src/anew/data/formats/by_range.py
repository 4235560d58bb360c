"""Files that are not on this disk but in a store, from which they are read by range. They have paths like others, below a folder that
is told here; whoever opens data opens it here."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from anew.core.ranges import BLOCK, RangeFile, RangeStore, StoredFile


@dataclass(frozen=True, slots=True)
class Distant:
    """A file in a store."""

    store: RangeStore
    file: StoredFile


@dataclass(frozen=True, slots=True)
class _Folder:
    store: RangeStore
    files: Mapping[str, StoredFile]


_folders: dict[str, _Folder] = {}


def stand_in(folder: Path, store: RangeStore, stored: Mapping[str, StoredFile]) -> None:
    """From now on these files below a folder are read from a store. stored: by path below the folder, with `/`."""
    _folders[f"{folder}{os.sep}"] = _Folder(store, stored)


def forget(folder: Path) -> None:
    """All files below a folder are on the disk again."""
    _folders.pop(f"{folder}{os.sep}", None)


def distant(path: str | Path) -> Distant | None:
    """A file as it is in a store; None where it is on the disk."""
    if not _folders:
        return None
    text = os.fspath(path)
    for root, folder in _folders.items():
        if text.startswith(root):
            file = folder.files.get(text[len(root) :].replace(os.sep, "/"))
            return None if file is None else Distant(folder.store, file)
    return None


def opened(path: Path, until: int | None = None) -> IO[bytes]:
    """A file for reading, wherever it is. until: nothing from there on is fetched before it is read."""
    stored = distant(path)
    return path.open("rb") if stored is None else io.BufferedReader(RangeFile(stored.store, stored.file, until))


def size_of(path: Path) -> int:
    """Bytes of a file; OSError where there is none."""
    stored = distant(path)
    return path.stat().st_size if stored is None else stored.file.bytes or 0


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes [start, stop) of a file; up to its end without a stop."""

    path: Path
    start: int = 0
    stop: int | None = None


def has_stores() -> bool:
    """Whether any data of this process lie in a store."""
    return bool(_folders)


def prefetch(ranges: Iterable[Range]) -> None:
    """Have the ranges of files in stores fetched in the background; neighbours by one request."""
    for path, parts in itertools.groupby(ranges, lambda part: part.path):
        stored = distant(path)
        if stored is None:
            continue
        size = stored.file.bytes or 0
        start, stop = -1, -1
        for part in parts:
            part_stop = size if part.stop is None else part.stop
            if start >= 0 and stop <= part.start <= stop + BLOCK:
                stop = part_stop
                continue
            if start >= 0:
                stored.store.prefetch(stored.file, start, stop)
            start, stop = part.start, part_stop
        stored.store.prefetch(stored.file, start, stop)
