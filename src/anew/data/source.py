"""Where items come from. A source is a list of blocks, each cheap to list without opening and read as one unit.

A reader is one file here with a function `open_reader(files, root, suffixes) -> Reader`:
`folders` (image files, text files and spans of large ones), `tables` (jsonl, csv, parquet), `archive` (tar shards),
`idx` (MNIST's files), `hub` (Hugging Face names). Which of them takes a file is said by `reader_of`. `hub` is opened by
`open_hub(name, suffixes) -> Reader`; `tables` also has `metadata(path) -> dict[str, str | None]`, the class by `file_name`
of a `metadata.csv|jsonl|parquet` that describes the files beside it (it is then no table of its own).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

from anew.data.modality import Item, Refusal

__all__ = ["Block", "File", "Item", "Reader", "Refusal", "label_of", "part_of", "reader_of", "suffix_of"]

PARTS = ("train", "validation", "test")
BLOCK_BYTES = 512 * 1024  # of text, and of table rows, in one block
BLOCK_ITEMS = 256  # image files, or rows with images, in one block
SAMPLE = 256  # items that `kinds` and header checks may look at

_PART = {"train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
         "dev": "validation", "test": "test", "testing": "test"}  # fmt: skip
_TABLES = frozenset({".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"})
_ARCHIVES = frozenset({".tar", ".tgz", ".tar.gz"})
_IDX = re.compile(r"[-.](idx[1-4][-.]ubyte|ubyte)(\.gz)?$|\.idx(\.gz)?$", re.IGNORECASE)


class File(NamedTuple):
    """One file of the listing. path: relative to the root, with `/`; stamp: modification time in nanoseconds."""

    path: str
    bytes: int
    stamp: int


@dataclass(frozen=True, slots=True)
class Block:
    """A unit of reading and encoding: about BLOCK_ITEMS images or BLOCK_BYTES of text.

    name: stable and unique in its source (path and span; no absolute path): order and fingerprint follow from it.
    items: how many it holds, exact where the listing tells, an estimate otherwise (`exact` says which).
    bytes: its size in the source. where: what its reader needs to find it again.
    part: "train", "validation" or "test" where folders or split names say so, None where the split is ours to make.
    stamp: changes when the files behind it change (modification times); keys the cache, not the fingerprint.
    continues: its first item goes on with the text of the block before (a span of one large document).
    """

    name: str
    items: int
    bytes: int
    where: Any
    part: str | None = None
    stamp: int = 0
    exact: bool = True
    continues: bool = False


class Reader(Protocol):
    """Lists and reads one kind of container. Listing must not read bodies; reading may happen in another thread.

    kinds: items by modality name ("text", "image"; a table with both columns counts in both), or by the bare suffix
    (".pdf") for what no modality takes. bytes: the same keys. Counts may be estimates.
    labels: every class name, sorted, where the listing knows them; None where only reading tells; () where there are none.
    notes: sentences for the user (which column was taken, how to choose). refusals: what could not be listed, with reasons.
    """

    kinds: Mapping[str, int]
    bytes: Mapping[str, int]
    labels: tuple[str, ...] | None
    notes: list[str]
    refusals: list[Refusal]

    def blocks(self, kind: str) -> list[Block]:
        """The blocks that hold items of this modality, in a stable order. Neighbours in one block should be a fair mix
        (image files of different classes), since the first blocks that a short budget reads stand for the whole."""
        ...

    def read(self, block: Block) -> Iterator[Item | Refusal]:
        """The items of the block in order. Item.data: `bytes` of an encoded image or text file, `str` for text already
        decoded, a numpy uint8 array (H, W) or (H, W, C) for raw images. A damaged item is a Refusal, never an exception;
        a file that vanished or changed under us is a Refusal too. Thread-safe: no state shared between two reads."""
        ...


class OpenReader(Protocol):
    """A reader module's entry point."""

    def __call__(self, files: Sequence[File], root: Path, suffixes: Mapping[str, str]) -> Reader:
        """files: those that `reader_of` gave to this reader; root: what `File.path` is relative to;
        suffixes: file ending -> modality name, over all modalities (how an archive knows what a member is).

        Raises DataError only where nothing can go on (a package that must be installed: say which extra)."""
        ...


def suffix_of(path: str) -> str:
    """The ending in lower case with the dot ("" without one); `.gz` keeps what stands before it: ".tar.gz"."""
    pure = PurePosixPath(path)
    last = pure.suffix.lower()
    if last in (".gz", ".xz", ".bz2", ".zst"):
        return PurePosixPath(pure.stem).suffix.lower() + last
    return last


def reader_of(path: str) -> str:
    """The module name under `anew.data` that reads this file: tables, archive, idx, else folders."""
    suffix = suffix_of(path)
    if suffix in _TABLES:
        return "tables"
    if suffix in _ARCHIVES:
        return "archive"
    if _IDX.search(PurePosixPath(path).name):
        return "idx"
    return "folders"


def part_of(path: str) -> str | None:
    """The part that a relative path names: a folder `train/`, `val/`, `test/`, or a file stem that is or starts or ends
    with such a word (`test.txt`, `train-00000-of-00002.parquet`, `names_valid.csv`). None where nothing says so."""
    pure = PurePosixPath(path)
    for folder in pure.parts[:-1]:
        if folder.lower() in _PART:
            return _PART[folder.lower()]
    words = re.split(r"[-_.]", pure.name.lower())
    stem = words[:-1] if len(words) > 1 else words
    named = [_PART[w] for w in (stem[0], stem[-1]) if w in _PART]
    return named[0] if named else None


def label_of(path: str) -> str | None:
    """The class that a relative path names: the last folder that is not a part and not a mere container; None at the top."""
    folders = [f for f in PurePosixPath(path).parts[:-1] if f.lower() not in _PART]
    return folders[-1] if folders else None
