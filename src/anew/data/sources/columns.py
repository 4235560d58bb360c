"""Columns of tables: which of them hold text, images and classes, and how their cells are read."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anew.core.encodings import AUTO, why_not_encoding
from anew.core.files import clause
from anew.core.settings import as_text, parse_switch
from anew.core.wording import listed
from anew.data import limits
from anew.data.file_names import suffix_of
from anew.data.formats.file_bytes import read_whole
from anew.data.formats.images import pixels
from anew.data.modality import CONFIDENT, Modality
from anew.data.types import Item, SkippedItem
from anew.errors import ConfigError, DataError, did_you_mean, shorten

# Names of columns for each role; the first that a table has is taken
TEXT = ("text", "content", "document", "sentence", "article", "smiles", "canonical_smiles", "sequence")
IMAGE = ("image", "img", "picture", "photo", "file_name", "image_path", "filename", "path", "file")
LABEL = ("label", "class", "category", "labels", "fine_label", "coarse_label")
FILE_NAME = "file_name"
ROLES = ("text", "image", "label")
# Takes the place of a column's name where rows are read as they are; names are stripped, so none is this
WHOLE_ROW = "\n"
TEXT_MODALITY = "text"
IN_CELLS = ("molecule", "protein")  # modalities whose items also stand in cells of tables, which look like text
MAX_LISTED_COLUMNS = 20  # columns that a sentence names
SHOWN_CLASSES = 3  # values of such a column that a sentence names

JUDGED_ROWS = 1000  # first rows of a table that decide what its columns hold, but for used-up vocabularies; chosen
SNIFFED_CELLS = 100  # first cells of a text column that decide its modality: a file is judged by about as many lines
MIN_CELLS = 5  # fewer cells may look alike by chance
FEW_CATEGORIES = 10  # fewer different cells are categories, if most repeat another; as few items could not be divided
CATEGORY_SHARE = 0.05  # and so are fewer different ones than this share of the cells; chosen
DECISIVE_SHARE = 0.9  # share of the cells of a column that decides what it holds; chosen
MIN_SENTENCE_WORDS = 5  # words that hardly any name of a column has; chosen
_NUMBER = re.compile(r"[-+$€£]?\s?\d[\d.,'\u00a0\u202f]*(e[-+]?\d+)?\s?[%€$£]?|[-+]?\.\d+", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ]\d.*)?|\d{1,2}:\d\d(:\d\d(\.\d+)?)?")
_DIGITS, _LETTERS = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")
_YEAR = re.compile(r"(1[5-9]|20)\d\d")
_MISSING = frozenset({"", "-", "?", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True, slots=True)
class Columns:
    """The column of each role, None if there is none.

    Attributes:
        names: The names of whole-number labels, if they are known.
        text_modality: The modality of the text column.
    """

    text: str | None = None
    image: str | None = None
    label: str | None = None
    names: tuple[str, ...] = ()
    text_modality: str = TEXT_MODALITY

    def of(self, modality: str) -> str | None:
        return {self.text_modality: self.text, "image": self.image}.get(modality)

    def names_for(self, modality: str) -> list[str]:
        return [column for column in (self.of(modality), self.label) if column is not None]


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """The columns that the user names for each role, and the encoding of tables; with "" a column is chosen by its name.

    Attributes:
        encoding: Encoding of tables that are not UTF-8; "auto": it is recognised.
        header: Whether the first row of a table in CSV or TSV names its columns; else they are named by their numbers, from 1.
        whole_rows: Whether a table in CSV, TSV or JSON lines is a list of its rows as they are, without the header, unless a column is
            named for text or images, or by the user.
        needed: Roles whose named column a table must have; without it, the column of another role is chosen by its name.
        needs_tables: Whether data without tables is refused where a needed column is named.
        text_modality: Modality of text columns, whatever their cells look like; "" for what these look like.
    """

    text: str = ""
    image: str = ""
    label: str = ""
    needed: tuple[str, ...] = ROLES
    needs_tables: bool = True
    encoding: str = AUTO
    text_modality: str = ""
    header: bool = True
    whole_rows: bool = False

    @classmethod
    def of(
        cls, settings: Mapping[str, object], needed: Sequence[str] = ROLES, needs_tables: bool = True
    ) -> ColumnChoice:
        """The choice in settings by name: `text_column`, `image_column`, `label_column`, `encoding`, `header` and `layout`.

        Raises ConfigError for an unknown encoding, or a `header` other than true or false."""
        values = {name.rpartition(".")[2]: value for name, value in settings.items()}
        roles = {role: values.get(f"{role}_column") for role in ROLES}
        encoding = str(values.get("encoding", AUTO))
        if reason := why_not_encoding(encoding):
            raise ConfigError(f"encoding={shorten(encoding)} is not allowed; {reason}", "encoding")
        texts = {role: str(name) for role, name in roles.items() if name}
        header = parse_switch("header", as_text(values.get("header", True)))
        layouts = (settings.get(name) for name in ("layout", f"{TEXT_MODALITY}.layout"))
        return cls(
            **texts,
            needed=tuple(needed),
            needs_tables=needs_tables,
            encoding=encoding,
            header=header,
            whole_rows="list" in layouts,
        )

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
    texts: Sequence[str] = (),
) -> Columns:
    """The role of each column, from its name and one value that is not empty.

    A column without a known name counts as text only if it is the only column of strings, or the only one of `texts`
    (`text_columns`). If the user names the column to learn from, no other is taken.
    """
    choice = choice or ColumnChoice()
    if any(name in columns for name in choice.named().values()):
        by_names = choose(columns, samples, texts=texts)
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
    if text is None and image is None:
        candidates = strings if len(strings) == 1 else [c for c in strings if c in texts]
        text = candidates[0] if len(candidates) == 1 else None
    return Columns(text, image, label, names)


# ---- what columns hold ----


def text_columns(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The columns that hold text, by their first rows; first those whose different cells have most letters.

    Numbers, dates, identifiers (words with digits, of one form or length) and a few categories are not text.
    """
    letters: dict[str, int] = {}
    for column in columns:
        cells = _cells(column, rows[:JUDGED_ROWS])
        if not cells or _is_measured(cells) or _is_category(cells) or _are_identifiers(cells):
            continue
        # A vocabulary of hundreds is used up late: among the first rows most of it is there once or twice
        if not _is_category(_cells(column, rows)):
            letters[column] = sum(map(str.isalpha, "".join(set(cells))))
    return sorted(letters, key=lambda column: -letters[column])


def _cells(column: str, rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The cells of a column that hold a string, without those that say that it is missing."""
    cells = [cell for row in rows if isinstance(cell := row.get(column), str)]
    return [cell for cell in cells if cell.strip().lower() not in _MISSING]


def class_columns(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> dict[str, list[str]]:
    """The columns that could be classes, by their first rows, with their different cells, the commonest first.

    Each holds few different words, which most rows have; numbers and dates are not classes.
    """
    values: dict[str, list[str]] = {}
    judged = rows[:JUDGED_ROWS]
    for column in columns:
        cells = [cell.strip() for row in judged if isinstance(cell := row.get(column), str)]
        counts = Counter(cell for cell in cells if cell.lower() not in _MISSING)
        if counts.total() < max(DECISIVE_SHARE * len(judged), MIN_CELLS * len(counts)) or len(counts) < 2:
            continue
        if _is_category(list(counts.elements())) and not _is_measured(list(counts)):
            values[column] = [cell for cell, _ in counts.most_common()]
    return values


def _is_measured(cells: Sequence[str]) -> bool:
    """Whether cells are numbers or dates."""
    return sum(map(_is_number_or_date, cells)) >= DECISIVE_SHARE * len(cells)


def _is_number_or_date(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell.strip()) or _DATE.fullmatch(cell.strip()))


def _is_category(cells: Sequence[str]) -> bool:
    num_different = len(set(cells))
    return num_different < max(CATEGORY_SHARE * len(cells), min(FEW_CATEGORIES, len(cells) / 2))


def _are_identifiers(cells: Sequence[str]) -> bool:
    """Whether cells are words with digits, all of one form (`ansonca01`, `troutmi01`), or all different and of one length.

    Those of one form may recur, as the key of a player does in a table of seasons.
    """
    if len(cells) < MIN_CELLS or any(len(cell.split()) > 1 for cell in cells):
        return False
    have_digits = sum(any(map(str.isdigit, cell)) for cell in cells) >= DECISIVE_SHARE * len(cells)
    forms = Counter(_LETTERS.sub("a", _DIGITS.sub("0", cell.strip())) for cell in cells)
    has_one_form = max(forms.values()) >= DECISIVE_SHARE * len(cells)
    return have_digits and (has_one_form or (len(set(cells)) == len(cells) and len(set(map(len, cells))) == 1))


def first_cells(column: str, rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The first cells of a column that hold a string, as many as `modality_of` looks at."""
    return [cell for row in rows[:SNIFFED_CELLS] if isinstance(cell := row.get(column), str) and cell.strip()]


def modality_of(cells: Sequence[str], modalities: Mapping[str, type[Modality]]) -> str:
    """The modality of a text column, by its first cells: text, or one of IN_CELLS that these modalities have."""
    lines = "".join(f"{' '.join(cell.split())}\n" for cell in cells).encode("utf-8", "replace")
    claims = {name: modality.sniff(lines) for name, modality in modalities.items() if name in IN_CELLS}
    best = max(claims, key=lambda name: claims[name], default=TEXT_MODALITY)
    return best if claims.get(best, 0.0) >= CONFIDENT else TEXT_MODALITY


def data_in_header(
    header: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    columns: Columns,
    modalities: Mapping[str, type[Modality]],
) -> str | None:
    """The first name in a header that looks like data, a number, a date, an item, or a sentence above sentences; None if
    none does.

    Years and the numbers of the columns are usual names.
    """
    is_item = columns.text is not None and columns.text_modality != TEXT_MODALITY
    if is_item and modality_of([columns.text or ""] * SNIFFED_CELLS, modalities) == columns.text_modality:
        return columns.text
    if len(rows) < MIN_CELLS or all(name in (str(i), str(i + 1)) for i, name in enumerate(header)):
        return None
    measured = next((name for name in header if _is_number_or_date(name) and not _YEAR.fullmatch(name)), None)
    if measured is not None:
        return measured
    cells_of = {name: [str(row[name]) for row in rows[:JUDGED_ROWS] if row.get(name)] for name in header}
    if any(cells and _is_measured(cells) for cells in cells_of.values()):
        return None  # a name above numbers that is none says that the others are names, too
    return next((name for name, cells in cells_of.items() if _is_like_cells(name, cells)), None)


def _is_like_cells(name: str, cells: Sequence[str]) -> bool:
    """Whether the name of a column is a sentence about as long as the cells below it, most of which are sentences, too."""
    if len(cells) < MIN_CELLS or not min(map(len, cells)) / 2 <= len(name) <= 2 * max(map(len, cells)):
        return False
    # A question heads its answers
    return _is_sentence(name) and not name.endswith(("?", ":")) and sum(map(_is_sentence, cells)) >= len(cells) / 2


def _is_sentence(text: str) -> bool:
    return len(text.split()) >= MIN_SENTENCE_WORDS


def are_guessed(columns: Columns, choice: ColumnChoice) -> bool:
    """Whether the text column was chosen only because no other holds text."""
    return columns.text is not None and columns.text != choice.text and columns.text.strip().lower() not in TEXT


def is_image(cell: object) -> bool:
    """Whether a cell can be an image: bytes, `{"bytes": ..., "path": ...}`, or a path with the suffix of an image."""
    if isinstance(cell, Mapping):
        return is_image(cell.get("bytes")) or is_image(cell.get("path"))
    return isinstance(cell, bytes) or (isinstance(cell, str) and suffix_of(cell) in pixels.SUFFIXES)


@dataclass(frozen=True, slots=True)
class TableLocation:
    """Where a table lies. folder: relative paths in its cells start there; root: the data folder, which they may not leave."""

    folder: Path
    root: Path


def image_bytes(cell: object, location: TableLocation | None) -> bytes:
    """The encoded image that a cell holds, or names by a path if the table has a location. Raises ValueError (one clause).

    Paths that lead out of the data folder are refused, and all paths of a table from a hub (location: None): a table from
    elsewhere must not reach other files.
    """
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        if len(cell) > limits.FILE_BYTES:
            raise ValueError(
                f"the cell is larger ({limits.size(len(cell))}) than what is read whole ({limits.size(limits.FILE_BYTES)})"
            )
        return cell
    if not isinstance(cell, str) or not cell:
        raise ValueError("the cell holds no image")
    if location is None:
        raise ValueError(f"the cell names a file ({shorten(cell)}) and does not hold it")
    try:
        path = (location.folder / cell).resolve()
        if not path.is_relative_to(location.root.resolve()):
            raise ValueError("it lies outside the data folder")
        return read_whole(path)
    except OSError as error:
        raise ValueError(f"{shorten(cell)} cannot be read ({clause(error)})") from None
    except (ValueError, RuntimeError) as error:  # NUL in the path; a link to itself
        raise ValueError(f"{shorten(cell)}: {error}") from None


def label_name(cell: object, names: tuple[str, ...]) -> str | None:
    """A class as text; None if the cell is empty or holds more than one value."""
    if cell is None or cell == "" or isinstance(cell, list | dict | bytes):
        return None
    if isinstance(cell, float) and math.isnan(cell):
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, int) and not isinstance(cell, bool) and names:
        return names[cell] if 0 <= cell < len(names) else None
    return str(cell).strip() or None


def item_of(
    row: Mapping[str, object], columns: Columns, modality: str, name: str, location: TableLocation | None
) -> Item | SkippedItem:
    """One row of a table as an item of this modality; location: see `image_bytes`."""
    column = columns.of(modality)
    cell = row.get(column) if column else None
    label = label_name(row.get(columns.label), columns.names) if columns.label else None
    if modality == columns.text_modality:
        if not isinstance(cell, str) or not cell:
            return SkippedItem(name, f"column {column!r} is empty" if not cell else f"column {column!r} holds no text")
        return Item(name, cell, label)
    try:
        return Item(name, image_bytes(cell, location), label)
    except ValueError as error:
        return SkippedItem(name, str(error))


def describe_columns(
    columns: Columns,
    path: str,
    choice: ColumnChoice,
    text_noun: str = "text",
    classes: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Sentences on the columns that are read of a table, and why they are, unless their names say it.

    text_noun: what the cells of the text column are; classes: columns that could be classes, see `class_columns`.
    """
    if columns.text_modality not in (TEXT_MODALITY, choice.text_modality):
        text_noun += f" (modality={TEXT_MODALITY} would take it as text)"
    roles = [f"{shorten(c)} as {role}" for role, c in ((text_noun, columns.text), ("image", columns.image)) if c]
    label = "" if columns.label is None else f", {shorten(columns.label)} as class"
    is_file = path.lower().endswith((".csv", ".tsv"))
    rows = " (layout=list learns whole rows)" if is_file else ""
    reason = f"; no other holds text{rows}" if are_guessed(columns, choice) else ""
    return f"{path}: column {' and '.join(roles)}{label}{reason}.{_class_offer(columns, classes or {})}"


def _class_offer(columns: Columns, classes: Mapping[str, Sequence[str]]) -> str:
    """A sentence on columns that could be classes where a table has none, after a space; else ""."""
    others = {name: values for name, values in classes.items() if name not in (columns.text, columns.image)}
    if columns.label is not None or not others:
        return ""
    name, *further = list(others)[:MAX_LISTED_COLUMNS]
    values = others[name]
    examples = listed([shorten(value) for value in values[:SHOWN_CLASSES]])
    more = f"; {listed([shorten(column) for column in further])} could be classes, too" if further else ""
    return f" {shorten(name)} holds few values, such as {examples}: label_column={name} learns them as classes{more}."


def class_names(rows: Iterator[Mapping[str, object]], columns: Columns) -> set[str]:
    """Every class that some rows name."""
    labels = (label_name(row.get(columns.label or ""), columns.names) for row in rows)
    return {label for label in labels if label is not None}
