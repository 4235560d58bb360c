"""The values that sources, modalities and their callers exchange."""

from __future__ import annotations

import base64
import csv
import functools
import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from anew.core.arrays import Numbers
from anew.core.reading_time import ReadingTime
from anew.core.wording import plural
from anew.errors import ConfigError, printable, shorten

# With fewer documents, spans are held out, since a held-out part would be only two or three documents. Samples are then passages: a model
# would repeat the few beginnings of documents, and held-out spans have hardly any beginnings to compare them with
FEW_DOCUMENTS = 50
DIGESTED_BYTES = 1 << 20  # so many bytes at the start, the middle and the end of a large file are digested
MAX_THREADS = 16  # more threads hardly make one training run faster
ACCELERATOR_THREADS = 100  # a GPU counts as so many CPU threads, roughly
CELL_MARKS = ",;\t|"  # what may divide the cells of a table
_PLAYERS = {
    "image": '<img style="margin:2px;min-height:64px;image-rendering:pixelated" src="{}">',  # small ones enlarged
    "audio": '<audio style="margin:2px" controls preload="none" src="{}"></audio>',
    "video": '<video style="margin:2px" controls loop muted playsinline preload="metadata" src="{}"></video>',
}


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Slice of a file that is read in its place: `Item.data` of modalities with `ModalityTraits.reads_file_slices`.

    Attributes:
        path: The file, or a folder of numbered frames.
        index: Number of this slice among the file's equal slices, from 0.
        count: Number of these slices.
        at: (start, stop) of one record in it, in samples or frames, as `Modality.split_records` cut it; None: the whole slice.
        body: The bytes, if they have no file of their own (a member of an archive).
    """

    path: Path
    index: int = 0
    count: int = 1
    at: tuple[int, int] | None = None
    body: bytes | None = None

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:  # a tenth of what pickling a frozen class with slots costs
        return FileSlice, (self.path, self.index, self.count, self.at, self.body)

    def digest(self) -> bytes:
        """16 bytes that depend on the content and the slice; of a large file, on its size and some of its content."""
        try:
            stat = self.path.stat() if self.body is None else None
            content = _digest(self.path, stat.st_size, stat.st_mtime_ns) if stat else self.body or b""
        except OSError:  # it vanished, and will be refused when it is read
            content = str(self.path).encode("utf-8", "surrogateescape")
        position = repr((self.index, self.count, self.at)).encode()
        return hashlib.blake2b(content + position, digest_size=16).digest()


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, size: int, stamp: int) -> bytes:
    if path.is_dir():
        names = "\0".join(f"{file.name}\0{file.stat().st_size}" for file in sorted(path.iterdir()))
        return hashlib.blake2b(names.encode("utf-8", "surrogateescape"), digest_size=16).digest()
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with open(path, "rb") as stream:
        if size <= 4 * DIGESTED_BYTES:
            digest.update(stream.read())
        else:
            for start in (0, size // 2, size - DIGESTED_BYTES):
                stream.seek(start)
                digest.update(stream.read(DIGESTED_BYTES))
    return digest.digest()


ItemData: TypeAlias = bytes | str | Numbers | FileSlice
DecodedItem: TypeAlias = str | Numbers  # the result of `Modality.decode`
ItemT = TypeVar("ItemT", bound=DecodedItem)  # the decoded items of one modality


@dataclass(frozen=True, slots=True)
class Item:
    """One record as it lies in its source.

    Attributes:
        name: Where it came from, for sentences.
        data: Bytes of a file, text, an array, or a `FileSlice`.
        label: Name of its class, None without one.
        begins: False if it is a piece of a longer text with more before it.
        ends: False if it is a piece of a longer text with more after it.
        group: The recording that it was cut out of together with others; such records stay in one part of the split.
        sample: For a span that is not UTF-8: lines with characters beyond ASCII, from all over the file, which show its encoding.
    """

    name: str
    data: ItemData
    label: str | None = None
    begins: bool = True
    ends: bool = True
    group: str | None = None
    sample: bytes | None = None

    @property
    def text(self) -> str:
        """The text of a record. Raises TypeError if the data is something else."""
        if not isinstance(self.data, str):
            raise TypeError(f"{self.name} holds {type(self.data).__name__}, not text")
        return self.data

    @property
    def file(self) -> bytes | FileSlice:
        """The file, or its place. Raises TypeError if the data is text or an array."""
        if isinstance(self.data, str | np.ndarray):
            raise TypeError(f"{self.name} holds {type(self.data).__name__}, not a file")
        return self.data

    @property
    def content(self) -> bytes:
        """The bytes of a file. Raises TypeError if they are not in memory, or the data is already text."""
        if isinstance(self.data, str | FileSlice):
            raise TypeError(f"{self.name} holds {type(self.data).__name__}, not bytes")
        return bytes(self.data)

    @property
    def size(self) -> int:
        """Bytes, characters or rows in memory; 0 if the data is still in its file."""
        return 0 if isinstance(self.data, FileSlice) else len(self.data)

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return Item, (self.name, self.data, self.label, self.begins, self.ends, self.group, self.sample)


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """A record as it is stored for a model, and where it came from.

    Attributes:
        file: Path in its source, "" if it came from no file.
        number: Number of the record in its file, from 1; of a list, that of its line.
        name: Its name in the file (the first word of a FASTA header), "" without one.
        row: (n,) ids for `Tokens`, else the stored grid.
        label: Number of its class, -1 if it has none of those that are learned; None if none are.
    """

    file: str
    number: int
    name: str
    row: Numbers
    label: int | None = None


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """An item that cannot be used. All strings are made printable.

    Attributes:
        name: See `Item`.
        reason: Why, as one clause.
        group: See `Item`.
        count: Number of items of which this is an example.
    """

    name: str
    reason: str
    group: str | None = None
    count: int = field(default=1, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))
        object.__setattr__(self, "reason", printable(self.reason))
        if self.group is not None:
            object.__setattr__(self, "group", printable(self.group))


@dataclass(frozen=True, slots=True)
class Artifact:
    """A sample as an ordinary file.

    Attributes:
        suffix: Suffix of its name, with the dot.
        data: Content of the file.
        text: Text to show in a terminal, None for none.
        media: The type that a browser shows or plays it as ("image/png", "audio/wav").
        also: The same sample in other formats.
        comment: Comment on the sample, "" for none.
        is_playable: Whether browsers play it, if it is sound.
    """

    suffix: str
    data: bytes
    text: str | None = None
    media: str = "text/plain"
    also: tuple[Artifact, ...] = ()
    comment: str = ""
    is_playable: bool = True

    def html(self) -> str:
        """HTML that shows or plays it in a notebook."""
        player = _PLAYERS.get(self.media.partition("/")[0])
        if player is None:
            return f"<pre>{html.escape(self.text or '')}</pre>"
        return player.format(f"data:{self.media};base64,{base64.b64encode(self.data).decode()}")


@dataclass(frozen=True, slots=True)
class DataBudget:
    """The budget from which sizes of items and models are chosen.

    Attributes:
        seconds: The whole time budget; None: a number of steps was given instead.
        items: Items in the source.
        bytes: Bytes of the source.
        threads: CPU threads that work.
        device: Where the model is trained, e.g. "cpu" or "cuda".
        is_assumed: Whether no budget was given, so that another one may lead to other sizes.
        only_compared: Whether items are only compared with samples made elsewhere: nothing is learned from them.
        reading: How long the data may be read; without a limit unless a command that trains sets one.
    """

    seconds: float | None
    items: int
    bytes: int
    threads: int = 1
    device: str = "cpu"
    is_assumed: bool = False
    only_compared: bool = False
    reading: ReadingTime = field(default_factory=ReadingTime, compare=False)

    @property
    def thread_seconds(self) -> float | None:
        """The budget in seconds of one CPU thread; None without a budget. An accelerator counts as 100 threads."""
        if self.seconds is None:
            return None
        threads = max(1, min(self.threads, MAX_THREADS)) if self.device == "cpu" else ACCELERATOR_THREADS
        return self.seconds * threads

    def describe(self) -> str:
        """The budget, for sentences."""
        if self.seconds is None:
            return "a run without a budget"
        place = self.device if self.device != "cpu" else plural(self.threads, "thread")
        assumed = " (assumed, as no budget was given)" if self.is_assumed else ""
        return f"{self.seconds:,.10g} s on {place}{assumed}"

    @property
    def use(self) -> str:
        """Use of the items, a participle."""
        return "compared" if self.only_compared else "learned"

    def reason(self, is_asked: bool) -> str:
        """Why items are not used in their whole size, a clause. is_asked: whether a setting says so."""
        if self.only_compared:
            return "as the samples are" if is_asked else "the most that is compared"
        return "as asked" if is_asked else f"to fit {self.describe()}"


@dataclass(frozen=True, slots=True)
class RowTable:
    """The form of tables whose rows are learned whole.

    Attributes:
        header: The row of the names of columns; "" if there is none.
        suffix: That of the files.
    """

    header: str
    suffix: str

    def check_prompt(self, prompt: str) -> None:
        """Raise ConfigError if the beginning of a row has more cells than the header."""
        if not self.header:
            return
        widths = {mark: _num_cells(self.header, mark) for mark in ("\t" if self.suffix == ".tsv" else CELL_MARKS)}
        mark, width = max(widths.items(), key=lambda item: item[1])
        num_given = _num_cells(prompt, mark)
        if width > 1 and num_given > width:
            raise ConfigError(
                f"the prompt has {num_given} cells, and rows of this data have {width}: {shorten(self.header)}; give the first ones, "
                f"divided by {mark!r}",
                "prompt",
            )

    def file_of(self, rows: Sequence[str], has_header: bool = True) -> bytes:
        """A file of these rows. has_header: whether it begins with the names of the columns, if there are any."""
        header = (self.header,) if self.header and has_header else ()
        return "".join(f"{row}\n" for row in (*header, *rows)).encode("utf-8", "replace")


def _num_cells(row: str, delimiter: str) -> int:
    return len(next(csv.reader([row], delimiter=delimiter), ()))


class DataListing(NamedTuple):
    """Facts about new data that are known before any of it is read.

    Attributes:
        names: Names of the files of which each is an item.
        num_items: Number of all items, those of tables and archives too; may be an estimate.
        table: The form of the tables, if each of their rows is an item and there is nothing else.
    """

    names: Iterable[str]
    num_items: int
    table: RowTable | None


@dataclass(slots=True)
class DatasetSummary:
    """Summary of the items found in a source; all counts are of items.

    Attributes:
        modality: Name of the modality.
        items: Items that can be used.
        num_listed: Items as listed, such as files, before long ones are cut into several.
        is_estimate: Whether `items` and `parts` are estimates, since not all of the data was read.
        bytes: Size of the source.
        labels: Names of the classes.
        parts: Items (or spans of text) in train, validation and test.
        skipped_items: One for each file and reason.
        skipped: Number of items that cannot be used.
        other: Items that are not of this modality, by modality or suffix.
        notes: Sentences for `anew look`.
        noted_kinds: The modalities in `other` that a note names.
        is_split_noted: Whether a note says how many items each part has.
        cuts_recordings: Whether files are cut into clips, and enough of them for a note.
        field_names: Names of the fields of rows that are learned whole; () where they have none, or tables have different ones.
    """

    modality: str
    items: int
    bytes: int
    labels: tuple[str, ...] = ()
    parts: dict[str, int] = field(default_factory=dict)
    skipped_items: list[SkippedItem] = field(default_factory=list)
    skipped: int = 0
    other: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_estimate: bool = False
    num_listed: int = 0
    field_names: tuple[str, ...] = ()
    noted_kinds: tuple[str, ...] = ()
    is_split_noted: bool = False
    cuts_recordings: bool = False

    def skipped_lines(self) -> list[str]:
        """Some of the items refused so far, each with its reason."""
        return [f"{item.name}: {item.reason}" for item in self.skipped_items]
