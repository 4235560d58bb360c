"""Parquet files through pyarrow. These functions run in the worker process (`anew.core.isolation`), since a damaged file can
make pyarrow abort; what they return is plain values."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anew.core.extras import require
from anew.data import limits
from anew.data.sources.base import SHARD_ITEMS
from anew.data.sources.columns import class_columns, first_cells, text_columns
from anew.data.sources.delimited_rows import InvalidRow

if TYPE_CHECKING:
    from pyarrow import Array, DataType, RecordBatch
    from pyarrow.parquet import FileMetaData, ParquetFile

SAMPLED_BYTES = 16 * 1024 * 1024  # SHARD_ITEMS rows are sampled while listing if they take no more than this
SAMPLED_ROWS = 8  # otherwise so many: pictures are alike
BATCH_ROWS = 1024  # rows decoded at once: more gain no speed
# Bytes of cells in one answer: large enough that the pipe costs little, small enough to be in memory twice
ANSWER_BYTES = 8 * 1024 * 1024
# Bytes of a column that are read ahead; without a buffer the whole column of a row group would be read at once
BUFFER_BYTES = 1024 * 1024
MAX_CURSORS = 2  # row groups that stay open: one that training reads and one that is read in order


@dataclass(frozen=True, slots=True)
class ParquetInfo:
    """Description of a file.

    Attributes:
        columns: Names of the columns without lists.
        samples: One value that is not empty by column.
        texts: Columns that hold text, see `text_columns`.
        classes: Columns that could be classes, see `class_columns`.
        first_cells: The first cells of these, see `columns.first_cells`.
        class_names: Names of the classes by label column, if the file has the schema of Hugging Face `datasets`.
    """

    columns: list[str]
    group_rows: list[int]
    samples: dict[str, object]
    texts: list[str]
    classes: dict[str, list[str]]
    first_cells: dict[str, list[str]]
    class_names: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class RowsRequest:
    """The rows to read.

    Attributes:
        group: Number of the row group.
        stop: The row after the last one, counted in the row group.
        columns: Names of the columns.
        row_bytes: Bytes of a row, as the file states them.
        bounds: Limits of rows; the worker does not see changes of the limits in its parent.
    """

    path: str
    group: int
    stop: int
    columns: tuple[str, ...]
    row_bytes: int
    bounds: limits.ParquetLimits


@dataclass(slots=True)
class RowsAnswer:
    """Some of the requested rows.

    Attributes:
        next_row: The row that comes next.
        rows: Cells by column, or why a row cannot be used.
        bytes: Bytes of the cells of these rows.
        too_large: Whether the rows hold more than they may; then nothing follows.
        damage: Why nothing follows (one clause), or "".
    """

    next_row: int
    rows: list[dict[str, object] | InvalidRow] = field(default_factory=list)
    bytes: int = 0
    too_large: bool = False
    damage: str = ""


# ---- what the parent calls ----


def inspect(bounds: limits.ParquetLimits, path: str) -> ParquetInfo:
    """Describe a file. Raises ValueError (one clause) if it cannot be used."""
    file = _open_file(path)
    if file.metadata.num_columns > bounds.columns:
        raise ValueError(f"it has more than {bounds.columns:,} columns")
    columns = [entry.name for entry in file.schema_arrow if _holds_one_value(entry.type)]
    group_rows = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    if not any(group_rows):
        raise ValueError("it holds no rows")
    if sum(group_rows) > max(bounds.rows, bounds.rows_per_byte * os.path.getsize(path)):
        raise ValueError(f"its {sum(group_rows):,} rows repeat the same few values; leave the repeated ones out")
    samples, rows = _samples(bounds, path, file.metadata, columns, group_rows)
    texts = text_columns(columns, rows)
    cells = {column: first_cells(column, rows) for column in texts}
    classes = class_columns(columns, rows)
    return ParquetInfo(
        columns, group_rows, samples, texts, classes, cells, _class_names(file.schema_arrow.metadata or {})
    )


def group_bytes(columns: Sequence[str], path: str) -> list[int]:
    """Uncompressed bytes of these columns in each row group. Raises ValueError (one clause)."""
    metadata = _open_file(path).metadata
    return [_bytes_of_group(metadata, number, columns) for number in range(metadata.num_row_groups)]


def group_ranges(columns: Sequence[str] | None, path: str) -> list[list[tuple[int, int]]]:
    """Ranges (start, stop) of the chunks of these columns (None: all), by row group. Raises ValueError (one clause)."""
    metadata = _open_file(path).metadata
    leaves = range(metadata.num_columns) if columns is None else _leaves(metadata, columns)
    groups: list[list[tuple[int, int]]] = []
    for number in range(metadata.num_row_groups):
        chunks = [metadata.row_group(number).column(leaf) for leaf in leaves]
        starts = [
            min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset) for chunk in chunks
        ]
        groups.append(
            [(start, start + chunk.total_compressed_size) for start, chunk in zip(starts, chunks, strict=True)]
        )
    return groups


def read_rows(request: RowsRequest, position: tuple[int, int]) -> RowsAnswer:
    """Rows from a position on, about ANSWER_BYTES of them.

    position: the first row in the row group, and bytes that these and all later rows may take.
    """
    start, allowance = position
    answer = RowsAnswer(start)
    try:
        cursor = _cursor(request, start)
        while answer.next_row < request.stop and answer.bytes < ANSWER_BYTES and not answer.too_large:
            batch = cursor.take(answer.next_row, request.stop)
            if batch is None:  # the row group has fewer rows than the file states
                answer.next_row = request.stop
                break
            widths = sum(map(_widths, batch.columns), np.zeros(len(batch), np.int64))
            fitting = int(np.searchsorted(np.cumsum(widths), allowance - answer.bytes, "right"))
            answer.rows += _rows_of(batch.slice(0, fitting), widths[:fitting], request.bounds.cell)
            answer.next_row += len(batch)
            answer.bytes += int(widths.sum())
            answer.too_large = fitting < len(batch)
    except Exception as error:  # pyarrow's errors share no base of their own
        _cursors.clear()
        answer.damage = f"its rows are damaged from here on ({_first_line(error)})"
    return answer


# ---- reading on ----


class _Cursor:
    """The batches of one row group in order, so that it is not decoded from its beginning for each read."""

    def __init__(self, request: RowsRequest, stamp: int) -> None:
        file = _open_file(request.path)
        rows = _rows_at_once(request, stamp, file.metadata)
        self._batches = file.iter_batches(rows, row_groups=[request.group], columns=list(request.columns))
        self._batch: RecordBatch = None
        self.row = 0

    def take(self, start: int, stop: int) -> RecordBatch:
        """Rows of one batch, from `start` on and before `stop`; None after the last row."""
        while True:
            if not self._batch:
                self._batch = next(self._batches, None)
            if self._batch is None:
                return None
            num_skipped = min(start - self.row, len(self._batch))
            rows = self._batch.slice(num_skipped, stop - start)
            self.row += num_skipped + len(rows)
            self._batch = self._batch.slice(num_skipped + len(rows))
            if len(rows):
                return rows


_cursors: OrderedDict[tuple[object, ...], _Cursor] = OrderedDict()
_longest_cells: dict[tuple[object, ...], int] = {}


def _cursor(request: RowsRequest, start: int) -> _Cursor:
    """A cursor at the row or before it."""
    stamp = os.stat(request.path).st_mtime_ns
    key = (request.path, stamp, request.group, request.columns, request.bounds)
    cursor = _cursors.pop(key, None)
    if cursor is None or cursor.row > start:
        cursor = _Cursor(request, stamp)
    _cursors[key] = cursor
    while len(_cursors) > MAX_CURSORS:
        _cursors.popitem(last=False)
    return cursor


def _rows_at_once(request: RowsRequest, stamp: int, metadata: FileMetaData) -> int:
    """How many rows stay within `limits.ParquetLimits.batch` even if each has the longest cell of its column's dictionary: with a
    dictionary, a few bytes of a file may put the same long cell into every row."""
    paths = _dictionary_columns(metadata, request.group, request.columns)
    key = (request.path, stamp, request.group, *paths)
    if paths and key not in _longest_cells:
        file = _open_file(request.path, as_dictionaries=paths)
        columns = sorted({path.split(".")[0] for path in paths})
        batch = next(file.iter_batches(1, row_groups=[request.group], columns=columns))
        _longest_cells[key] = sum(map(_longest_cell, batch.columns))
    row_bytes = max(request.row_bytes, _longest_cells.get(key, 0), 1)
    return max(1, min(BATCH_ROWS, request.stop, request.bounds.batch // row_bytes))


# ---- the file ----


def _pyarrow(module: str = "pyarrow") -> ModuleType:
    return require(module, extra="tables", purpose="reading Parquet")


def _open_file(path: str, as_dictionaries: Sequence[str] = ()) -> ParquetFile:
    """A `pyarrow.parquet.ParquetFile`.

    Args:
        as_dictionaries: Paths of columns to read as numbers into their dictionaries.

    Raises:
        ValueError: It cannot be read (one clause).
    """
    library = _pyarrow("pyarrow.parquet")
    try:
        # Not mapped: a large file would count as memory of the worker.
        return library.ParquetFile(path, buffer_size=BUFFER_BYTES, read_dictionary=list(as_dictionaries))
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror or _first_line(error)})") from None
    except Exception as error:  # pyarrow's errors share no base of their own
        raise ValueError(f"it is damaged ({_first_line(error)})") from None


def _samples(
    bounds: limits.ParquetLimits, path: str, metadata: FileMetaData, columns: Sequence[str], group_rows: Sequence[int]
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """(one value that is not empty by column, the first rows). Raises ValueError (one clause) if none can be read."""
    group = next(number for number, rows in enumerate(group_rows) if rows)
    row_bytes = _bytes_of_group(metadata, group, columns) // group_rows[group]
    max_rows = SHARD_ITEMS if row_bytes * SHARD_ITEMS <= SAMPLED_BYTES else SAMPLED_ROWS
    rows = min(max_rows, group_rows[group])
    request = RowsRequest(path, group, rows, tuple(columns), row_bytes, bounds)
    answer = read_rows(request, (0, bounds.shard(rows * row_bytes)))
    if answer.too_large:
        raise ValueError(too_large(rows * row_bytes, bounds))
    samples: dict[str, object] = {}
    for row in answer.rows:
        if isinstance(row, dict) and len(samples) < len(columns):
            samples = {**{name: cell for name, cell in row.items() if cell not in (None, "")}, **samples}
    reasons = [str(row) for row in answer.rows if isinstance(row, InvalidRow)]
    if answer.damage or (reasons and not samples):
        raise ValueError(answer.damage or reasons[-1])
    return samples, [row for row in answer.rows if isinstance(row, dict)]


def too_large(stated_bytes: int, bounds: limits.ParquetLimits) -> str:
    """Why no more of the rows that should take so many bytes are read (one clause)."""
    return f"its rows hold far more than the file says (over {limits.size(bounds.shard(stated_bytes))})"


def _bytes_of_group(metadata: FileMetaData, number: int, columns: Sequence[str]) -> int:
    """Uncompressed bytes of these columns in a row group, as the file says."""
    group = metadata.row_group(number)
    return sum(group.column(leaf).total_uncompressed_size for leaf in _leaves(metadata, columns))


def _dictionary_columns(metadata: FileMetaData, group: int, columns: Sequence[str]) -> list[str]:
    """The paths of strings and bytes in these columns that have a dictionary in a row group."""
    chunks = (metadata.row_group(group).column(leaf) for leaf in _leaves(metadata, columns))
    return [
        chunk.path_in_schema for chunk in chunks if chunk.physical_type == "BYTE_ARRAY" and chunk.has_dictionary_page
    ]


def _leaves(metadata: FileMetaData, columns: Sequence[str]) -> list[int]:
    """The numbers of the leaves of these top-level columns."""
    schema = metadata.schema
    return [leaf for leaf in range(metadata.num_columns) if schema.column(leaf).path.split(".")[0] in columns]


def _holds_one_value(column_type: DataType) -> bool:
    """Whether a column has one value a row, or a few named ones; a list may have any number."""
    fields = [column_type.field(number) for number in range(column_type.num_fields)]
    is_struct = _pyarrow().types.is_struct(column_type)
    return not fields or (is_struct and not any(entry.type.num_fields for entry in fields))


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        labels = {
            name: feature["names"]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
        return {name: tuple(map(str, names)) for name, names in labels.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


# ---- cells ----


def _rows_of(batch: RecordBatch, widths: NDArray[np.int64], max_bytes: int) -> list[dict[str, object] | InvalidRow]:
    """The rows of a batch as dicts; one that takes more bytes than it may is InvalidRow. widths: (rows,) bytes of each."""
    readable = widths <= max_bytes  # (rows,)
    if not readable.all():
        batch = batch.filter(_pyarrow().array(readable))
    names = batch.schema.names
    dicts = (dict(zip(names, cells, strict=True)) for cells in zip(*map(_cells, batch.columns), strict=True))
    if readable.all():
        return list(dicts)
    return [
        next(dicts)
        if fits
        else InvalidRow(f"the row holds {limits.size(int(width))}; at most {limits.size(max_bytes)}")
        for fits, width in zip(readable, widths, strict=True)
    ]


def _cells(column: Array) -> list[object]:
    # NumPy takes a fraction of the time
    if _is_text_or_bytes(column.type):
        cells: list[object] = column.to_numpy(zero_copy_only=False).tolist()
    else:
        cells = list(map(_plain, _in_microseconds(column).to_pylist()))
    return cells


def _plain(cell: object) -> object:
    """A cell as the pipe takes it: dates, times, decimals and the like as their text, as they stand in a CSV file."""
    if isinstance(cell, Mapping):
        return {name: _plain(value) for name, value in cell.items()}
    return cell if cell is None or isinstance(cell, str | bytes | int | float) else str(cell)


def _in_microseconds(column: Array) -> Array:
    """A column of times whose nanoseconds, which Python has not, are cut off; any other column as it is."""
    pyarrow = _pyarrow()
    types, unit_type = pyarrow.types, column.type
    if types.is_timestamp(unit_type) and unit_type.unit == "ns":
        return column.cast(pyarrow.timestamp("us", unit_type.tz), safe=False)
    if types.is_duration(unit_type) and unit_type.unit == "ns":
        return column.cast(pyarrow.duration("us"), safe=False)
    if types.is_time64(unit_type) and unit_type.unit == "ns":
        return column.cast(pyarrow.time64("us"), safe=False)
    return column


def _is_text_or_bytes(column_type: DataType) -> bool:
    types = _pyarrow().types
    checks = (types.is_string, types.is_binary, types.is_large_string, types.is_large_binary)
    return any(check(column_type) for check in checks)


def _widths(column: Array) -> NDArray[np.int64]:
    """(rows,) bytes that each cell takes; a number takes 8."""
    pyarrow, compute = _pyarrow(), _pyarrow("pyarrow.compute")
    if pyarrow.types.is_dictionary(column.type):  # read as it was written, if the file has the schema of Arrow
        if not len(column.dictionary):
            return np.zeros(len(column), np.int64)
        indices = compute.fill_null(column.indices, 0).to_numpy(zero_copy_only=False)
        return np.asarray(_widths(column.dictionary)[indices])
    if pyarrow.types.is_struct(column.type):
        return sum(map(_widths, column.flatten()), np.zeros(len(column), np.int64))
    if not _is_text_or_bytes(column.type):
        return np.full(len(column), 8, np.int64)
    lengths = compute.fill_null(compute.binary_length(column), 0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)


def _longest_cell(column: Array) -> int:
    """Bytes of the longest cell in the dictionary of a column."""
    types = _pyarrow().types
    if types.is_struct(column.type):
        return sum(map(_longest_cell, column.flatten()))
    if not types.is_dictionary(column.type) or not len(column.dictionary):
        return 0
    return int(_widths(column.dictionary).max())


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:120]
