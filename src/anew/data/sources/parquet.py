"""Rows of parquet files, read by row group through pyarrow, which is imported only when such a file is met."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.core.extras import require
from anew.data import limits
from anew.data.sources.base import SHARD_BYTES, SHARD_ITEMS
from anew.data.sources.delimited_rows import Broken

SAMPLED_ROWS, SAMPLED_BYTES = (
    8,
    16 * 1024 * 1024,
)  # rows looked at in listing; SHARD_ITEMS where they take no more bytes
PIECES = 16  # most shards that one row group is cut into: each of them decodes what stands before it


class Swollen(Broken):
    """Rows decode to far more than the file says."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows [start, stop) of one row group."""

    group: int
    start: int
    stop: int
    bytes: int


class Parquet:
    """One parquet file. columns, count and samples as in `Rows`, of columns without lists.

    names: class names by label column, where the file carries the schema of Hugging Face `datasets`.
    Raises ValueError (one clause) where it is damaged, DataError without pyarrow.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._library = require("pyarrow.parquet", extra="tables", purpose=f"reading {path.name!r}")
        self._cells: dict[tuple[Any, ...], int] = {}  # by row group and columns: bytes of the longest cells
        with self._open() as file:
            if file.metadata.num_columns > limits.PARQUET.columns:
                raise ValueError(f"it has more than {limits.PARQUET.columns:,} columns")
            schema = file.schema_arrow
            self.columns: list[str] = [field.name for field in schema if _is_flat(field.type)]
            self.count: int = file.metadata.num_rows
            self.names = _class_names(schema.metadata or {})
            self._rows = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        if not self.count:
            raise ValueError("it holds no rows")
        self.samples = self._sample()

    def _open(self, repeated: Sequence[str] = ()) -> Any:
        """repeated: paths of columns to read as numbers into their dictionaries."""
        try:
            return self._library.ParquetFile(self.path, memory_map=True, read_dictionary=list(repeated))
        except OSError:
            raise
        except Exception as error:  # pyarrow's errors share no base of their own
            raise ValueError(f"it is damaged ({_first_line(error)})") from None

    def _sample(self) -> dict[str, Any]:
        first = next(group for group, rows in enumerate(self._rows) if rows)
        with self._open() as file:
            stated = _sizes(file.metadata, self.columns)[first] // self._rows[first]
        rows = min(SHARD_ITEMS if stated * SHARD_ITEMS <= SAMPLED_BYTES else SAMPLED_ROWS, self._rows[first])
        found: dict[str, Any] = {}
        refused: Broken | None = None
        for row in self.read(Piece(first, 0, rows, rows * stated), self.columns):
            if isinstance(row, Swollen):
                raise ValueError(str(row))
            if isinstance(row, Broken):
                refused = row
            elif len(found) < len(self.columns):
                found = {**{k: v for k, v in row.items() if v not in (None, "")}, **found}
        if not found and refused is not None:
            raise ValueError(str(refused))
        return found

    def pieces(self, columns: Sequence[str], kind: str) -> list[Piece]:
        """All rows in pieces of about SHARD_BYTES of text or SHARD_ITEMS images, none across two row groups."""
        found = []
        with self._open() as file:
            sizes = _sizes(file.metadata, columns)
        for group, (rows, size) in enumerate(zip(self._rows, sizes, strict=True)):
            wanted = size / SHARD_BYTES if kind == "text" else rows / SHARD_ITEMS
            count = max(1, min(round(wanted), PIECES, rows))
            edges = [rows * k // count for k in range(count + 1)]
            found += [Piece(group, a, b, size * (b - a) // max(rows, 1)) for a, b in itertools.pairwise(edges)]
        return [piece for piece in found if piece.stop > piece.start]

    def read(self, piece: Piece, columns: Sequence[str]) -> Iterator[dict[str, Any] | Broken]:
        """The rows of a piece; ValueError (one clause) where the file is damaged, OSError where it cannot be opened."""
        with self._open() as file:
            try:
                rows = self._at_once(piece, _repeated(file.metadata, piece.group, columns))
                batches = file.iter_batches(rows, row_groups=[piece.group], columns=list(columns))
                yield from _bounded(batches, piece)
            except Exception as error:  # pyarrow's errors share no base of their own
                raise ValueError(f"its rows are damaged from here on ({_first_line(error)})") from None

    def _at_once(self, piece: Piece, repeated: Sequence[str]) -> int:
        """Rows that are decoded together: so few that they fit `limits.PARQUET.batch` even if each holds the longest cell of
        its column's dictionary."""
        each = piece.bytes // (piece.stop - piece.start)
        known = (piece.group, *repeated)
        if repeated and known not in self._cells:
            with self._open(repeated) as file:
                columns = sorted({path.split(".")[0] for path in repeated})
                batch = next(file.iter_batches(1, row_groups=[piece.group], columns=columns))
            self._cells[known] = sum(map(_longest, batch.columns))
        each = max(each, self._cells.get(known, 0))
        return max(1, min(SHARD_ITEMS, piece.stop, limits.PARQUET.batch // max(each, 1)))


def _bounded(batches: Iterator[Any], piece: Piece) -> Iterator[dict[str, Any] | Broken]:
    """The rows of a piece, as far as they decode to no more than a shard may."""
    left = most = limits.PARQUET.shard(piece.bytes)
    for at, batch in _until(batches, piece.stop):
        low = min(max(piece.start - at, 0), len(batch))
        part = batch.slice(low, piece.stop - at - low)
        widths = _widths_of(part)
        fits = int(np.searchsorted(np.cumsum(widths), left, "right"))
        left -= int(widths.sum())
        yield from _decoded(part.slice(0, fits), widths)
        if left < 0:
            yield Swollen(f"its rows hold far more than the file says (over {limits.size(most)})")
            return


def _until(batches: Iterator[Any], stop: int) -> Iterator[tuple[int, Any]]:
    """Batches with the number of their first row, as long as that is before `stop`."""
    at = 0
    while at < stop and (batch := next(batches, None)) is not None:
        yield at, batch
        at += len(batch)


def _decoded(batch: Any, widths: NDArray[np.int64]) -> Iterator[dict[str, Any] | Broken]:
    """The rows of a batch, so many at a time as `limits.PARQUET.batch` allows. widths: (rows,) bytes of each."""
    start = 0
    while start < len(batch):
        if widths[start] > limits.PARQUET.cell:
            yield Broken(f"the row holds {limits.size(int(widths[start]))}; at most {limits.size(limits.PARQUET.cell)}")
            start += 1
            continue
        fits = widths[start:] <= limits.PARQUET.cell
        fits &= np.cumsum(widths[start:]) <= max(limits.PARQUET.batch, widths[start])
        count = len(fits) if fits.all() else int(fits.argmin())
        yield from batch.slice(start, count).to_pylist()
        start += count


def _pyarrow(module: str = "pyarrow") -> Any:
    return require(module, extra="tables", purpose="reading Parquet")


def _widths_of(batch: Any) -> NDArray[np.int64]:
    """(rows,) bytes that the strings of each row decode to."""
    total = np.zeros(len(batch), np.int64)
    for column in batch.columns:
        total += _widths(column)
    return total


def _widths(column: Any) -> NDArray[np.int64]:
    pyarrow, compute = _pyarrow(), _pyarrow("pyarrow.compute")

    if pyarrow.types.is_dictionary(column.type):  # as it was written, where the file carries the schema of Arrow
        if not len(column.dictionary):
            return np.zeros(len(column), np.int64)
        cells: NDArray[np.int64] = _widths(column.dictionary)
        return np.asarray(cells[compute.fill_null(column.indices, 0).to_numpy(zero_copy_only=False)])
    if pyarrow.types.is_struct(column.type):
        return sum((_widths(child) for child in column.flatten()), np.zeros(len(column), np.int64))
    if not any(is_kind(column.type) for is_kind in (pyarrow.types.is_string, pyarrow.types.is_binary,
                                                    pyarrow.types.is_large_string, pyarrow.types.is_large_binary)):  # fmt: skip
        return np.full(len(column), 8, np.int64)
    lengths = compute.fill_null(compute.binary_length(column), 0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)


def _longest(column: Any) -> int:
    """Bytes of the longest cell in the dictionary of a column."""
    pyarrow = _pyarrow()

    if pyarrow.types.is_struct(column.type):
        return sum(map(_longest, column.flatten()))
    if not pyarrow.types.is_dictionary(column.type) or not len(column.dictionary):
        return 0
    return int(_widths(column.dictionary).max())


def _is_flat(kind: Any) -> bool:
    """Whether a column holds one value a row, or a few by name: a list may hold any number."""
    pyarrow = _pyarrow()

    fields = [kind.field(i) for i in range(kind.num_fields)]
    return not fields or (pyarrow.types.is_struct(kind) and not any(field.type.num_fields for field in fields))


def _repeated(metadata: Any, group: int, columns: Sequence[str]) -> list[str]:
    """The paths of strings and bytes in these columns that have a dictionary in a row group."""
    chunks = (metadata.row_group(group).column(index) for index in _leaves(metadata, columns))
    return [x.path_in_schema for x in chunks if x.physical_type == "BYTE_ARRAY" and x.has_dictionary_page]


def _leaves(metadata: Any, columns: Sequence[str]) -> list[int]:
    """The numbers of the leaves of these top-level columns."""
    schema = metadata.schema
    return [i for i in range(metadata.num_columns) if schema.column(i).path.split(".")[0] in columns]


def _sizes(metadata: Any, columns: Sequence[str]) -> list[int]:
    """Uncompressed bytes of these top-level columns in each row group."""
    own = _leaves(metadata, columns)
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    return [sum(group.column(i).total_uncompressed_size for i in own) for group in groups]


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        labels = {
            name: f["names"] for name, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"
        }
        return {name: tuple(map(str, names)) for name, names in labels.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:120]
