"""Interface of sources. A source is a list of shards, each cheap to list without opening and read as one unit.

A reader is one file here with a function `open_reader(files, root, modalities) -> Reader`: `folder` (image files, text files and
spans of large ones), `tables` (jsonl, csv, parquet), `tar` (archives; `tar_spans` for large ones), `idx` (MNIST's files), `arrays`
(NumPy's).
`reader_of` says which of them reads a file, and `Source.open` calls them; it also gives `folder` the classes of metadata files,
and `tables` the columns that the user names. `hub.open_hub(name, modalities, choice) -> Reader` opens Hugging Face names. `tables`
also has `metadata(path) -> dict[str, str | None]`: the class by `file_name` in a `metadata.csv|jsonl|parquet` that describes the
files in its folder (and is then not data itself).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from anew.data.file_names import suffix_of
from anew.data.formats.by_range import Range
from anew.data.modality import Modality
from anew.data.sources.listing import File
from anew.data.types import Item, SkippedItem

T = TypeVar("T")

PARTS = ("train", "validation", "test")
SHARD_BYTES = 512 * 1024  # text, or table rows, of one shard: large enough to read in order, small enough to wait for
SHARD_ITEMS = 256  # image files, or rows with images, of one shard: they take about as long to decode
SAMPLE_ITEMS = 256  # items that counting and header checks may read, which bounds the time of listing
MAX_NAMED_TABLES = 3  # damaged tables that a sentence names
TABLE_SUFFIXES = frozenset({".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"})
_ARCHIVES = frozenset({".tar", ".tgz", ".tar.gz"})
_ARRAYS = frozenset({".npy", ".npz"})
_IDX = re.compile(r"[-.](idx[1-4][-.]ubyte|ubyte)(\.gz)?$|\.idx(\.gz)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shard:
    """A unit of reading and encoding: about SHARD_ITEMS images or SHARD_BYTES of text.

    Attributes:
        name: Stable and unique in its source (path and span; no absolute path): order and fingerprint follow from it.
        items: Number of items; an estimate unless `exact`.
        bytes: Size in the source.
        where: The place where its reader finds it; only the reader knows what it means.
        part: "train", "validation" or "test" if folders or split names say so; None if Anew makes the split.
        stamp: Changes when its files change (modification times); the cache depends on it, the fingerprint does not.
        exact: Whether `items` is exact.
        continues: Whether its first item continues the text of the shard before (a span of one large document).
        counts_rows: Whether its items are rows of a table; else each may be a file that holds many records.
        members: Hash of the listing's facts about its items (names, sizes, classes) that the name does not contain.
    """

    name: str
    items: int
    bytes: int
    where: object
    part: str | None = None
    stamp: int = 0
    exact: bool = True
    continues: bool = False
    counts_rows: bool = False
    members: str = ""


class Reader(Protocol):
    """Lists and reads one kind of container. Listing must not read bodies; reading may happen in another thread.

    Attributes:
        counts: Items by modality name ("text", "image"; a table with both columns counts in both), or by suffix (".pdf") for files
            that no modality reads. May be estimates.
        bytes: Bytes by the same keys.
        labels: Every class name, sorted, if the listing knows them; None if they are known only from reading; () without classes.
        notes: Sentences for the user (which column is read, how to choose another).
        refusals: Items that could not be listed, with reasons.
    """

    counts: Mapping[str, int]
    bytes: Mapping[str, int]
    labels: tuple[str, ...] | None
    notes: list[str]
    refusals: list[SkippedItem]

    def shards(self, modality: str) -> list[Shard]:
        """The shards that hold items of this modality, in a stable order.

        Each should be a fair mix (image files of all classes), since a short budget reads the first shards alone.
        """
        ...

    def ranges(self, shard: Shard) -> Sequence[Range]:
        """The ranges of files that reading the shard will need, if they are known, in the order of items."""
        ...

    def read(self, shard: Shard) -> Iterator[Item | SkippedItem]:
        """The items of the shard in order. Thread-safe: no state is shared between two reads.

        Yields:
            Items whose data is `bytes` of an encoded image or text file, `str` for decoded text, or a uint8 array (H, W) or
            (H, W, C) for raw images. For a damaged item, or a file that vanished or changed meanwhile, a SkippedItem, never an
            exception.
        """
        ...


class SampleReader(Reader, Protocol):
    """A reader of folders, which may hold samples in several formats.

    Attributes:
        left_out_notes: Sentences on files that are left out, since others hold the same samples; among `notes`, too.
    """

    left_out_notes: list[str]


class OpenReader(Protocol):
    """A reader module's entry point. `folder` and `tables` take further arguments, all with defaults."""

    def __call__(self, files: Sequence[File], root: Path, modalities: Mapping[str, type[Modality]]) -> Reader:
        """Open a reader.

        Args:
            files: The files that `reader_of` assigns to this reader.
            root: Folder that `File.path` is relative to.
            modalities: All modalities by name, which decide what a file holds.

        Raises:
            DataError: A package is missing; names the extra.
        """
        ...


def members_digest(entries: Iterable[object]) -> str:
    """`Shard.members` of these entries, one for each item, whose `repr` must contain everything that identifies it."""
    # All entries are digested in one call, as a call takes longer than the text of an entry
    text = "".join([f"{entry!r}\n" for entry in entries])
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def reader_of(path: str) -> str:
    """The module of `anew.data.sources` that reads this file: tables, tar, arrays or idx, else folder."""
    suffix = suffix_of(path)
    if suffix in TABLE_SUFFIXES:
        return "tables"
    if suffix in _ARCHIVES:
        return "tar"
    if suffix in _ARRAYS:
        return "arrays"
    if ("ubyte" in path or "idx" in path) and _IDX.search(path[path.rfind("/") + 1 :]):
        return "idx"
    return "folder"


def is_of_folder(suffix: str) -> bool:
    """Whether `folder` reads all files of a suffix, whatever their names are."""
    may_be_idx = not suffix or suffix.endswith(".gz") or "idx" in suffix or "ubyte" in suffix
    return suffix not in TABLE_SUFFIXES | _ARCHIVES | _ARRAYS and not may_be_idx
