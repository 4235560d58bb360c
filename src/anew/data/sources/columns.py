"""Columns of tables: which of them hold text, images and classes, and how their cells are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anew.core.encodings import AUTO, why_not_encoding
from anew.data import limits
from anew.data.file_names import suffix_of
from anew.data.formats import pixels
from anew.data.formats.reading import read_whole, too_large
from anew.data.types import Item, SkippedItem
from anew.errors import ConfigError, DataError, did_you_mean, shorten

# Names of columns for each role; the first that a table has is taken
TEXT = ("text", "content", "document", "sentence", "article")
IMAGE = ("image", "img", "picture", "photo", "file_name", "image_path", "filename", "path", "file")
LABEL = ("label", "class", "category", "labels", "fine_label", "coarse_label")
FILE_NAME = "file_name"
ROLES = ("text", "image", "label")
MAX_LISTED_COLUMNS = 20  # columns that a sentence names


@dataclass(frozen=True, slots=True)
class Columns:
    """The column of each role, None if there is none. names: the names of whole-number labels, if they are known."""

    text: str | None = None
    image: str | None = None
    label: str | None = None
    names: tuple[str, ...] = ()

    def of(self, modality: str) -> str | None:
        return {"text": self.text, "image": self.image}.get(modality)

    def names_for(self, modality: str) -> list[str]:
        return [column for column in (self.of(modality), self.label) if column is not None]


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """The columns that the user names for each role, and the encoding of tables; with "" a column is chosen by its name.

    Attributes:
        encoding: Encoding of tables that are not UTF-8; "auto": it is recognised.
        needed: Roles whose named column a table must have; without it, the column of another role is chosen by its name.
        needs_tables: Whether data without tables is refused where a needed column is named.
    """

    text: str = ""
    image: str = ""
    label: str = ""
    needed: tuple[str, ...] = ROLES
    needs_tables: bool = True
    encoding: str = AUTO

    @classmethod
    def of(
        cls, settings: Mapping[str, object], needed: Sequence[str] = ROLES, needs_tables: bool = True
    ) -> ColumnChoice:
        """The choice in settings by name: `text_column`, `image_column`, `label_column` and `encoding`.

        Raises ConfigError if there is no such encoding."""
        named = {name.rpartition(".")[2]: value for name, value in settings.items()}
        roles = {role: named.get(f"{role}_column") for role in ROLES}
        encoding = str(named.get("encoding", AUTO))
        if reason := why_not_encoding(encoding):
            raise ConfigError(f"encoding={shorten(encoding)} is not allowed; {reason}")
        texts = {role: str(name) for role, name in roles.items() if name}
        return cls(**texts, needed=tuple(needed), needs_tables=needs_tables, encoding=encoding)

    def named(self) -> dict[str, str]:
        """The columns that are given, by the name of their setting."""
        return {f"{role}_column": name for role in ROLES if (name := getattr(self, role))}

    def check(self, source: str, columns: Sequence[str]) -> None:
        """Raise DataError if a needed column is not among the columns of a source."""
        needed = [role for role in self.needed if getattr(self, role)]
        missing = [name for role in needed if (name := getattr(self, role)) not in columns]
        if not missing or not (columns or self.needs_tables):
            return
        if not columns:
            raise DataError(
                f"{needed[0]}_column is for tables, and {source!r} holds none that can be read; leave it out"
            )
        hint = did_you_mean(missing[0], columns)
        listed = "" if "allowed:" in hint else f" (its columns: {', '.join(map(repr, columns[:MAX_LISTED_COLUMNS]))})"
        raise DataError(f"{source!r} has no column {missing[0]!r}{hint}{listed}")


def choose(
    columns: Sequence[str],
    samples: Mapping[str, object],
    names: tuple[str, ...] = (),
    choice: ColumnChoice | None = None,
) -> Columns:
    """The role of each column, from its name and one value that is not empty.

    A column of strings without a known name counts as text only if it is the only column of strings. If the user names the
    column to learn from, no other is taken.
    """
    choice = choice or ColumnChoice()
    if any(name in columns for name in choice.named().values()):
        by_names = choose(columns, samples)
        # "" means that none was given, even if a column has this name.
        text, image, label = (
            name if name and name in columns else None for name in (choice.text, choice.image, choice.label)
        )
        if not (text or image):
            text, image = by_names.text, by_names.image
        if label is None and by_names.label not in (text, image):
            label = by_names.label
        return Columns(text, image, label, names)
    by_name = {name.strip().lower(): name for name in reversed(columns)}
    label = next((by_name[n] for n in LABEL if n in by_name), None)
    image = next((by_name[n] for n in IMAGE if n in by_name and is_image(samples.get(by_name[n]))), None)
    strings = [c for c in columns if isinstance(samples.get(c), str) and c not in (image, label)]
    text = next((by_name[n] for n in TEXT if n in by_name and by_name[n] in strings), None)
    if text is None and image is None and len(strings) == 1:
        text = strings[0]
    return Columns(text, image, label, names)


def is_image(cell: object) -> bool:
    """Whether a cell can be an image: bytes, `{"bytes": ..., "path": ...}`, or a path with the suffix of an image."""
    if isinstance(cell, Mapping):
        return is_image(cell.get("bytes")) or is_image(cell.get("path"))
    return isinstance(cell, bytes) or (isinstance(cell, str) and suffix_of(cell) in pixels.SUFFIXES)


@dataclass(frozen=True, slots=True)
class TablePlace:
    """Place of a table. folder: relative paths in its cells start there; root: the data folder, which they may not leave."""

    folder: Path
    root: Path


def image_bytes(cell: object, place: TablePlace | None) -> bytes:
    """The encoded image that a cell holds, or names by a path if the table has a place. Raises ValueError (one clause).

    Paths that lead out of the data folder are refused, and all paths of a table from a hub (place: None): a table from
    elsewhere must not reach other files.
    """
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        if len(cell) > limits.WHOLE.bytes:
            raise ValueError(f"the cell {too_large(len(cell), limits.WHOLE.bytes)}")
        return cell
    if not isinstance(cell, str) or not cell:
        raise ValueError("the cell holds no image")
    if place is None:
        raise ValueError(f"the cell names a file ({shorten(cell)}) and does not hold it")
    try:
        path = (place.folder / cell).resolve()
        if not path.is_relative_to(place.root.resolve()):
            raise ValueError("lies outside the data folder")
        return read_whole(path)
    except OSError as error:
        raise ValueError(f"{shorten(cell)} cannot be read ({error.strerror})") from None
    except (ValueError, RuntimeError) as error:  # NUL in the path; a link to itself
        raise ValueError(f"{shorten(cell)} {error}") from None


def label_name(cell: object, names: tuple[str, ...]) -> str | None:
    """A class as text; None if the cell is empty or holds more than one value."""
    if cell is None or cell == "" or isinstance(cell, list | dict | bytes):
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, int) and not isinstance(cell, bool) and names:
        return names[cell] if 0 <= cell < len(names) else None
    return str(cell).strip() or None


def item_of(
    row: Mapping[str, object], columns: Columns, modality: str, name: str, place: TablePlace | None
) -> Item | SkippedItem:
    """One row of a table as an item of this modality; place: see `image_bytes`."""
    column = columns.of(modality)
    cell = row.get(column) if column else None
    label = label_name(row.get(columns.label), columns.names) if columns.label else None
    if modality == "text":
        if not isinstance(cell, str) or not cell:
            return SkippedItem(name, f"column {column!r} is empty" if not cell else f"column {column!r} holds no text")
        return Item(name, cell, label)
    try:
        return Item(name, image_bytes(cell, place), label)
    except ValueError as error:
        return SkippedItem(name, str(error))


def describe_columns(columns: Columns, path: str) -> str:
    """A sentence on the columns that are read of a table."""
    roles = [f"{c!r} as {role}" for role, c in (("text", columns.text), ("image", columns.image)) if c]
    label = f", {columns.label!r} as class" if columns.label else ""
    return f"{path}: column {' and '.join(roles)}{label}."


def class_names(rows: Iterator[Mapping[str, object]], columns: Columns) -> set[str]:
    """Every class that some rows name."""
    labels = (label_name(row.get(columns.label or ""), columns.names) for row in rows)
    return {label for label in labels if label is not None}
