"""Rows of `.jsonl`, `.csv` and `.tsv` files, read in spans of bytes, so that large files need no index and little memory."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from anew.core.encodings import AUTO
from anew.data import limits
from anew.data.file_names import suffix_of
from anew.data.formats import by_range
from anew.data.formats.by_range import Range
from anew.data.formats.encoding_recognition import sample_file
from anew.data.formats.text_decoder import TextDecoder
from anew.data.sources.base import SHARD_BYTES
from anew.data.sources.columns import first_cells, text_columns
from anew.errors import shorten

# Files up to this size are searched for quoted line breaks while listing, which bounds its time
MAX_SCANNED_BYTES = 1 << 28
SEARCHED_BYTES = 1 << 16  # bytes read at a time to find the end of a row
# Tables in UTF-16, whose rows are no spans of bytes that could be read alone, are kept in memory as UTF-8; bounds it
MAX_UTF16_BYTES = 1 << 26
JUDGED_ROWS, JUDGED_CHARACTERS = 50, 1 << 16  # first rows of a table that decide what divides its cells; chosen
_DELIMITERS = ",;\t|"


class Broken(ValueError):
    """A row that cannot be read, and why (one clause)."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file whose rows are read together: the rows that begin at or after start and before stop.

    inside: whether start lies within quotes.
    """

    start: int
    stop: int
    inside: bool = False


class DelimitedFile:
    """One file of rows.

    Attributes:
        size: Number of bytes, of UTF-16 once it is UTF-8.
        columns: Names of the columns.
        header: Names of the columns of CSV and TSV: the first row, or their numbers from 1 if that is data; else empty.
        count: Number of rows; an estimate unless `exact`.
        exact: Whether `count` is exact.
        head: The first rows.
        texts: Columns that hold text, see `text_columns`.

    Raises:
        ValueError: The file is not such a table (one clause).
        OSError: It cannot be opened.
    """

    def __init__(
        self, path: Path, size: int, name: str = "", decoder: TextDecoder | None = None, has_header: bool = True
    ) -> None:
        """name: the file, for sentences; decoder: reads what is not UTF-8, by default in the encoding that it recognises;
        has_header: whether the first row of CSV or TSV names the columns."""
        self.path = path
        self._has_header = has_header
        self._name = name or path.name
        self._decoder = decoder or TextDecoder(AUTO)
        self._sample: bytes | None = None
        self._is_csv = suffix_of(path.name) not in (".jsonl", ".ndjson")
        quote = b'"' if self._is_csv else None
        self._utf8 = _utf8_of_utf16(path, size)
        self.size = size = size if self._utf8 is None else len(self._utf8)
        with self._open(SHARD_BYTES) as stream:
            start, ends_in_row_end = _rows_until(stream, 0, min(SHARD_BYTES, size), quote)
        if not ends_in_row_end and _row_end(start, False, quote) is None:
            raise ValueError(_too_long_reason())
        if not start.strip():
            raise ValueError("it is empty")
        text = self._decode(start, True)
        self._delimiter = _delimiter(text, suffix_of(path.name))
        self.header: list[str] = []
        if self._is_csv:
            first_row = next(self._csv(text), [])
            self.header = [name.strip() if has_header else str(number) for number, name in enumerate(first_row, 1)]
            if len(self.header) > limits.ROWS.cells:
                raise ValueError(f"it has {len(self.header):,} columns; at most {limits.ROWS.cells:,} are read")
        self.exact = len(start) >= size
        rows = list(self._parse(start, first=True))
        self.head = [row for row in rows if not isinstance(row, Broken)]
        self.columns = self.header or list(dict.fromkeys(name for row in self.head[:100] for name in row))
        self.texts = text_columns(self.columns, self.head)
        self.count = len(self.head) if self.exact else round(len(self.head) * size / len(start))
        if not self.head:
            raise ValueError(_no_row_reason(text, self.header if rows else []))

    def first_cells(self, column: str) -> list[str]:
        """See `columns.first_cells`."""
        return first_cells(column, self.head)

    @property
    def samples(self) -> dict[str, object]:
        """One value that is not empty for each column."""
        samples: dict[str, object] = {}
        for row in self.head[:200]:
            for name, cell in row.items():
                if name not in samples and cell not in (None, ""):
                    samples[name] = cell
        return samples

    def spans(self) -> list[Span]:
        """The whole file in spans of about SHARD_BYTES."""
        starts = range(0, self.size, SHARD_BYTES)
        stops = [min(start + SHARD_BYTES, self.size) for start in starts]
        inside = self._quoted(len(starts))
        return [Span(*ends) for ends in zip(starts, stops, inside, strict=True)]

    def ranges(self, span: Span) -> list[Range]:
        """The ranges of the file that reading a span needs."""
        return [Range(self.path, span.start, span.stop) if self._utf8 is None else Range(self.path)]

    def read(self, span: Span) -> Iterator[dict[str, object] | Broken]:
        """The rows of a span in order. Raises OSError if the file cannot be opened."""
        quote = b'"' if self._is_csv else None
        with self._open(span.stop) as stream:
            start = _row_start(stream, span.start, span.inside, quote)
            # A row begins here, outside quotes, so that quotes counted from here on give the end of the last row.
            data, ends_in_row_end = _rows_until(stream, start, span.stop, quote)
        yield from self._parse(data, first=span.start == 0)
        if not ends_in_row_end:
            yield Broken(_too_long_reason())

    def _open(self, until: int | None = None) -> IO[bytes]:
        """The file, or what it holds in UTF-8. until: see `by_range.open_file`."""
        return by_range.open_file(self.path, until) if self._utf8 is None else io.BytesIO(self._utf8)

    def _quoted(self, spans: int) -> list[bool]:
        """For each span, whether its start lies within quotes."""
        inside = [False] * spans
        if not self._is_csv or (self.size > MAX_SCANNED_BYTES and not self._breaks_in_head()):
            return inside
        with self._open() as stream:
            quotes = 0
            for index in range(spans):
                inside[index] = bool(quotes % 2)
                quotes += stream.read(SHARD_BYTES).count(b'"')
        return inside

    def _breaks_in_head(self) -> bool:
        return any(isinstance(cell, str) and "\n" in cell for row in self.head for cell in row.values())

    def _csv(self, text: str) -> Iterator[list[str]]:
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # documents are longer than the default of 131,072
        return csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter)

    def _parse(self, data: bytes, first: bool) -> Iterator[dict[str, object] | Broken]:
        text = self._decode(data, first)
        yield from self._parse_csv(text, first) if self._is_csv else _parse_json(text)

    def _decode(self, data: bytes, first: bool) -> str:
        try:
            return data.decode("utf-8-sig" if first else "utf-8")
        except UnicodeDecodeError:
            if self._sample is None:
                self._sample = sample_file(self.path)
            return self._decoder.decode_other(self._name, data, self._sample)

    def _parse_csv(self, text: str, first: bool) -> Iterator[dict[str, object] | Broken]:
        rows = self._csv(text)
        if first and self._has_header:
            next(rows, None)
        try:
            for row in rows:
                if len(row) == len(self.header):
                    yield dict(zip(self.header, row, strict=True))
                elif row:
                    yield Broken(f"the row has {len(row)} cells for {len(self.header)} columns")
        except csv.Error as error:
            yield Broken(f"the rest of its part cannot be read ({error})")


def _no_row_reason(text: str, header: Sequence[str]) -> str:
    """Why no row of a file can be read, a clause. text: its beginning; header: its first row, if others follow."""
    if not header:
        return "it holds no row that can be read"
    return (
        f"no row has as many cells as its first line, {shorten(text.partition(chr(10))[0].strip())}, which is taken for the names of "
        "columns; remove it if it is something else"
    )


def _too_long_reason() -> str:
    return f"a row is longer than {limits.size(limits.ROWS.row)} (a missing closing quote?)"


def _parse_json(text: str) -> Iterator[dict[str, object] | Broken]:
    for line in text.split("\n"):  # not splitlines: JSON text may hold other line separators
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield Broken("the line is not valid JSON")
            continue
        yield row if isinstance(row, dict) else Broken("the line is not a JSON object")


def _utf8_of_utf16(path: Path, size: int) -> bytes | None:
    """What a file in UTF-16 holds, as UTF-8; None for any other file. Raises ValueError (one clause) if it is too large."""
    with by_range.open_file(path) as stream:
        mark = stream.read(2)
        if mark not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return None
        if size > MAX_UTF16_BYTES:
            raise ValueError(f"it is a table in UTF-16 of more than {limits.size(MAX_UTF16_BYTES)}; save it as UTF-8")
        return (mark + stream.read()).decode("utf-16", "replace").encode()


def _delimiter(text: str, suffix: str) -> str:
    """What divides cells: what gives most of the first rows as many cells as the first one has, and that one most."""
    if suffix == ".tsv":
        return "\t"

    def fit(delimiter: str) -> tuple[float, int]:
        try:
            rows = csv.reader(io.StringIO(text[:JUDGED_CHARACTERS], newline=""), delimiter=delimiter)
            widths = [len(row) for row in itertools.islice(rows, JUDGED_ROWS) if row]
        except csv.Error:
            return 0.0, 0
        width = widths[0] if widths else 1
        return (widths.count(width) / len(widths) if width > 1 else 0.0), width

    return max(_DELIMITERS, key=fit)


def _row_start(stream: IO[bytes], start: int, inside: bool, quote: bytes | None) -> int:
    """Offset of the first row that begins at or after `start`; if none does within `limits.ROWS.row`, some place after that."""
    if start == 0:
        return 0
    stream.seek(start - 1)
    if stream.read(1) == b"\n" and not inside:
        return start
    position, odd = start, inside
    while position - start <= limits.ROWS.row and (data := stream.read(SEARCHED_BYTES)):
        end = _row_end(data, odd, quote)
        if end is not None:
            return position + end
        odd ^= quote is not None and bool(data.count(quote) % 2)
        position += len(data)
    return position


def _row_end(data: bytes, inside: bool, quote: bytes | None) -> int | None:
    """The place right after the first line break outside quotes, or None."""
    num_quotes, counted = int(inside), 0
    end = data.find(b"\n")
    while end >= 0:
        if quote is None:
            return end + 1
        num_quotes += data.count(quote, counted, end)
        counted = end
        if num_quotes % 2 == 0:
            return end + 1
        end = data.find(b"\n", end + 1)
    return None


def _rows_until(stream: IO[bytes], start: int, stop: int, quote: bytes | None) -> tuple[bytes, bool]:
    """Whole rows that begin in [start, stop), and whether the last one ended within `limits.ROWS.row` bytes."""
    if start >= stop:
        return b"", True
    stream.seek(start)
    data = bytearray(stream.read(stop - start))
    odd = quote is not None and bool(data.count(quote) % 2)
    if data.endswith(b"\n") and not odd:
        return bytes(data), True
    while len(data) < limits.ROWS.row and (more := stream.read(SEARCHED_BYTES)):
        end = _row_end(more, odd, quote)
        if end is not None:
            return bytes(data + more[:end]), True
        odd ^= quote is not None and bool(more.count(quote) % 2)
        data += more
    return bytes(data), len(data) < limits.ROWS.row


def list_columns(columns: Sequence[str], limit: int = 12) -> str:
    """Column names for a sentence."""
    listed = ", ".join(columns[:limit])
    return listed + (f" and {len(columns) - limit} more" if len(columns) > limit else "")
