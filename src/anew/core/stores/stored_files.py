"""Objects of a store as its listing describes them: ten million of them in columns, since objects of Python would take five times
the memory."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from anew.core.stores.addresses import Info
from anew.core.stores.text_column import ChosenTexts, TextColumn, TextColumnBuilder, argsort_texts, chunked, encoded

STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "md5", "oid", "LastModified", "last_modified", "mtime", "created")
UNKNOWN_SIZE = -1  # an entry of a column of sizes, where the store does not say
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


@dataclass(frozen=True, slots=True)
class StoredColumns:
    """Objects of a store in columns.

    Attributes:
        paths: Their paths below a root.
        sizes: (n,) bytes of each, UNKNOWN_SIZE where the store does not say.
        stamps: See `StoredFile`.
    """

    paths: TextColumn
    sizes: NDArray[np.int64]
    stamps: TextColumn

    @classmethod
    def of(cls, rows: Iterable[Row]) -> StoredColumns:
        """These objects, in the order of paths; of those with the same path only the last."""
        in_order = sorted(rows, key=itemgetter(0))
        following = [*(path for path, _, _ in in_order[1:]), None]
        chosen = [row for row, path in zip(in_order, following, strict=False) if row[0] != path]
        sizes = [UNKNOWN_SIZE if size is None else size for _, size, _ in chosen]
        return cls(
            TextColumn.of([path for path, _, _ in chosen]),
            np.array(sizes, dtype=np.int64),
            TextColumn.of([stamp for _, _, stamp in chosen]),
        )

    def take(self, numbers: NDArray[np.int64]) -> StoredColumns:
        """The objects of these numbers, in this order."""
        paths, stamps = (TextColumn.of(column.iter_take(numbers)) for column in (self.paths, self.stamps))
        return StoredColumns(paths, self.sizes[numbers], stamps)


class StoredFiles(Mapping[str, StoredFile]):
    """Files of a store by their paths below a root, in the order of paths.

    Args:
        root: Prefix of each path in the store.
        columns: Paths, bytes and stamps, in the order of paths.
        keys: Names in the store by path, where they are not root and path.
        numbers: The places of the files in the columns, rising; None: all.
    """

    def __init__(
        self,
        root: str,
        columns: StoredColumns,
        keys: Mapping[str, str] | None = None,
        numbers: NDArray[np.int64] | None = None,
    ) -> None:
        self.root, self.columns, self.keys_elsewhere, self.numbers = root, columns, dict(keys or {}), numbers

    @classmethod
    def of(cls, root: str, rows: Iterable[Row], keys: Mapping[str, str] | None = None) -> StoredFiles:
        """The files of these rows; where several have the same path, the last one counts."""
        return cls.joined(root, [StoredColumns.of(rows)], keys)

    @classmethod
    def joined(cls, root: str, parts: Iterable[StoredColumns], keys: Mapping[str, str] | None = None) -> StoredFiles:
        """The files of several listings, which need hardly any more memory than the result if they come in the order of paths."""
        paths, stamps, sizes = TextColumnBuilder(), TextColumnBuilder(), array("q")
        starts, last = [0], ""
        for part in parts:
            if not part.paths:
                continue
            if sizes and part.paths[0] <= last:
                starts.append(len(sizes))
            paths.add_column(part.paths)
            stamps.add_column(part.stamps)
            sizes.frombytes(part.sizes.tobytes())
            last = part.paths[-1]
        columns = StoredColumns(paths.column(), np.frombuffer(sizes, dtype=np.int64), stamps.column())
        return cls(root, columns if len(starts) == 1 else columns.take(argsort_texts(columns.paths, starts)), keys)

    def __len__(self) -> int:
        return len(self.columns.paths) if self.numbers is None else len(self.numbers)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __getitem__(self, path: str) -> StoredFile:
        row = self._row(path)
        key, size = self.keys_elsewhere.get(path) or f"{self.root}{path}", int(self.columns.sizes[row])
        return StoredFile(key, None if size == UNKNOWN_SIZE else size, self.columns.stamps[row])

    def _row(self, path: str) -> int:
        """The place of a file in the columns. Raises KeyError."""
        rows = range(len(self)) if self.numbers is None else self.numbers
        key = encoded(path)
        place = bisect_left(rows, key, key=self.columns.paths.encoded)
        if place == len(rows) or self.columns.paths.encoded(rows[place]) != key:
            raise KeyError(path)
        return int(rows[place])

    @property
    def order(self) -> NDArray[np.int64]:
        """(n,) places of the files in the columns, in the order of paths."""
        return np.arange(len(self)) if self.numbers is None else self.numbers

    def rows_of(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """(n,) places of the files with these paths in the columns. Raises KeyError where there is none of a path."""
        return np.array([self._row(path) for path in paths], dtype=np.int64)

    def without(self, others: StoredFiles) -> StoredFiles:
        """The files that are not among others of the same columns."""
        is_other = np.zeros(len(self.columns.sizes), dtype=bool)
        is_other[others.order] = True
        return self.where(~is_other[self.order])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n,) bytes of each file; UNKNOWN_SIZE where the store does not say."""
        return self.columns.sizes if self.numbers is None else self.columns.sizes[self.numbers]

    @property
    def bytes(self) -> int:
        """Bytes of all files whose size is known."""
        return int(np.maximum(self.sizes, 0).sum())

    def rows(self) -> Iterator[Row]:
        """All files, in the order of paths."""
        sizes = (None if size == UNKNOWN_SIZE else size for size in chunked(self.sizes))
        return zip(self.paths, sizes, ChosenTexts(self.columns.stamps, self.numbers), strict=True)

    @property
    def paths(self) -> ChosenTexts:
        """The paths of the files, in their order."""
        return ChosenTexts(self.columns.paths, self.numbers)

    @property
    def are_stamped(self) -> NDArray[np.bool_]:
        """(n,) whether bytes and stamp of each file are known."""
        is_stamped: NDArray[np.bool_] = (self.columns.sizes != UNKNOWN_SIZE) & (np.diff(self.columns.stamps.bounds) > 1)
        return is_stamped if self.numbers is None else is_stamped[self.numbers]

    def digest(self) -> int:
        """A number of 64 bits that changes with any path, size or stamp."""
        columns = self.columns if self.numbers is None else self.columns.take(self.numbers)
        digest = hashlib.blake2b(columns.sizes.data, digest_size=8)
        for texts in (columns.paths, columns.stamps):
            digest.update(texts.text)
            digest.update(texts.bounds.data)
        return int.from_bytes(digest.digest())

    def where(self, is_wanted: NDArray[np.bool_]) -> StoredFiles:
        """The files for which this is true; these themselves if all are wanted. is_wanted: (n,)."""
        if is_wanted.all():
            return self
        return StoredFiles(self.root, self.columns, self.keys_elsewhere, self.order[is_wanted])
