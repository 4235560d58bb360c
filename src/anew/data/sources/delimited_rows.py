"""Rows of `.jsonl`, `.csv` and `.tsv` files, read in spans of bytes, so that large files need no index and little memory.

A line break ends a row unless it is quoted. As in the `csv` module, a cell is quoted only if it begins with a quote, and two quotes in a
row within it stand for one. Unlike there, the quote also has to be closed at the end of the cell: other quotes are letters, as in
`3.5" floppy` or in a cell that begins with one.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from anew.core.encodings import AUTO
from anew.core.wording import plural
from anew.data import limits
from anew.data.file_names import suffix_of
from anew.data.formats import by_range
from anew.data.formats.by_range import Range
from anew.data.formats.text.encoding_recognition import sample_file
from anew.data.formats.text.text_decoder import TextDecoder
from anew.data.sources.base import SHARD_BYTES
from anew.data.sources.columns import WHOLE_ROW, class_columns, first_cells, text_columns
from anew.errors import shorten

DIALECT_ROWS, DIALECT_CHARACTERS = 50, 1 << 16  # first rows of a table that decide what divides its cells; chosen
SEARCHED_BYTES = 1 << 16  # bytes read at a time to find the end of a row
QUOTED = '"(?:[^"]++|"")*+"'
# Files up to this size are searched for quoted line breaks while listing, which bounds its time
MAX_SCANNED_BYTES = 1 << 28
# Tables in UTF-16, whose rows are not spans of bytes that could be read alone, are kept in memory as UTF-8; bounds it
MAX_UTF16_BYTES = 1 << 26
MAX_LISTED = 12  # columns that a sentence names
_DELIMITERS = ",;\t|"


class RowEnds:
    """Finds rows in the bytes of a table.

    delimiter: What divides cells, one ASCII character; "" for JSON lines, in which nothing is quoted.
    """

    def __init__(self, delimiter: str = "") -> None:
        self._is_quoting = bool(delimiter)
        end, other = f" *+[{delimiter}\r\n]", f" *+[^{delimiter}\r\n ]"
        # A quote that nothing closes yet fits none of these, since more bytes may follow
        cell = f'(?:{QUOTED}(?={end})|(?!")|(?={QUOTED}{other}))[^{delimiter}\n]*+'
        last_cell = f"(?:{QUOTED}(?={end}|\\Z))?+[^{delimiter}\n]*+"
        row, last_row = (f"{form}(?:[{delimiter}]{form})*+" for form in (cell, last_cell))
        if not self._is_quoting:
            row = last_row = "[^\n]*+"
        self._rows, self._row, self._last_row = (
            re.compile(pattern.encode()) for pattern in (f"(?:{row}\n)*+", f"{row}\n", f"{last_row}(?:\n|\\Z)")
        )

    def first(self, stream: IO[bytes], start: int) -> int:
        """Offset of the first line that begins at or after `start`; if none does within `limits.ROW_BYTES`, some place after that."""
        if start == 0:
            return 0
        stream.seek(start - 1)
        position = start - 1
        while position - start <= limits.ROW_BYTES and (data := stream.read(SEARCHED_BYTES)):
            end = data.find(b"\n") + 1
            if end:
                return position + end
            position += len(data)
        return position

    def read(self, stream: IO[bytes], start: int, stop: int) -> tuple[bytes, bool]:
        """Whole rows that begin in [start, stop), where start begins one, and whether the last ended within `limits.ROW_BYTES` bytes.

        A row that did not is left out.
        """
        if start >= stop:
            return b"", True
        stream.seek(start)
        data = stream.read(stop - start)
        end = self._end_of_rows(data)
        while end < stop - start:
            match = self._row.match(data, end)
            if match is None:
                unread = limits.ROW_BYTES - (len(data) - end)
                more = stream.read(min(max(len(data) - end, SEARCHED_BYTES), unread)) if unread > 0 else b""
                data += more
                if more:
                    continue
                match = self._last_row.match(data, end)  # a quote that is never closed does not quote
                assert match is not None
                if unread <= 0 and not match[0].endswith(b"\n"):
                    return data[:end], False
                if match.end() == end:  # the end of the file
                    break
            end = match.end()
        return data[:end], True

    def split(self, text: str) -> Iterator[str]:
        """The rows of a text, with their line ends if there are quotes in it."""
        if not self._is_quoting or '"' not in text:
            yield from text.split("\n")
            return
        data, position = text.encode("utf-8", "surrogatepass"), 0
        while position < len(data):
            match = self._row.match(data, position) or self._last_row.match(data, position)
            assert match is not None
            position = match.end()
            yield match[0].decode("utf-8", "surrogatepass")

    def _end_of_rows(self, data: bytes) -> int:
        """The end of the last whole row of bytes that begin with a row; other rows may follow that are quoted in part."""
        if not self._is_quoting or b'"' not in data:
            return data.rfind(b"\n") + 1
        match = self._rows.match(data)
        assert match is not None
        return match.end()


class StrayQuotes:
    """Makes letters of the quotes that do not quote, for the `csv` module, which takes any quote at the beginning of a cell for one.

    delimiter: What divides cells, one ASCII character.
    """

    def __init__(self, delimiter: str) -> None:
        start, end = f"(?:(?<=[{delimiter}\r\n])|\\A)", f"(?= *+(?:[{delimiter}\r\n]|\\Z))"
        self._quoted = re.compile(f"{start}{QUOTED}{end}")
        self._quote = re.compile(f'{start}"')
        self._cell = re.compile(f'{start}(?:({QUOTED}{end})|"[^{delimiter}\r\n]*+)')

    def quoted(self, text: str) -> str:
        """The text of whole rows with such quotes written as `csv` reads letters: doubled, in a quoted cell."""
        if '"' not in text or not self._quote.search(self._quoted.sub("", text)):
            return text
        return self._cell.sub(lambda cell: cell[0] if cell[1] else '"' + cell[0].replace('"', '""') + '"', text)


class InvalidRow(ValueError):
    """A row that cannot be read, and why (one clause)."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file whose rows are read together: the rows that begin at or after start and before stop.

    first: where the first of them begins; None if that is the first line.
    """

    start: int
    stop: int
    first: int | None = None


class DelimitedFile:
    """One file of rows.

    Attributes:
        size: Number of bytes, of UTF-16 once it is UTF-8.
        columns: Names of the columns.
        header: Names of the columns of CSV and TSV: the first row, where no two are the same, or their numbers from 1 if that is
            data; else empty.
        count: Number of rows; an estimate unless `exact`.
        exact: Whether `count` is exact.
        head: The first rows.
        texts: Columns that hold text, see `text_columns`.
        classes: Columns that could be classes, see `class_columns`.

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
        self._utf8 = _utf8_of_utf16(path, size)
        self.size = size = size if self._utf8 is None else len(self._utf8)
        self._row_ends = RowEnds()
        start = self._beginning()
        if self._is_csv:
            self._delimiter = _delimiter(self._decode(start, first=True), suffix_of(path.name))
            self._row_ends, self._stray_quotes = RowEnds(self._delimiter), StrayQuotes(self._delimiter)
            start = self._beginning()
        text = self._decode(start, first=True)
        self.header: list[str] = []
        if self._is_csv:
            first_row = next(self._csv(text), [])
            self.header = _column_names(first_row) if has_header else [str(i + 1) for i in range(len(first_row))]
            if len(self.header) > limits.ROW_CELLS:
                raise ValueError(f"it has {len(self.header):,} columns; at most {limits.ROW_CELLS:,} are read")
        self.exact = len(start) >= size
        rows = list(self._parse(start, first=True))
        self.head = [row for row in rows if not isinstance(row, InvalidRow)]
        self.columns = self.header or list(dict.fromkeys(name for row in self.head[:100] for name in row))
        self.texts = text_columns(self.columns, self.head)
        self.classes = class_columns(self.columns, self.head)
        self.count = len(self.head) if self.exact else round(len(self.head) * size / len(start))
        if not self.head:
            raise ValueError(_no_row_reason(text, self.header if rows else []))

    @property
    def header_row(self) -> str:
        """The names of the columns as a row of the file; "" if no row names them."""
        if not (self._is_csv and self._has_header):
            return ""
        row = io.StringIO()
        csv.writer(row, delimiter=self._delimiter, lineterminator="").writerow(self.header)
        return row.getvalue()

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
        firsts = self._first_rows(starts)
        return [
            Span(start, min(start + SHARD_BYTES, self.size), first) for start, first in zip(starts, firsts, strict=True)
        ]

    def ranges(self, span: Span) -> list[Range]:
        """The ranges of the file that reading a span needs."""
        return [Range(self.path, span.start, span.stop) if self._utf8 is None else Range(self.path)]

    def read(self, span: Span, are_whole: bool = False) -> Iterator[dict[str, object] | InvalidRow]:
        """The rows of a span in order. Raises OSError if the file cannot be opened.

        are_whole: Each row as it is, as the only column WHOLE_ROW.
        """
        with self._open(span.stop) as stream:
            first = self._row_ends.first(stream, span.start) if span.first is None else span.first
            data, has_whole_rows = self._row_ends.read(stream, first, span.stop)
        yield from (self._whole_rows if are_whole else self._parse)(data, first=span.start == 0)
        if not has_whole_rows:
            yield InvalidRow(_too_long_reason())

    def _beginning(self) -> bytes:
        """The rows that begin in the first SHARD_BYTES. Raises ValueError (one clause) if there is none."""
        with self._open(SHARD_BYTES) as stream:
            data, has_whole_rows = self._row_ends.read(stream, 0, min(SHARD_BYTES, self.size))
        if not has_whole_rows and not data:
            raise ValueError(_too_long_reason())
        if not data.strip():
            raise ValueError("it is empty")
        return data

    def _open(self, until: int | None = None) -> IO[bytes]:
        """The file, or what it holds in UTF-8. until: see `by_range.open_file`."""
        return by_range.open_file(self.path, until) if self._utf8 is None else io.BytesIO(self._utf8)

    def _first_rows(self, starts: Sequence[int]) -> list[int | None]:
        """For each of these offsets, where the first row at or after it begins; None if that is the first line."""
        if not self._is_csv or (self.size > MAX_SCANNED_BYTES and not self._breaks_in_head()):
            return [None] * len(starts)
        firsts: list[int | None] = []
        position = 0
        with self._open() as stream:
            for start in starts:
                position = self._first_row(stream, position, start)
                firsts.append(position)
        return firsts

    def _first_row(self, stream: IO[bytes], position: int, start: int) -> int:
        """Where the first row at or after `start` begins. position: where an earlier row begins."""
        while position < start:
            rows, has_whole_rows = self._row_ends.read(stream, position, start)
            position += len(rows)
            if not has_whole_rows:
                position = self._row_ends.first(stream, position + limits.ROW_BYTES)
            elif not rows:  # the file has become shorter
                position = start
        return position

    def _breaks_in_head(self) -> bool:
        return any(isinstance(cell, str) and "\n" in cell for row in self.head for cell in row.values())

    def _csv(self, text: str) -> Iterator[list[str]]:
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # documents are longer than the default of 131,072
        return csv.reader(io.StringIO(self._stray_quotes.quoted(text), newline=""), delimiter=self._delimiter)

    def _parse(self, data: bytes, first: bool) -> Iterator[dict[str, object] | InvalidRow]:
        text = self._decode(data, first)
        yield from self._parse_csv(text, first) if self._is_csv else _parse_json(text)

    def _whole_rows(self, data: bytes, first: bool) -> Iterator[dict[str, object] | InvalidRow]:
        """The rows as they are, without the header and empty ones."""
        rows = self._row_ends.split(self._decode(data, first))
        if first and self._is_csv and self._has_header:
            next(rows, None)
        for row in rows:
            line = row.rstrip("\r\n")
            if "\n" in line:
                yield InvalidRow("the row has several lines, and each record of a list is one line")
            elif line.strip():
                yield {WHOLE_ROW: line}

    def _decode(self, data: bytes, first: bool) -> str:
        try:
            return data.decode("utf-8-sig" if first else "utf-8")
        except UnicodeDecodeError:
            if self._sample is None:
                self._sample = sample_file(self.path)
            return self._decoder.decode_non_utf8(self._name, data, self._sample)

    def _parse_csv(self, text: str, first: bool) -> Iterator[dict[str, object] | InvalidRow]:
        rows = self._csv(text)
        if first and self._has_header:
            next(rows, None)
        try:
            for row in rows:
                if len(row) == len(self.header):
                    yield dict(zip(self.header, row, strict=True))
                elif row:
                    yield InvalidRow(f"the row has {plural(len(row), 'cell')} for {plural(len(self.header), 'column')}")
        except csv.Error as error:
            yield InvalidRow(f"the rest of its part cannot be read ({error})")


def _column_names(header: Sequence[str]) -> list[str]:
    """The names of a header, the second `text` as `text_2`: a row holds the cell of each column by its name."""
    names: list[str] = []
    used_names: set[str] = set()
    for name in map(str.strip, header):
        unique = name
        for number in itertools.count(2):
            if not name or unique not in used_names:
                break
            unique = f"{name}_{number}"
        names.append(unique)
        used_names.add(unique)
    return names


def _no_row_reason(text: str, header: Sequence[str]) -> str:
    """Why no row of a file can be read, a clause. text: its beginning; header: its first row, if others follow."""
    if not header:
        return "it holds no row that can be read"
    return (
        f"no row has as many cells as its first line, {shorten(text.partition(chr(10))[0].strip())}, which is taken for the names of "
        "columns; remove it if it is something else"
    )


def _too_long_reason() -> str:
    return f"a row is longer than {limits.size(limits.ROW_BYTES)} (a missing closing quote?)"


def _parse_json(text: str) -> Iterator[dict[str, object] | InvalidRow]:
    for line in text.split("\n"):  # not splitlines: JSON text may hold other line separators
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield InvalidRow("the line is not valid JSON")
            continue
        yield row if isinstance(row, dict) else InvalidRow("the line is not a JSON object")


def _utf8_of_utf16(path: Path, size: int) -> bytes | None:
    """The content of a file in UTF-16 as UTF-8; None for any other file. Raises ValueError (one clause) if it is too large."""
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
            rows = csv.reader(io.StringIO(text[:DIALECT_CHARACTERS], newline=""), delimiter=delimiter)
            widths = [len(row) for row in itertools.islice(rows, DIALECT_ROWS) if row]
        except csv.Error:
            return 0.0, 0
        width = widths[0] if widths else 1
        return (widths.count(width) / len(widths) if width > 1 else 0.0), width

    return max(_DELIMITERS, key=fit)


def list_columns(columns: Sequence[str]) -> str:
    """Column names for a sentence; "" for one that has none."""
    listed = ", ".join(name or '""' for name in columns[:MAX_LISTED])
    return listed + (f" and {len(columns) - MAX_LISTED} more" if len(columns) > MAX_LISTED else "")
