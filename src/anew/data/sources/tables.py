"""Tables: `.jsonl`, `.csv`, `.tsv` and `.parquet` with a column of text or images, and perhaps one of classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeAlias, cast

from anew.core.files import clause
from anew.core.wording import plural
from anew.data.file_names import part_of, suffix_of
from anew.data.formats import by_range
from anew.data.formats.by_range import Range
from anew.data.formats.text.text_decoder import TextDecoder
from anew.data.modality import Modality
from anew.data.sources.base import Shard, reader_of
from anew.data.sources.columns import (
    FILE_NAME,
    IMAGE,
    TEXT,
    TEXT_MODALITY,
    WHOLE_ROW,
    ColumnChoice,
    Columns,
    TableLocation,
    are_guessed,
    choose,
    class_names,
    data_in_header,
    describe_columns,
    is_image,
    item_of,
    label_name,
    modality_of,
)
from anew.data.sources.delimited_rows import DelimitedFile, InvalidRow, Span, list_columns
from anew.data.sources.listing import File, list_files
from anew.data.sources.parquet import ParquetFile, RowRange
from anew.data.sources.zip_copy import unpacked, zip_at
from anew.data.types import Item, RowTable, SkippedItem
from anew.errors import DataError, shorten

_OpenTable: TypeAlias = tuple[File, DelimitedFile | ParquetFile, Columns]
# In a folder whose columns are named, so many tables are listed, which most often have the same columns; chosen.
MAX_LISTED_TABLES = 20


class TableReader:
    """See `anew.data.sources.base.Reader`. Shards are spans of bytes (`DelimitedFile`) or pieces of row groups (`ParquetFile`).

    Attributes:
        columns: The columns of all tables, each name once.
    """

    def __init__(
        self,
        files: Sequence[File],
        root: Path,
        choice: ColumnChoice | None = None,
        modalities: Mapping[str, type[Modality]] | None = None,
    ) -> None:
        """modalities: that text columns may be of, besides text."""
        self.notes: list[str] = []
        self.refusals: list[SkippedItem] = []
        self._root = root
        self._choice = choice or ColumnChoice()
        self._modalities = modalities or {}
        self._decoder = TextDecoder(self._choice.encoding)
        columns_of_all: dict[str, None] = {}
        self._tables: dict[str, _OpenTable] = {}
        self.counts: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        label_sets: list[set[str] | None] = []
        for file in files:
            table_and_columns = self._open(file)
            if table_and_columns is None:
                continue
            table, columns = table_and_columns
            columns_of_all |= dict.fromkeys(table.columns)
            header = _header_note(table, columns, self._modalities) if self._choice.header else ""
            if not self._is_usable(file, table, columns, header):
                continue
            self.notes += [f"{file.path}: {header}."] if header else []
            self._tables[file.path] = (file, table, columns)
            label_sets.append(_labels(table, columns))
            for modality in (columns.text_modality, "image"):
                if columns.of(modality):
                    self.counts[modality] = self.counts.get(modality, 0) + table.count
                    self.bytes[modality] = self.bytes.get(modality, 0) + file.bytes
        self.columns = list(columns_of_all)
        self._choice.check(files[0].path if len(files) == 1 else str(root), self.columns)
        sets = [labels for labels in label_sets if labels is not None]
        self.labels: tuple[str, ...] | None = (
            tuple(sorted(set().union(*sets))) if len(sets) == len(label_sets) else None
        )
        nouns = {name: modality.traits.plural for name, modality in self._modalities.items()}
        self.notes += _notes(self._tables, self._choice, nouns)
        self.notes += self._decoder.notes()

    def _open(self, file: File) -> tuple[DelimitedFile | ParquetFile, Columns] | None:
        try:
            path = self._root / file.path
            table, columns = _open_table(path, file.bytes, self._choice, file.path, self._decoder)
            cells = table.first_cells(columns.text) if columns.text else []
            modality = self._choice.text_modality or modality_of(cells, self._modalities)
            return table, replace(columns, text_modality=modality)
        except (OSError, ValueError) as error:
            reason = str(error) if isinstance(error, ValueError) else f"it cannot be read ({clause(error)})"
            self.refusals.append(SkippedItem(file.path, reason))
            return None

    def _is_usable(self, file: File, table: DelimitedFile | ParquetFile, columns: Columns, header: str) -> bool:
        """Whether a column has something to learn from; a table without such a column is refused. header: see `_header_note`."""
        if columns.text or columns.image:
            return True
        suffix = suffix_of(file.path)
        self.counts[suffix] = self.counts.get(suffix, 0) + 1
        self.bytes[suffix] = self.bytes.get(suffix, 0) + file.bytes
        reason = _no_text_reason(table)
        self.refusals.append(SkippedItem(file.path, f"{header}; {reason}" if header else reason))
        return False

    def field_names(self) -> tuple[str, ...]:
        """Names of the fields of rows that are read whole; () where the first row names none, or tables have different ones."""
        if not self._choice.header:
            return ()
        tables = [table for _, table, columns in self._tables.values() if columns.text == WHOLE_ROW]
        headers = {tuple(table.header) for table in tables if isinstance(table, DelimitedFile)}
        return headers.pop() if len(headers) == 1 else ()

    def row_table(self) -> RowTable | None:
        """The form of tables whose rows are read whole; None of others, and of several forms."""
        forms = {
            RowTable(table.header_row, suffix_of(path))
            for path, (_, table, columns) in self._tables.items()
            if columns.text == WHOLE_ROW and isinstance(table, DelimitedFile)
        }
        return forms.pop() if len(forms) == 1 else None

    def shards(self, modality: str) -> list[Shard]:
        shards: list[Shard] = []
        for path, (file, table, columns) in self._tables.items():
            if not columns.of(modality):
                continue
            part = part_of(path)
            if isinstance(table, ParquetFile):
                for piece in table.pieces(columns.names_for(modality), modality):
                    name, rows = f"{path}#{piece.group}:{piece.start}", piece.stop - piece.start
                    shards.append(
                        Shard(name, rows, piece.bytes, (path, modality, piece), part, file.stamp, counts_rows=True)
                    )
                continue
            for span in table.spans():
                size = span.stop - span.start
                rows = max(1, round(table.count * size / table.size))
                where, name = (path, modality, span), f"{path}@{span.start}"
                shards.append(Shard(name, rows, size, where, part, file.stamp, exact=table.exact, counts_rows=True))
        return shards

    def ranges(self, shard: Shard) -> list[Range]:
        path, modality, where = cast(tuple[str, str, Span | RowRange], shard.where)
        _, table, columns = self._tables[path]
        if isinstance(where, RowRange):
            assert isinstance(table, ParquetFile)
            return table.ranges(where, columns.names_for(modality))
        assert isinstance(table, DelimitedFile)
        return table.ranges(where)

    def read(self, shard: Shard) -> Iterator[Item | SkippedItem]:
        path, modality, where = cast(tuple[str, str, Span | RowRange], shard.where)
        _, table, columns = self._tables[path]
        location, name, number = TableLocation((self._root / path).parent, self._root), "", 0
        try:
            for number, row in enumerate(_rows(table, where, columns.names_for(modality))):
                name = _row_name(path, where, number)
                item = (
                    SkippedItem(name, str(row))
                    if isinstance(row, InvalidRow)
                    else item_of(row, columns, modality, name, location)
                )
                yield replace(item, group=path) if isinstance(item, SkippedItem) else item
        except OSError as error:
            yield SkippedItem(path, f"it cannot be read ({clause(error)})")
        except ValueError as error:
            yield SkippedItem(name or path, str(error))


def _no_text_reason(table: DelimitedFile | ParquetFile) -> str:
    """Why no column of a table is learned, and what to do, as clauses."""
    texts = table.texts
    whole_rows = "learn whole rows with the setting layout=list" if isinstance(table, DelimitedFile) else ""
    if not texts:
        advice = f"; {whole_rows}, or one column" if whole_rows else "; learn one column"
        return (
            "its columns hold numbers, dates, identifiers or a few categories, not text or images, and such tables are not "
            f"learned as tables{advice} with the setting text_column (columns: {list_columns(table.columns)})"
        )
    advice = f"choose one with the setting text_column, as in text_column={texts[0]}"
    advice += f", or {whole_rows}" if whole_rows else ""
    ordered = [*texts, *(column for column in table.columns if column not in texts)]
    return f"no column is named text or image, and {len(texts)} hold text; {advice} (columns: {list_columns(ordered)})"


def _header_note(table: DelimitedFile | ParquetFile, columns: Columns, modalities: Mapping[str, type[Modality]]) -> str:
    """A clause on a first row that looks like data, unless a column has a known name; else ""."""
    if isinstance(table, ParquetFile) or columns.label or columns.image or (columns.text or "").lower() in TEXT:
        return ""
    cell = data_in_header(table.header, table.head, columns, modalities)
    if cell is None:
        return ""
    return f"its first row looks like data ({shorten(cell)}), not like names of columns; header=false reads it as data"


def _open_table(
    path: Path, size: int, choice: ColumnChoice | None = None, name: str = "", decoder: TextDecoder | None = None
) -> tuple[DelimitedFile | ParquetFile, Columns]:
    if suffix_of(path.name) == ".parquet":
        parquet = ParquetFile(path)
        columns = choose(parquet.columns, parquet.samples, choice=choice, texts=parquet.texts)
        names = parquet.class_names.get(columns.label or "", ())
        return parquet, choose(parquet.columns, parquet.samples, names, choice, parquet.texts)
    choice = choice or ColumnChoice()
    rows = DelimitedFile(path, size, name, decoder, choice.header)
    columns = choose(rows.columns, rows.samples, choice=choice, texts=rows.texts)
    is_named = columns.image or (columns.text and not are_guessed(columns, choice))
    if choice.whole_rows and not is_named and choice.text_modality in ("", TEXT_MODALITY):
        columns = Columns(text=WHOLE_ROW)
    return rows, columns


def _rows(
    table: DelimitedFile | ParquetFile, where: Span | RowRange, columns: Sequence[str]
) -> Iterator[dict[str, object] | InvalidRow]:
    if isinstance(table, ParquetFile):
        assert isinstance(where, RowRange)
        return table.read(where, columns)
    assert isinstance(where, Span)
    return table.read(where, are_whole=WHOLE_ROW in columns)


def _row_name(path: str, where: Span | RowRange, number: int) -> str:
    """Name of a row: its number in the file, from 1, or in its row group or span if only that is known."""
    if isinstance(where, RowRange):
        return f"{path}#{where.group}:{where.start + number + 1}"
    return f"{path}#{number + 1}" if where.start == 0 else f"{path}@{where.start}#{number + 1}"


def _labels(table: DelimitedFile | ParquetFile, columns: Columns) -> set[str] | None:
    if columns.label is None:
        return set()
    if columns.names:
        return set(columns.names)
    return class_names(iter(table.head), columns) if isinstance(table, DelimitedFile) and table.exact else None


def _notes(tables: Mapping[str, _OpenTable], choice: ColumnChoice, nouns: Mapping[str, str]) -> list[str]:
    """One note for each choice of columns, which covers all tables with that choice. nouns: of items, by modality."""
    paths_by_columns: dict[Columns, list[str]] = {}
    for path, (_, _, columns) in tables.items():
        paths_by_columns.setdefault(columns, []).append(path)
    notes = []
    for columns, paths in paths_by_columns.items():
        more = f" (and {plural(len(paths) - 1, 'more table')})" if len(paths) > 1 else ""
        if columns.text == WHOLE_ROW:
            has_header = choice.header and suffix_of(paths[0]) in (".csv", ".tsv")
            header = ", without the first one, which names the columns" if has_header else ""
            label = f"; {shorten(choice.label)} is a part of each row, not a class" if choice.label else ""
            notes.append(f"{paths[0]}{more}: whole rows as they are{header}{label}.")
            continue
        noun = nouns.get(columns.text_modality, "text")
        notes.append(describe_columns(columns, paths[0] + more, choice, noun, tables[paths[0]][1].classes))
    return notes


def names_files(path: Path) -> bool:
    """Whether a table names image files in one of its columns, as `metadata.csv` does; False if the file is not a table."""
    try:
        table, columns = _open_table(path, by_range.size_of(path))
    except (OSError, ValueError, DataError):
        return False
    cell = table.samples.get(columns.image or "")
    return columns.text is None and isinstance(cell, str) and is_image(cell)


def metadata(path: Path) -> dict[str, str | None]:
    """The class (None: not given) by file name, with `/`, relative to the table's folder; {} without a column of file names or
    one of classes.

    Raises DataError if the table cannot be read.
    """
    try:
        table, columns = _open_table(path, by_range.size_of(path))
        by_name = {name.lower(): name for name in table.columns}
        column = by_name.get(FILE_NAME) or next((by_name[n] for n in IMAGE if n in by_name), None)
        if column is None or columns.label is None:
            return {}
        columns_read = [column, columns.label]
        spans = table.pieces(columns_read, "text") if isinstance(table, ParquetFile) else table.spans()
        rows = (row for span in spans for row in _rows(table, span, columns_read) if not isinstance(row, InvalidRow))
        return {
            str(PurePosixPath(cell.replace("\\", "/"))): label_name(row.get(columns.label), columns.names)
            for row in rows
            if isinstance(cell := row.get(column), str)
        }
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read as a table: {error}; fix or remove it") from None


def column_names(place: Path) -> list[str]:
    """The columns of the table at a path, or of the first tables of a folder, each name once; [] without tables.

    Raises DataError if the path itself cannot be read.
    """
    archive = zip_at(place)
    listing = list_files(place) if archive is None else unpacked(archive, str(place)).listing
    tables = [file for file in listing.files if reader_of(file.path) == "tables"]
    return TableReader(tables[:MAX_LISTED_TABLES], listing.root).columns


def open_reader(
    files: Sequence[File], root: Path, modalities: Mapping[str, type[Modality]], choice: ColumnChoice | None = None
) -> TableReader:
    """See `anew.data.sources.base.OpenReader`. choice: columns that the user names."""
    return TableReader(files, root, choice, modalities)
