"""Rows of parquet files, read by row group through pyarrow, which is imported only when such a file is met."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anew.data.sources.base import BLOCK_BYTES, BLOCK_ITEMS
from anew.errors import DataError

PIECES = 16  # most blocks that one row group is cut into: each of them decodes what stands before it


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows [start, stop) of one row group."""

    group: int
    start: int
    stop: int
    bytes: int


def _pyarrow(name: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        how = "install it with `pip install pyarrow`, or `pip install 'anew[hub]'`"
        raise DataError(f"{name!r} is a parquet file, which needs the package pyarrow; {how}") from None
    return pyarrow.parquet


class Parquet:
    """One parquet file. columns, count and samples as in `Rows`.

    names: class names by label column, where the file carries the schema of Hugging Face `datasets`.
    Raises ValueError (one clause) where it is damaged, DataError without pyarrow.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._library = _pyarrow(path.name)
        with self._open() as file:
            schema = file.schema_arrow
            self.columns: list[str] = list(schema.names)
            self.count: int = file.metadata.num_rows
            self.names = _class_names(schema.metadata or {})
            self._groups = [_sizes(file.metadata.row_group(i)) for i in range(file.metadata.num_row_groups)]
            self.samples = self._sample(file, schema) if self.count else {}
        if not self.count:
            raise ValueError("it holds no rows")

    def _open(self) -> Any:
        try:
            return self._library.ParquetFile(self.path, memory_map=True)
        except OSError:
            raise
        except Exception as error:  # pyarrow's errors share no base of their own
            raise ValueError(f"it is damaged ({_first_line(error)})") from None

    def _sample(self, file: Any, schema: Any) -> dict[str, Any]:
        plain = [
            n for n in self.columns if not str(schema.field(n).type).startswith(("list", "large_list", "fixed_size"))
        ]
        found: dict[str, Any] = {}
        try:
            for row in next(file.iter_batches(batch_size=8, row_groups=[0], columns=plain)).to_pylist():
                found = {**{k: v for k, v in row.items() if v not in (None, "")}, **found}
        except Exception as error:
            raise ValueError(f"it is damaged ({_first_line(error)})") from None
        return found

    def pieces(self, columns: Sequence[str], kind: str) -> list[Piece]:
        """All rows in pieces of about BLOCK_BYTES of text or BLOCK_ITEMS images, none across two row groups."""
        found = []
        for group, (rows, sizes) in enumerate(self._groups):
            size = sum(n for name, n in sizes.items() if name in columns)
            wanted = size / BLOCK_BYTES if kind == "text" else rows / BLOCK_ITEMS
            count = max(1, min(round(wanted), PIECES, rows))
            edges = [rows * k // count for k in range(count + 1)]
            found += [Piece(group, a, b, size * (b - a) // max(rows, 1)) for a, b in itertools.pairwise(edges)]
        return [piece for piece in found if piece.stop > piece.start]

    def read(self, piece: Piece, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The rows of a piece; ValueError (one clause) where the file is damaged, OSError where it cannot be opened."""
        with self._open() as file:
            try:
                batches = file.iter_batches(batch_size=BLOCK_ITEMS, row_groups=[piece.group], columns=list(columns))
                for at, batch in _until(batches, piece.stop):
                    low = min(max(piece.start - at, 0), len(batch))
                    yield from batch.slice(low, piece.stop - at - low).to_pylist()
            except Exception as error:
                raise ValueError(f"the rest of its rows is damaged ({_first_line(error)})") from None


def _until(batches: Iterator[Any], stop: int) -> Iterator[tuple[int, Any]]:
    """Batches with the number of their first row, as long as that is before `stop`."""
    at = 0
    while at < stop and (batch := next(batches, None)) is not None:
        yield at, batch
        at += len(batch)


def _sizes(group: Any) -> tuple[int, dict[str, int]]:
    """Rows of a row group, and uncompressed bytes by top-level column."""
    sizes: dict[str, int] = {}
    for index in range(group.num_columns):
        column = group.column(index)
        name = column.path_in_schema.split(".")[0]
        sizes[name] = sizes.get(name, 0) + column.total_uncompressed_size
    return group.num_rows, sizes


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
