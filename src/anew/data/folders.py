"""Reads folders and single files: image files in shuffled blocks, text files whole or as spans of large ones."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from anew.data.modality import SURE, Item, Modality, Refusal
from anew.data.source import BLOCK_BYTES, BLOCK_ITEMS, WHOLE_BYTES, Block, File, is_packed, label_of, part_of, suffix_of

SNIFFED = 16  # files of one ending that are opened to see what they are
SNIFFED_EACH = 256  # files without an ending, or of one that seems to hold several kinds, that are each opened
HEAD = 4096
_UTF16 = {b"\xff\xfe": b"\n\x00", b"\xfe\xff": b"\x00\n"}


def open_reader(
    files: Sequence[File],
    root: Path,
    kinds: Mapping[str, type[Modality]],
    classes: Mapping[str, str | None] | None = None,
) -> FolderReader:
    """classes: label by path, from metadata files; a path that is not in it has the label of its folder."""
    return FolderReader(files, root, kinds, classes or {})


class FolderReader:
    """One item a file. See `source.Reader`."""

    def __init__(
        self,
        files: Sequence[File],
        root: Path,
        kinds: Mapping[str, type[Modality]],
        classes: Mapping[str, str | None],
    ) -> None:
        self._root = root
        self._kinds = kinds
        self._classes = classes
        self._files: dict[str, list[File]] = {}
        self.labels: tuple[str, ...] | None = ()
        self.notes: list[str] = []
        self.refusals: list[Refusal] = []
        by_suffix: dict[str, list[File]] = {}
        for file in files:
            by_suffix.setdefault(suffix_of(file.path), []).append(file)
        owners = {suffix: name for name, owner in kinds.items() for suffix in owner.suffixes}
        for suffix, own in by_suffix.items():
            self._sort(suffix, own, owners.get(suffix))
        for own in self._files.values():
            own.sort()
        self.kinds: Mapping[str, int] = {kind: len(own) for kind, own in self._files.items()}
        self.bytes: Mapping[str, int] = {kind: sum(f.bytes for f in own) for kind, own in self._files.items()}

    def _sort(self, suffix: str, files: list[File], owner: str | None) -> None:
        """Give the files of one ending to the kinds that they hold: its owner's, unless their content says otherwise."""
        some = files[:: max(1, len(files) // SNIFFED)][:SNIFFED]
        found = Counter(self._sniff(file, owner) for file in some)
        mixed = len(found) > 1 or not suffix  # files without an ending have nothing else in common
        if mixed and len(files) <= SNIFFED_EACH:
            by_kind: dict[str | None, list[File]] = {}
            for file in files:
                by_kind.setdefault(self._sniff(file, owner), []).append(file)
        else:
            by_kind = {found.most_common(1)[0][0]: files}
        for kind, own in by_kind.items():
            self._files.setdefault(kind or owner or suffix or "no suffix", []).extend(own)
            if kind is not None and kind != owner and suffix:
                what = f"{own[0].path} holds" if len(own) == 1 else f"{len(own)} {suffix} files hold"
                self.notes.append(f"{what} {kind} by content, whatever the ending says")

    def _sniff(self, file: File, owner: str | None) -> str | None:
        """The kind that the head of a file shows; None where nothing speaks against its owner, or for any kind."""
        try:
            with open(self._root / file.path, "rb") as stream:
                head = stream.read(HEAD)
        except OSError as error:
            if owner is None:  # else reading it will say so
                self.refusals.append(Refusal(file.path, f"cannot be read ({error.strerror})"))
            return None
        claims = {name: kind.claims(head) for name, kind in self._kinds.items()}
        kind = max(claims, key=claims.__getitem__, default=None)
        if kind is None or claims[kind] <= (claims[owner] if owner else 0.0):
            return None
        return kind if owner is None or claims[kind] >= SURE else None

    def blocks(self, kind: str) -> list[Block]:
        files = [f for f in self._files[kind] if f.bytes]
        self.refusals += [Refusal(f.path, "is empty") for f in self._files[kind] if not f.bytes]
        self.labels = tuple(sorted({label for f in files if (label := self._label(f.path)) is not None}))
        if not self._kinds[kind].textual:
            return _chunked(sorted(files, key=_shuffled), BLOCK_ITEMS, None)
        if sum(f.bytes for f in files) <= WHOLE_BYTES:
            return _chunked(files, BLOCK_ITEMS, BLOCK_BYTES)
        large = [f for f in files if f.bytes > 2 * BLOCK_BYTES and not is_packed(f.path)]
        small = [f for f in files if f not in set(large)]
        record = self._kinds[kind].record
        return [
            *_chunked(sorted(small, key=_shuffled), BLOCK_ITEMS, BLOCK_BYTES),
            *(block for file in large for block in _spans(file, record)),
        ]

    def _label(self, path: str) -> str | None:
        return self._classes[path] if path in self._classes else label_of(path)

    def read(self, block: Block) -> Iterator[Item | Refusal]:
        if isinstance(block.where[0], str):
            for path in block.where:
                yield self._read_one(path)
            return
        path, start, stop, record = block.where[0]
        try:
            data, last = _read_span(self._root / path, start, stop, record)
        except OSError as error:
            yield Refusal(path, f"cannot be read ({error.strerror})")
            return
        if data:
            yield Item(path, data, self._label(path), begins=start == 0, ends=last)

    def _read_one(self, path: str) -> Item | Refusal:
        try:
            return Item(path, (self._root / path).read_bytes(), self._label(path))
        except OSError as error:
            return Refusal(path, f"cannot be read ({error.strerror})")


def _shuffled(file: File) -> bytes:
    # Files of one class lie together; blocks must each be a fair mix, since a short budget reads only some.
    return hashlib.blake2b(file.path.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _chunked(files: Sequence[File], most: int, most_bytes: int | None) -> list[Block]:
    """Blocks of whole files, one part each."""
    by_part: dict[str | None, list[File]] = {}
    for file in files:
        by_part.setdefault(part_of(file.path), []).append(file)
    blocks: list[Block] = []
    for part, own in sorted(by_part.items(), key=lambda pair: pair[0] or ""):
        chunk: list[File] = []
        size = 0
        for file in own:
            if chunk and (len(chunk) == most or (most_bytes is not None and size + file.bytes > most_bytes)):
                blocks.append(_block(chunk, part))
                chunk, size = [], 0
            chunk.append(file)
            size += file.bytes
        if chunk:
            blocks.append(_block(chunk, part))
    return blocks


def _block(files: Sequence[File], part: str | None) -> Block:
    names = "\0".join(f"{f.path}\0{f.bytes}" for f in files)
    digest = hashlib.blake2b(names.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    name = f"{files[0].path}+{len(files) - 1}#{digest}"
    size, stamp = sum(f.bytes for f in files), max(f.stamp for f in files)
    return Block(name, len(files), size, tuple(f.path for f in files), part, stamp)


def _spans(file: File, record: bytes) -> list[Block]:
    """A large text file in spans of about BLOCK_BYTES; `_read_span` moves their bounds to where lines or records start."""
    n = max(1, round(file.bytes / BLOCK_BYTES))
    bounds = [file.bytes * i // n for i in range(n + 1)]
    part = part_of(file.path)
    return [
        Block(
            f"{file.path}@{start}-{stop}",
            1,
            stop - start,
            ((file.path, start, stop, record),),
            part,
            file.stamp,
            continues=start > 0,
        )
        for start, stop in itertools.pairwise(bounds)
    ]


def _read_span(path: Path, start: int, stop: int, record: bytes) -> tuple[bytes, bool]:
    """(bytes from the first line start at or after `start` to the one at or after `stop`, whether the file ends there).

    record: what such a line must begin with."""
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        mark = stream.read(2)
        line_end = _UTF16.get(mark, b"\n")
        reach = 1 << 30 if record else 65536
        low, high = (_line_start(stream, at, size, line_end, record, reach) for at in (start, stop))
        stream.seek(low)
        data = stream.read(high - low)
    return (mark + data if data and low > 0 and mark in _UTF16 else data), high >= size


def _line_start(stream: IO[bytes], at: int, size: int, line_end: bytes, record: bytes, reach: int) -> int:
    """The first line (or record) start at or after `at`; where none comes within `reach`, the next start of a character."""
    if at <= 0 or at >= size:
        return max(min(at, size), 0)
    width = len(line_end)
    base = (at - 1) // width * width
    stream.seek(base)
    data = b""
    while len(data) < reach and (more := stream.read(65536)):
        searched = max(len(data) - width - len(record), 0) // width * width
        data += more
        found = data.find(line_end + record, searched)
        while found >= 0 and found % width:
            found = data.find(line_end + record, found + 1)
        if found >= 0:
            return base + found + width
    if record:
        return size
    skip = 1
    while width == 1 and skip < len(data) and data[skip] & 0xC0 == 0x80:
        skip += 1
    return base + (skip if width == 1 else width)
