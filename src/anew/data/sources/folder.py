"""Reads folders and single files.

Shards hold shuffled whole files, spans of large text files, or slices of files that are read as streams."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import itertools
import os
import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, NamedTuple, cast, overload

import numpy as np
from numpy.typing import NDArray

from anew.core.files import clause
from anew.core.stores.text_column import chunked
from anew.core.wording import listed
from anew.data import limits
from anew.data.file_names import Parts, is_packed, may_name_parts, numbered_parts, part_of
from anew.data.formats import by_range
from anew.data.formats.by_range import Range
from anew.data.formats.file_bytes import read_whole, too_large
from anew.data.formats.text.encoding_recognition import find_break, sample_file
from anew.data.formats.text.text_encoding import is_unicode
from anew.data.limits import WHOLE_BYTES, WHOLE_ITEMS
from anew.data.modality import Modality
from anew.data.sources.base import PARTS, SHARD_BYTES, SHARD_ITEMS, Shard, members_digest
from anew.data.sources.file_classes import FileClasses
from anew.data.sources.file_modalities import sort_files
from anew.data.sources.json_arrays import json_array_notes
from anew.data.sources.listing import File, FileTable
from anew.data.sources.sample_files import drop_duplicate_formats
from anew.data.types import FileSlice, Item, SkippedItem

CHUNK_BYTES = 1 << 20  # bytes searched at a time, which bounds memory
PART_BYTES = 8 * 1024 * 1024  # bytes of one slice of a large file: some minutes of sound
MAX_LINE_SEARCH = 1 << 16  # bytes that are searched for the end of a line of a large file; a longer line is cut
MAX_NAMED_FOLDERS = 3  # folders that a sentence names
HASHED_PATHS = 4096  # whose hashes are joined at once; chosen
_UTF16 = {b"\xff\xfe": b"\n\x00", b"\xfe\xff": b"\x00\n"}


class RecordStarts:
    """Searches one file forwards for the next record. Searched ranges are remembered, so that all searches together read the
    file only once, however long its records are. Thread-safe."""

    def __init__(self) -> None:
        self._gaps: list[tuple[int, int]] = []  # (at, start): no record begins in [at, start); disjoint, in order
        self._lock = threading.Lock()

    def after(self, stream: IO[bytes], at: int, size: int, line_end: bytes, record: bytes) -> int:
        """The first place at or after `at` where a line begins with `record`; the size of the file if there is none."""
        with self._lock:
            index = bisect_right(self._gaps, (at, size + 1))
            if index and self._gaps[index - 1][1] >= at:
                return self._gaps[index - 1][1]
            gap = self._gaps[index] if index < len(self._gaps) else None
            start = _search(stream, at, size if gap is None else gap[0], line_end, record)
            if start is None:
                start = size if gap is None else gap[1]
                del self._gaps[index : index + 1]
            self._gaps.insert(index, (at, start))
            return start


def _search(stream: IO[bytes], at: int, stop: int, line_end: bytes, record: bytes) -> int | None:
    """The first record that begins in [at, stop]."""
    width, mark = len(line_end), line_end + record
    position = (at - 1) // width * width
    stream.seek(position)
    tail = b""
    while position <= stop and (more := stream.read(CHUNK_BYTES)):
        data, origin = tail + more, position - len(tail)
        index = data.find(mark)
        while index >= 0 and (origin + index) % width:
            index = data.find(mark, index + 1)
        if index >= 0:
            start = origin + index + width
            return start if start <= stop else None
        tail = data[-(len(mark) - 1) :]
        position += len(more)
    return None


def open_reader(
    files: Sequence[File],
    root: Path,
    modalities: Mapping[str, type[Modality]],
    classes: Mapping[str, str | None] | None = None,
    are_samples: bool = False,
    requested: str | None = None,
) -> FolderReader:
    """classes: label by path, from metadata files; a path that is not in it has the label of its folder. once, requested: see
    `Source.open`."""
    return FolderReader(files, root, modalities, classes or {}, are_samples, requested)


class _FileSpan(NamedTuple):
    """Bytes of a large text file. record: bytes at the start of a line where a record begins; empty: any line."""

    path: str
    start: int
    stop: int
    record: bytes


class _FilePart(NamedTuple):
    """Part `number` of `of` equal parts of a file."""

    path: str
    number: int
    of: int


class _Files(Sequence[str]):
    """Whole files of a shard, by their paths.

    Attributes:
        table: The files.
        are_streamed: Whether they are read as slices.
    """

    def __init__(self, table: FileTable, are_streamed: bool) -> None:
        self.table, self.are_streamed = table, are_streamed

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table.paths)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self.table.paths[index]


_Location = _Files | _FilePart | _FileSpan  # the content of a shard


class FolderReader:
    """One item a file, or several of a large one. See `source.Reader`."""

    def __init__(
        self,
        files: Sequence[File],
        root: Path,
        modalities: Mapping[str, type[Modality]],
        classes: Mapping[str, str | None],
        are_samples: bool,
        requested: str | None,
    ) -> None:
        self._root = root
        self._owners = modalities
        self._classes = classes
        self._starts: defaultdict[str, RecordStarts] = defaultdict(RecordStarts)
        self._labels = FileClasses([], Parts([]), classes)  # those of the files that were asked for last
        self._samples: dict[str, bytes] = {}  # samples of large text files, see `Item.sample`
        self.labels: tuple[str, ...] | None = ()
        sorted_files = sort_files(files, root, modalities, requested)
        self._files = sorted_files.files
        self.notes: list[str] = sorted_files.notes
        self.left_out_notes: list[str] = []  # see `SampleReader`
        self.refusals: list[SkippedItem] = sorted_files.refusals
        if are_samples:
            for name in self._files.keys() & modalities.keys():
                remaining, notes = drop_duplicate_formats(
                    self._files[name], modalities[name], FileTable.of(files).paths
                )
                self._files[name] = FileTable.of(remaining)
                self.left_out_notes += notes
            self.notes = [*self.notes, *self.left_out_notes]
        for name in [name for name in self._files if name in modalities]:
            own = self._files[name]
            self.refusals += [SkippedItem(path, "it is empty") for path in own.where(own.sizes == 0).paths]
            self._files[name] = own.where(own.sizes != 0)
        self.counts: Mapping[str, int] = {name: len(of_modality) for name, of_modality in self._files.items()}
        self.bytes: Mapping[str, int] = {
            name: int(of_modality.sizes.sum()) for name, of_modality in self._files.items()
        }

    def shards(self, modality: str) -> list[Shard]:
        return [replace(shard, members=self._classes_in(shard)) for shard in self._shards(modality)]

    def paths(self, modality: str) -> Sequence[str]:
        """Paths of the files of a modality."""
        return self._files[modality].paths if modality in self._files else ()

    def _classes_in(self, shard: Shard) -> str:
        """`Shard.members`: the classes, since the name of a shard depends on names and sizes already."""
        place = cast(_Location, shard.where)
        return members_digest(self._labels.labels(place.table.paths if isinstance(place, _Files) else [place.path]))

    def _shards(self, modality: str) -> list[Shard]:
        files = self._files[modality]
        owner = self._owners[modality]
        if not owner.traits.is_text:  # each is read whole, or decoded from end to end
            max_bytes = owner.traits.max_file_bytes or (limits.FILE_BYTES if not owner.traits.reads_file_slices else 0)
            too_many = files.where(files.sizes > max_bytes) if max_bytes else FileTable.of([])
            self.refusals += [SkippedItem(f.path, too_large(f.bytes, max_bytes)) for f in too_many]
            files = files.where(files.sizes <= max_bytes) if max_bytes else files
        parts = Parts(files.paths)
        may_be_words = owner.traits.labels_from_filenames
        self._labels = FileClasses(files.paths, parts, self._classes, may_be_words=may_be_words)
        self.notes += _undivided_note(files.paths, parts) + self._labels.notes
        self.labels = self._labels.different(files.paths)
        if owner.traits.reads_file_slices:
            small, large = files.where(files.sizes <= 2 * PART_BYTES), files.where(files.sizes > 2 * PART_BYTES)
            slices = [shard for file in large for shard in _file_parts(file, parts.part(file.path))]
            return _chunk(small, _shuffled(small), parts, SHARD_ITEMS, None, streamed=True) + slices
        if not owner.traits.is_text:
            return _chunk(files, _shuffled(files), parts, SHARD_ITEMS, None)
        self.notes += json_array_notes(files.paths, self._root)
        if files.sizes.sum() <= WHOLE_BYTES and len(files) <= WHOLE_ITEMS:
            return _chunk(files, np.arange(len(files)), parts, SHARD_ITEMS, SHARD_BYTES)
        is_large = files.sizes > 2 * SHARD_BYTES
        is_large[is_large] = [not is_packed(path) for path in files.where(is_large).paths]
        small, large = files.where(~is_large), files.where(is_large)
        return [
            *_chunk(small, _shuffled(small), parts, SHARD_ITEMS, SHARD_BYTES),
            *(shard for file in large for shard in _spans(file, parts.part(file.path), owner.traits.record_start)),
        ]

    def ranges(self, shard: Shard) -> list[Range]:
        place = cast(_Location, shard.where)
        if isinstance(place, _FileSpan):
            return [Range(self._root / place.path, place.start, place.stop)]
        # Strings: path objects of a million files take half a minute.
        start = f"{self._root}{os.sep}"
        if isinstance(place, _FilePart):
            return _part_ranges(start + place.path, place.number, place.of)
        if place.are_streamed:
            return [entry for path in place for entry in _part_ranges(start + path, 0, 1)]
        return [Range(start + path) for path in place]

    def read(self, shard: Shard) -> Iterator[Item | SkippedItem]:
        place = cast(_Location, shard.where)
        if isinstance(place, _FilePart):
            yield self._file_slice(place)
            return
        if isinstance(place, _Files):
            for path in place:
                yield self._file_slice(_FilePart(path, 0, 1)) if place.are_streamed else self._read_one(path)
            return
        path, start, stop, record = place
        try:
            data, last = _read_span(self._root / path, start, stop, record, self._starts[path])
            sample = None if is_unicode(data) else self._sample_of(path)
        except OSError as error:
            yield SkippedItem(path, f"it cannot be read ({clause(error)})")
            return
        except ValueError as error:
            yield SkippedItem(path, str(error))
            return
        if data:
            yield Item(path, data, self._labels.label(path), begins=start == 0, ends=last, sample=sample)

    def _sample_of(self, path: str) -> bytes:
        """Lines beyond ASCII from all over a file. Raises OSError."""
        if path not in self._samples:
            self._samples[path] = sample_file(self._root / path)
        return self._samples[path]

    def _file_slice(self, part: _FilePart) -> Item | SkippedItem:
        file_slice = FileSlice(self._root / part.path, part.number, part.of)
        try:
            file_slice.path.stat()
        except OSError as error:
            return SkippedItem(part.path, f"it cannot be read ({clause(error)})")
        return Item(
            part.path,
            file_slice,
            self._labels.label(part.path),
            begins=part.number == 0,
            ends=part.number == part.of - 1,
        )

    def _read_one(self, path: str) -> Item | SkippedItem:
        try:
            return Item(path, read_whole(f"{self._root}/{path}"), self._labels.label(path))
        except OSError as error:
            return SkippedItem(path, f"it cannot be read ({clause(error)})")
        except ValueError as error:
            return SkippedItem(path, str(error))


def _part_ranges(path: str, number: int, of: int) -> list[Range]:
    """The bytes of a file, or files of a folder of numbered frames, that belong to one of its equal parts."""
    with contextlib.suppress(OSError):  # it vanished, and will be refused when it is read
        if os.path.isdir(path):
            frames = sorted(entry.path for entry in os.scandir(path) if entry.is_file())
            return [Range(frame) for frame in frames[len(frames) * number // of : len(frames) * (number + 1) // of]]
        size = os.path.getsize(path) if of > 1 else 0
        return [Range(path, size * number // of, size * (number + 1) // of) if of > 1 else Range(path)]
    return []


def _undivided_note(paths: Sequence[str], parts: Parts) -> list[str]:
    """A sentence on folders that have the name of a part and are none."""
    folders = {path.rpartition("/")[0] for path in may_name_parts(paths) if "/" in path and parts.part(path) is None}
    names = sorted(folder for folder in folders if part_of(f"{folder}/_") is not None)
    if not names:
        return []
    verb = "folder {} is" if len(names) == 1 else "folders {} are"
    return [
        f"The {verb.format(listed([repr(name) for name in names[:MAX_NAMED_FOLDERS]]))} read like the other files, not as held-out data: "
        "that takes a folder named train, too."
    ]


def _shuffled(files: FileTable) -> NDArray[np.int64]:
    """Numbers of the files in the order of hashes of their paths. Files of one class lie together in a listing, and each shard must
    be a fair mix, since a short budget reads only some shards."""
    digest, hashes, remaining = hashlib.blake2b, bytearray(), iter(files.paths)
    while paths := list(itertools.islice(remaining, HASHED_PATHS)):
        hashes += b"".join([digest(p.encode("utf-8", "surrogateescape"), digest_size=8).digest() for p in paths])
    return np.argsort(np.frombuffer(hashes, dtype=">u8"), kind="stable")


def _chunk(
    files: FileTable,
    order: NDArray[np.int64],
    parts: Parts,
    max_items: int,
    max_bytes: int | None,
    streamed: bool = False,
) -> list[Shard]:
    """Shards of whole files, each from one part of the data. order: of the files, by number; streamed: whether files are read as
    slices."""
    in_order = files.take(order)
    shards: list[Shard] = []
    for part, numbers in _by_part(files.paths, parts, order).items():
        of_part = in_order if part is None and len(numbers) == len(order) else files.take(numbers)
        for first, stop in _bounds(of_part.sizes, max_items, max_bytes):
            shards.append(_shard(of_part.take(np.arange(first, min(stop, len(of_part)))), part, streamed))
    return shards


def _by_part(paths: Sequence[str], parts: Parts, order: NDArray[np.int64]) -> dict[str | None, NDArray[np.int64]]:
    """The numbers of the files of each part, in this order."""
    codes = np.zeros(len(paths), dtype=np.uint8)  # 0 for no part
    for number, path in numbered_parts(paths):
        part = parts.part(path)
        codes[number] = 0 if part is None else 1 + PARTS.index(part)
    in_order = codes[order]
    names = sorted(np.unique(in_order).tolist(), key=lambda code: PARTS[code - 1] if code else "")
    return {PARTS[code - 1] if code else None: order[in_order == code] for code in names}


def _bounds(sizes: NDArray[np.int64], max_items: int, max_bytes: int | None) -> Iterator[tuple[int, int]]:
    """The first file of each shard, and the one after its last. sizes: bytes of the files, in order."""
    if max_bytes is None:
        yield from ((first, first + max_items) for first in range(0, len(sizes), max_items))
        return
    first = total = 0
    for place, size in enumerate(chunked(sizes)):
        if place > first and (place - first == max_items or total + size > max_bytes):
            yield first, place
            first, total = place, 0
        total += size
    if len(sizes):
        yield first, len(sizes)


def _shard(files: FileTable, part: str | None, streamed: bool) -> Shard:
    paths, sizes, stamps = list(files.paths), files.sizes.tolist(), files.stamps.tolist()
    names = "\0".join([f"{path}\0{size}" for path, size in zip(paths, sizes, strict=True)])
    digest = hashlib.blake2b(names.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    name = f"{paths[0]}+{len(paths) - 1}#{digest}"
    return Shard(name, len(paths), sum(sizes), _Files(files, streamed), part, max(stamps))


def _file_parts(file: File, part: str | None) -> list[Shard]:
    """A large file in equal parts of about PART_BYTES."""
    of = max(2, round(file.bytes / PART_BYTES))
    return [
        Shard(
            f"{file.path}@{number}/{of}",
            1,
            file.bytes // of,
            _FilePart(file.path, number, of),
            part,
            file.stamp,
            exact=False,
            continues=number > 0,
        )
        for number in range(of)
    ]


def _spans(file: File, part: str | None, record: bytes) -> list[Shard]:
    """A large text file in spans of about SHARD_BYTES; `_read_span` moves their bounds to where lines or records start."""
    n = max(1, round(file.bytes / SHARD_BYTES))
    bounds = [file.bytes * i // n for i in range(n + 1)]
    return [
        Shard(
            f"{file.path}@{start}-{stop}",
            1,
            stop - start,
            _FileSpan(file.path, start, stop, record),
            part,
            file.stamp,
            continues=start > 0,
        )
        for start, stop in itertools.pairwise(bounds)
    ]


def _read_span(path: Path, start: int, stop: int, record: bytes, starts: RecordStarts) -> tuple[bytes, bool]:
    """(bytes from the first line start at or after `start` to the one at or after `stop`, whether the file ends there).

    record: what such a line must begin with; starts: where such lines were found. Raises ValueError (one clause) if a record
    is too long."""
    with by_range.open_file(path, stop) as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        mark = stream.read(2)
        line_end = _UTF16.get(mark, b"\n")

        def bound(at: int) -> int:
            if at <= 0 or at >= size:
                return max(min(at, size), 0)
            return starts.after(stream, at, size, line_end, record) if record else _line_start(stream, at, line_end)

        low, high = bound(start), bound(stop)
        if high - low > limits.FASTA_RECORD_BYTES:
            raise ValueError(f"it holds a record of more than {limits.size(limits.FASTA_RECORD_BYTES)}; split it")
        stream.seek(low)
        data = stream.read(high - low)
    return (mark + data if data and low > 0 and mark in _UTF16 else data), high >= size


def _line_start(stream: IO[bytes], at: int, line_end: bytes) -> int:
    """The first line start at or after `at`; if there is none within MAX_LINE_SEARCH, the next start of a character."""
    width = len(line_end)
    base = (at - 1) // width * width
    stream.seek(base)
    data = stream.read(MAX_LINE_SEARCH)
    index = data.find(line_end)
    while index >= 0 and index % width:
        index = data.find(line_end, index + 1)
    if index >= 0:
        return base + index + width
    if width > 1:
        return base + width
    skip = 1
    while skip < len(data) and data[skip] & 0xC0 == 0x80:
        skip += 1
    if _is_utf8_from(data[skip:]):
        return base + skip
    return base + (find_break(data) or skip)


def _is_utf8_from(data: bytes) -> bool:
    """Whether bytes are UTF-8; the last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True
