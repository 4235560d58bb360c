"""Rows of parquet files by row group. The worker process decodes them, so that a file that crashes pyarrow only loses itself."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from anew.core import files, isolation
from anew.core.extras import require
from anew.data import limits
from anew.data.formats import by_range
from anew.data.formats.by_range import FileInStore, Range
from anew.data.sources.base import SHARD_BYTES, SHARD_ITEMS
from anew.data.sources.delimited_rows import InvalidRow
from anew.data.sources.parquet_decoding import (
    ParquetInfo,
    RowsAnswer,
    RowsRequest,
    group_bytes,
    group_ranges,
    inspect,
    read_rows,
    too_large,
)

SAMPLED_BYTES = 4 * 1024 * 1024  # first bytes of a column, which hold its first rows unless pages are long
MAX_LOCAL_GROUPS = 2  # row groups of a file in a store that are copied to the disk: the current one and the next
ABANDONED_SECONDS = 86_400.0  # a copy that nobody used for so long was probably left behind by a killed process
_TAIL = b"0000PAR1"  # the end of a file: the length of its description, and the mark of the format
MAX_PIECES = 16  # most pieces of one row group: each may have to decode the rows before it


@dataclass(frozen=True, slots=True)
class RowRange:
    """Rows [start, stop) of one row group. bytes: their size as the file states it."""

    group: int
    start: int
    stop: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _LocalFile:
    """A file on the disk."""

    path: str

    def inspect(self) -> ParquetInfo:
        answer: ParquetInfo = isolation.call(inspect, limits.PARQUET, self.path)
        return answer

    def described(self) -> str:
        """A path at which the description of the file can be read."""
        return self.path

    def with_group(self, group: int, columns: tuple[str, ...]) -> _LocalFile:
        return self

    def ranges(self, group: int, columns: tuple[str, ...]) -> list[Range]:
        return []


class _RemoteFile:
    """A file in a store: its description is read at once, row groups when they are used.

    Raises:
        ValueError: It is damaged (one clause).
    """

    def __init__(self, path: Path, stored: FileInStore) -> None:
        self._path, self._stored = path, stored
        size = stored.file.bytes or 0
        end = stored.store.read(stored.file, max(0, size - len(_TAIL)), size)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != _TAIL[4:] or length + len(_TAIL) > size:
            raise ValueError("it is damaged (its end is not that of a Parquet file)")
        self._footer = (size - len(_TAIL) - length, size)
        self._description = PartialFile(stored, [self._footer])
        self._chunks: dict[tuple[str, ...] | None, list[list[tuple[int, int]]]] = {}
        self._groups: OrderedDict[tuple[int, tuple[str, ...]], PartialFile] = OrderedDict()
        self._lock = threading.Lock()

    def described(self) -> str:
        return self._description.path

    def inspect(self) -> ParquetInfo:
        chunks = next((group for group in self._where(None) if group), [])
        for most in (SAMPLED_BYTES, None):  # the first rows are at the beginning of their chunks, unless pages are long
            ranges = [(start, stop if most is None else min(stop, start + most)) for start, stop in chunks]
            copy = PartialFile(self._stored, [*ranges, self._footer])
            try:
                answer: ParquetInfo = isolation.call(inspect, limits.PARQUET, copy.path)
                return answer
            except ValueError:
                if most is None:
                    raise
        raise AssertionError("the whole group is read or refused")

    def _where(self, columns: tuple[str, ...] | None) -> list[list[tuple[int, int]]]:
        with self._lock:
            if columns not in self._chunks:
                self._chunks[columns] = isolation.call(group_ranges, columns, self._description.path)
            return self._chunks[columns]

    def with_group(self, group: int, columns: tuple[str, ...]) -> PartialFile:
        """A file with these columns of a row group."""
        key = (group, columns)
        with self._lock:
            if key in self._groups:
                self._groups.move_to_end(key)
                return self._groups[key]
        copy = PartialFile(self._stored, [*self._where(columns)[group], self._footer])
        with self._lock:
            self._groups[key] = copy
            while len(self._groups) > MAX_LOCAL_GROUPS:
                self._groups.popitem(last=False)
        return copy

    def ranges(self, group: int, columns: tuple[str, ...]) -> list[Range]:
        return [Range(self._path, start, stop) for start, stop in sorted(self._where(columns)[group])]


class PartialFile:
    """A sparse copy of a file in a store, with only some ranges of its bytes. It is deleted with this object.

    Args:
        ranges: (start, stop) of the ranges to copy.

    Raises:
        OSError: The copy cannot be written.
        DataError: The store cannot be read.
    """

    def __init__(self, stored: FileInStore, ranges: Sequence[tuple[int, int]]) -> None:
        self._stored, self._ranges = stored, ranges
        self._path = self._new_copy()
        weakref.finalize(self, _remove, self._path)

    @property
    def path(self) -> str:
        """Path of the local file. Raises the errors of a new copy, which is made if another process took this one for abandoned."""
        try:
            os.utime(self._path)
        except FileNotFoundError:
            os.replace(self._new_copy(), self._path)
        return self._path

    def _new_copy(self) -> str:
        folder = files.cache_root(None) / "parts"
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        store, file = self._stored.store, self._stored.file
        for start, stop in self._ranges:
            store.prefetch(file, start, stop)
        handle, path = tempfile.mkstemp(dir=folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.truncate(file.bytes or 0)
                for start, stop in self._ranges:
                    stream.seek(start)
                    stream.write(store.read(file, start, stop))
        except BaseException:  # whatever ended it, nothing is left behind
            _remove(path)
            raise
        return path


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                path.unlink()


class ParquetFile:
    """One parquet file.

    Attributes:
        columns: Names of the columns without lists.
        count: Number of rows.
        samples: One value that is not empty by column.
        texts: Columns that hold text, see `text_columns`.
        classes: Columns that could be classes, see `class_columns`.
        class_names: Names of the classes by label column, if the file has the schema of Hugging Face `datasets`.

    Raises:
        ValueError: The file cannot be used (one clause).
        DataError: pyarrow is missing.
    """

    def __init__(self, path: Path) -> None:
        require("pyarrow.parquet", extra="tables", purpose=f"reading {path.name!r}")
        stored = by_range.find_stored(path)
        self._file = _LocalFile(os.fspath(path.absolute())) if stored is None else _RemoteFile(path, stored)
        inspection = self._file.inspect()
        self.columns = inspection.columns
        self.samples = inspection.samples
        self.texts, self.classes = inspection.texts, inspection.classes
        self._first_cells = inspection.first_cells
        self.class_names = inspection.class_names
        self._group_rows = inspection.group_rows
        self.count = sum(inspection.group_rows)

    def first_cells(self, column: str) -> list[str]:
        """The first cells of a column that holds text."""
        return self._first_cells.get(column, [])

    def pieces(self, columns: Sequence[str], modality: str) -> list[RowRange]:
        """All rows in pieces of about SHARD_BYTES of text or SHARD_ITEMS images, none across two row groups."""
        sizes: list[int] = isolation.call(group_bytes, tuple(columns), self._file.described())
        pieces: list[RowRange] = []
        for group, (rows, size) in enumerate(zip(self._group_rows, sizes, strict=True)):
            shards = size / SHARD_BYTES if modality != "image" else rows / SHARD_ITEMS
            count = max(1, min(round(shards), MAX_PIECES, rows))
            edges = [rows * number // count for number in range(count + 1)]
            pieces += [
                RowRange(group, start, stop, size * (stop - start) // max(rows, 1))
                for start, stop in itertools.pairwise(edges)
            ]
        return [piece for piece in pieces if piece.stop > piece.start]

    def ranges(self, piece: RowRange, columns: Sequence[str]) -> list[Range]:
        """The ranges of the file that reading a piece needs, if it lies in a store."""
        return self._file.ranges(piece.group, tuple(columns))

    def read(self, piece: RowRange, columns: Sequence[str]) -> Iterator[dict[str, object] | InvalidRow]:
        """The rows of a piece. Raises ValueError (one clause) if the file is damaged."""
        row_bytes = piece.bytes // (piece.stop - piece.start)
        # Kept in a variable, because the copy exists only as long as this object
        local = self._file.with_group(piece.group, tuple(columns))
        request = RowsRequest(local.path, piece.group, piece.stop, tuple(columns), row_bytes, limits.PARQUET)
        row, allowance = piece.start, limits.PARQUET.shard(piece.bytes)
        while row < piece.stop:
            answer: RowsAnswer = isolation.call(read_rows, request, (row, allowance))
            yield from answer.rows
            if answer.damage:
                raise ValueError(answer.damage)
            if answer.too_large:
                yield InvalidRow(too_large(piece.bytes, limits.PARQUET))
                return
            row, allowance = answer.next_row, allowance - answer.bytes
