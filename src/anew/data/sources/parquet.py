"""Rows of parquet files by row group. The worker process decodes them, so that a file that brings pyarrow down is one file lost."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from anew.core import isolation
from anew.core.extras import require
from anew.data import limits
from anew.data.sources.base import SHARD_BYTES, SHARD_ITEMS
from anew.data.sources.delimited_rows import Broken
from anew.data.sources.parquet_decoding import (
    Inspection,
    RowsAnswer,
    RowsRequest,
    group_bytes,
    inspect,
    read_rows,
    too_large,
)

MOST_PIECES = 16  # of one row group: each of them may have to decode what stands before it


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows [start, stop) of one row group. bytes: what the file says that they take."""

    group: int
    start: int
    stop: int
    bytes: int


class ParquetFile:
    """One parquet file.

    Attributes:
        columns: Names of the columns without lists.
        count: Number of rows.
        samples: One value that is not empty by column.
        class_names: Names of the classes by label column, where the file carries the schema of Hugging Face `datasets`.

    Raises:
        ValueError: One clause, where the file cannot be used.
        DataError: Where pyarrow is missing.
    """

    def __init__(self, path: Path) -> None:
        require("pyarrow.parquet", extra="tables", purpose=f"reading {path.name!r}")
        self._path = os.fspath(path.absolute())
        inspection: Inspection = isolation.call(inspect, limits.PARQUET, self._path)
        self.columns = inspection.columns
        self.samples = inspection.samples
        self.class_names = inspection.class_names
        self._group_rows = inspection.group_rows
        self.count = sum(inspection.group_rows)

    def pieces(self, columns: Sequence[str], modality: str) -> list[Piece]:
        """All rows in pieces of about SHARD_BYTES of text or SHARD_ITEMS images, none across two row groups."""
        sizes: list[int] = isolation.call(group_bytes, tuple(columns), self._path)
        pieces: list[Piece] = []
        for group, (rows, size) in enumerate(zip(self._group_rows, sizes, strict=True)):
            shards = size / SHARD_BYTES if modality == "text" else rows / SHARD_ITEMS
            count = max(1, min(round(shards), MOST_PIECES, rows))
            edges = [rows * number // count for number in range(count + 1)]
            pieces += [
                Piece(group, start, stop, size * (stop - start) // max(rows, 1))
                for start, stop in itertools.pairwise(edges)
            ]
        return [piece for piece in pieces if piece.stop > piece.start]

    def read(self, piece: Piece, columns: Sequence[str]) -> Iterator[dict[str, object] | Broken]:
        """The rows of a piece. Raises ValueError (one clause) where the file is damaged."""
        row_bytes = piece.bytes // (piece.stop - piece.start)
        request = RowsRequest(self._path, piece.group, piece.stop, tuple(columns), row_bytes, limits.PARQUET)
        row, allowance = piece.start, limits.PARQUET.shard(piece.bytes)
        while row < piece.stop:
            answer: RowsAnswer = isolation.call(read_rows, request, (row, allowance))
            yield from answer.rows
            if answer.damage:
                raise ValueError(answer.damage)
            if answer.too_large:
                yield Broken(too_large(piece.bytes, limits.PARQUET))
                return
            row, allowance = answer.next_row, allowance - answer.bytes
