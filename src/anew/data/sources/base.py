"""Where items come from. A source is a list of blocks, each cheap to list without opening and read as one unit.

A reader is one file here with a function `open_reader(files, root, kinds) -> Reader`:
`folders` (image files, text files and spans of large ones), `tables` (jsonl, csv, parquet), `archive` (tar shards),
`idx` (MNIST's files), `hub` (Hugging Face names). Which of them takes a file is said by `reader_of`. `hub` is opened by
`open_hub(name, kinds) -> Reader`; `tables` also has `metadata(path) -> dict[str, str | None]`, the class by `file_name`
of a `metadata.csv|jsonl|parquet` that describes the files beside it (it is then no table of its own).
"""

from __future__ import annotations

import functools
import importlib
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

from anew.data.modality import Item, Modality, Refusal
from anew.errors import DataError

__all__ = ["Block", "File", "Item", "Reader", "Refusal", "Source", "label_of", "part_of", "reader_of", "suffix_of"]

PARTS = ("train", "validation", "test")
BLOCK_BYTES = 512 * 1024  # of text, and of table rows, in one block
BLOCK_ITEMS = 256  # image files, or rows with images, in one block
WHOLE_BYTES = 16 * 1024 * 1024  # text up to this size is read and kept whole
SAMPLE = 256  # items that `kinds` and header checks may look at

NAMING_BYTES = 64 * 1024 * 1024  # of a table that may name the image files beside it

_PART = {"train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
         "dev": "validation", "test": "test", "testing": "test"}  # fmt: skip
_PROGRAMS = frozenset(
    f".{s}" for s in ("py", "js", "ts", "c", "h", "cc", "cpp", "go", "java", "rs", "rb", "php", "sh", "r")
)
_PACKED = frozenset({".gz", ".xz", ".bz2", ".zst"})
_WORD_ENDS = re.compile(r"[-_.]")
_TABLES = frozenset({".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"})
_ARCHIVES = frozenset({".tar", ".tgz", ".tar.gz"})
_IDX = re.compile(r"[-.](idx[1-4][-.]ubyte|ubyte)(\.gz)?$|\.idx(\.gz)?$", re.IGNORECASE)
_HUB = re.compile(r"(hf://)?[\w.-]+/[\w.-]+(:[\w.-]+)?")
_METADATA = frozenset({"metadata.csv", "metadata.jsonl", "metadata.parquet"})


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

    def __call__(self, files: Sequence[File], root: Path, kinds: Mapping[str, type[Modality]]) -> Reader:
        """files: those that `reader_of` gave to this reader; root: what `File.path` is relative to;
        kinds: all modalities by name (what a file holds is theirs to say).

        Raises DataError only where nothing can go on (a package that must be installed: say which extra)."""
        ...


def suffix_of(path: str) -> str:
    """The ending in lower case with the dot ("" without one); `.gz` keeps what stands before it: ".tar.gz"."""
    # Plain string work: a path object for each of 200,000 files would take seconds.
    name = path[path.rfind("/") + 1 :].lower()
    dot = name.rfind(".")
    if dot <= 0 or dot == len(name) - 1:
        return ""
    if name[dot:] in _PACKED:
        inner = name.rfind(".", 1, dot)
        return name[inner:] if inner > 0 else name[dot:]
    return name[dot:]


def is_packed(path: str) -> bool:
    """Whether the file is compressed by itself, by its ending."""
    return path[path.rfind(".") :].lower() in _PACKED


def reader_of(path: str) -> str:
    """The module name under `anew.data` that reads this file: tables, archive, idx, else folders."""
    suffix = suffix_of(path)
    if suffix in _TABLES:
        return "tables"
    if suffix in _ARCHIVES:
        return "tar"
    if ("ubyte" in path or "idx" in path) and _IDX.search(path[path.rfind("/") + 1 :]):
        return "idx"
    return "folder"


def part_of(path: str) -> str | None:
    """The part that a relative path names: a folder `train/`, `val/`, `test/`, or a file stem that is or starts or ends
    with such a word (`test.txt`, `train-00000-of-00002.parquet`, `names_valid.csv`). None where nothing says so; a
    program `test.py` says nothing, nor does a folder `test` deep inside others."""
    folder, _, name = path.lower().rpartition("/")
    named = _part_of_folder(folder)
    if named is not None:
        return named
    if suffix_of(name) in _PROGRAMS:
        return None
    words = _WORD_ENDS.split(name)
    stem = words[:-1] if len(words) > 1 else words
    return _PART.get(stem[0], _PART.get(stem[-1]))


@functools.lru_cache(maxsize=4096)
def _part_of_folder(folder: str) -> str | None:
    return next((_PART[name] for name in folder.split("/")[:2] if name in _PART), None)


def label_of(path: str) -> str | None:
    """The class that a relative path names: its last folder that is no part; None at the top."""
    return _label_of_folder(path[: path.rfind("/") + 1])


@functools.lru_cache(maxsize=4096)
def _label_of_folder(folder: str) -> str | None:
    return next((name for name in reversed(folder.split("/")) if name and name.lower() not in _PART), None)


class Source:
    """All readers of one path. Listing opens no bodies beyond a bounded sample.

    path: as the user gave it; kinds, bytes: over all readers, see `Reader`.
    """

    def __init__(self, path: str, readers: Sequence[Reader], notes: Sequence[str] = ()) -> None:
        self.path = path
        self.readers = list(readers)
        self._notes = list(notes)
        self._home: dict[str, Reader] = {}
        self.kinds = _sum(reader.kinds for reader in readers)
        self.bytes = _sum(reader.bytes for reader in readers)

    @classmethod
    def open(
        cls, path: str | Path, kinds: Mapping[str, type[Modality]], once: bool = False, asked: str | None = None
    ) -> Source:
        """List a folder, a file or a hub name. once: it holds samples, and none of them counts twice (`once`). asked: the
        modality that the user says, see `Modality.folders`.

        Raises DataError where there is nothing to list."""
        text = os.fspath(path)
        place = Path(text).expanduser()
        try:
            there = place.exists()
        except OSError as error:
            raise DataError(f"{text!r} cannot be read ({error.strerror})") from None
        if there:
            return cls._open_files(text, place, kinds, once, asked)
        if "/" in text and Path(text.partition("/")[0] or "/").is_dir():  # a mistyped path; hf:// still reaches the hub
            near = next(parent for parent in place.parents if parent.is_dir())
            raise DataError(f"{text!r} does not exist in the folder {str(near)!r}; give a folder or a file")
        if _HUB.fullmatch(text) and not text.startswith((".", "~")):
            hub = importlib.import_module("anew.data.sources.hub")
            return cls(text, [hub.open_hub(text, kinds)])
        raise DataError(f"{text!r} does not exist; give a folder, a file, or a hub data set as owner/name")

    @classmethod
    def _open_files(
        cls, text: str, place: Path, kinds: Mapping[str, type[Modality]], once: bool, asked: str | None
    ) -> Source:
        root, files, hidden = list_files(place)
        if not files:
            some = f"; {hidden} hidden files are left out" if hidden else ""
            raise DataError(f"{text!r} holds no files{some}; give a folder with text, images, sound or clips")
        if not any(file.bytes for file in files):
            raise DataError(f"{text!r} is empty: every file in it has zero bytes")
        classes, files, notes = _metadata(root, files)
        by_reader: dict[str, list[File]] = {}
        for file in files:
            by_reader.setdefault(reader_of(file.path), []).append(file)
        readers: list[Reader] = []
        for name, own in sorted(by_reader.items()):
            if name == "folder":
                from anew.data.sources import folder

                readers.append(folder.open_reader(own, root, kinds, classes, once, asked))
            else:
                readers.append(importlib.import_module(f"anew.data.sources.{name}").open_reader(own, root, kinds))
        return cls(text, readers, notes)

    @property
    def notes(self) -> list[str]:
        """Sentences of all readers."""
        return [*self._notes, *(note for reader in self.readers for note in reader.notes)]

    @property
    def refusals(self) -> list[Refusal]:
        """What could not be listed."""
        return [refusal for reader in self.readers for refusal in reader.refusals]

    def blocks(self, kind: str) -> list[Block]:
        """The blocks of all readers that hold this modality."""
        found: list[Block] = []
        for reader in self.readers:
            if reader.kinds.get(kind):
                own = reader.blocks(kind)
                self._home.update((block.name, reader) for block in own)
                found.extend(own)
        return found

    def labels(self, kind: str) -> tuple[str, ...] | None:
        """Class names where the listing knows them; None where only reading tells."""
        sets = [reader.labels for reader in self.readers if reader.kinds.get(kind)]
        if any(labels is None for labels in sets):
            return None
        return tuple(sorted({label for labels in sets if labels for label in labels}))

    def read(self, block: Block) -> Iterator[Item | Refusal]:
        """The items of one block."""
        return self._home[block.name].read(block)


def list_files(place: Path) -> tuple[Path, list[File], int]:
    """(root, every file below it in the order of paths, number of hidden ones left out). Follows links, but no loops."""
    if place.is_file():
        info = _checked(place, os.stat)
        return place.parent, [File(place.name, info.st_size, info.st_mtime_ns)], 0
    files: list[File] = []
    hidden = 0
    seen: set[tuple[int, int]] = set()
    todo = [""]
    while todo:
        folder = todo.pop()
        info = _checked(place / folder, os.stat)
        if (info.st_dev, info.st_ino) in seen:
            continue
        seen.add((info.st_dev, info.st_ino))
        with _checked(place / folder, os.scandir) as entries:
            here = list(entries)
        shown = [entry for entry in here if not entry.name.startswith(".") and entry.name != "__pycache__"]
        hidden += len(here) - len(shown)
        todo += [f"{folder}{entry.name}/" for entry in shown if entry.is_dir()]
        for entry in shown:
            if entry.is_file():
                stat = entry.stat()
                files.append(File(folder + entry.name, stat.st_size, stat.st_mtime_ns))
    files.sort()
    return place, files, hidden


def _checked(place: Path, call: Callable[[Path], Any]) -> Any:
    try:
        return call(place)
    except OSError as error:
        raise DataError(f"{str(place)!r} cannot be read ({error.strerror}); check its permissions") from None


def _metadata(root: Path, files: list[File]) -> tuple[dict[str, str | None], list[File], list[str]]:
    """Class by path from every `metadata.csv|jsonl|parquet` and every other small table that names image files beside it
    (`labels.csv`), the files without these tables, and a note where they name files that are not there."""
    listed = [f for f in files if suffix_of(f.path) in _TABLES]
    if not listed or len(listed) == len(files):
        return {}, files, []
    from anew.data.sources import tables

    plain = [f for f in listed if suffix_of(f.path) != ".parquet" and f.bytes <= NAMING_BYTES][:SAMPLE]
    described = {f for f in listed if PurePosixPath(f.path).name.lower() in _METADATA}
    described |= {f for f in plain if f not in described and tables.names_files(root / f.path)}
    classes: dict[str, str | None] = {}
    for file in sorted(described):
        folder = PurePosixPath(file.path).parent
        for name, label in tables.metadata(root / file.path).items():
            classes[posixpath.normpath(folder / name)] = label
    left = [f for f in files if f not in described]
    missing = sorted(classes.keys() - {f.path for f in left})
    if classes:  # a folder of described files is no class of those that are not described
        classes = {**{f.path: None for f in left}, **classes}
    return classes, left, [_missing(missing, described)] if missing else []


def _missing(names: Sequence[str], tables: Iterable[File]) -> str:
    """A note on the files that tables name and the folder does not hold; what lies outside it is never looked at."""
    where = " and ".join(sorted(f.path for f in tables)[:3])
    outside = sum(name.startswith(("../", "/")) for name in names)
    lie = f", {outside} of them outside the folder" if outside else ""
    return f"{len(names)} files that {where} names are not in the folder and left out{lie}; the first is {names[0]!r}"


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    out: dict[str, int] = {}
    for one in counts:
        for name, n in one.items():
            out[name] = out.get(name, 0) + n
    return out
