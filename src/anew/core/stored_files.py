"""Objects of a store as its listing describes them: a million of them in columns, since objects in a dictionary take twice the memory."""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

from anew.core.addresses import Info

STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "md5", "oid", "LastModified", "last_modified", "mtime", "created")
Row = tuple[str, int | None, str]  # path below a root, bytes (None where the store does not say), stamp


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An object of a store. key: its name there; bytes: None where the store does not say; stamp: changes with its content."""

    key: str
    bytes: int | None
    stamp: str


def stored_file(key: str, info: Info) -> StoredFile:
    """An object as its store describes it."""
    return StoredFile(key, size_of(info), stamp_of(info))


def size_of(info: Info) -> int | None:
    """`StoredFile.bytes`, as a store describes an object."""
    size = info.get("size")
    return size if isinstance(size, int) else None


def stamp_of(info: Info) -> str:
    """`StoredFile.stamp`, as a store describes an object."""
    for name in STAMPS:
        value = info.get(name)
        if value is not None and (stamp := _stamp(value)):  # some stores have an empty ETag
            return stamp
    return ""


def stamp_of_object(tag: str | None, changed: datetime) -> str:
    """`stamp_of` of an object of S3, in a third of the time. tag: its ETag; changed: when it was last written."""
    return (tag and _stamp(tag)) or _stamp(changed)


def _stamp(value: object) -> str:
    """A stamp in the form that a listing and the object itself have in common: some stores quote an ETag in one of them alone, or
    give fractions of a second in one alone."""
    if isinstance(value, datetime):
        return str(int(value.timestamp()))
    return str(value).removeprefix("W/").strip('"')


class StoredFiles(Mapping[str, StoredFile]):
    """Files of a store by their paths below a root, in the order of paths.

    Args:
        root: What stands before each path in the store.
        rows: The files; of those with the same path the last one counts.
        keys: Names in the store by path, where they are not root and path.
    """

    def __init__(self, root: str, rows: Iterable[Row], keys: Mapping[str, str] | None = None) -> None:
        self.root, self.keys_elsewhere = root, dict(keys or {})
        self.paths: list[str] = []
        self.sizes: list[int | None] = []
        stamps: list[str] = []
        for path, size, stamp in sorted(rows, key=itemgetter(0)):
            if self.paths and path == self.paths[-1]:
                self.sizes[-1], stamps[-1] = size, stamp
                continue
            self.paths.append(path)
            self.sizes.append(size)
            stamps.append(stamp)
        # As one text, since each object of Python takes 50 bytes besides what it holds
        self._stamps = "".join(stamps)
        self._stamp_ends = array("Q", itertools.accumulate(map(len, stamps)))

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __getitem__(self, path: str) -> StoredFile:
        index = bisect_left(self.paths, path)
        if index == len(self.paths) or self.paths[index] != path:
            raise KeyError(path)
        key = self.keys_elsewhere.get(path) or f"{self.root}{path}"
        return StoredFile(key, self.sizes[index], self._stamp(index))

    def _stamp(self, index: int) -> str:
        return self._stamps[self._stamp_ends[index - 1] if index else 0 : self._stamp_ends[index]]

    def rows(self) -> Iterator[Row]:
        """All files, in the order of paths."""
        return zip(self.paths, self.sizes, map(self._stamp, range(len(self))), strict=True)

    def filter(self, is_wanted: Callable[[Row], bool]) -> StoredFiles:
        """Some of the files; these themselves if all are wanted."""
        if all(map(is_wanted, self.rows())):
            return self
        return StoredFiles(self.root, filter(is_wanted, self.rows()), self.keys_elsewhere)
