"""Reads folders and single files: image files in shuffled blocks, text files whole or as spans of large ones."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from anew.data.modality import Item, Refusal
from anew.data.source import BLOCK_BYTES, BLOCK_ITEMS, WHOLE_BYTES, Block, File, label_of, part_of, suffix_of

SNIFFED = 16  # files of one unknown ending that are opened to see what they are
SNIFFED_BARE = 256  # files without an ending that are each opened
HEAD = 4096
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_UTF16 = {b"\xff\xfe": b"\n\x00", b"\xfe\xff": b"\x00\n"}


def open_reader(
    files: Sequence[File],
    root: Path,
    suffixes: Mapping[str, str],
    classes: Mapping[str, str | None] | None = None,
) -> FolderReader:
    """classes: label by path, from metadata files; a path that is not in it has the label of its folder."""
    return FolderReader(files, root, suffixes, classes or {})


class FolderReader:
    """One item a file. See `source.Reader`."""

    def __init__(
        self, files: Sequence[File], root: Path, suffixes: Mapping[str, str], classes: Mapping[str, str | None]
    ) -> None:
        self._root = root
        self._classes = classes
        self._files: dict[str, list[File]] = {}
        self.labels: tuple[str, ...] | None = ()
        self.notes: list[str] = []
        self.refusals: list[Refusal] = []
        unknown: dict[str, list[File]] = {}
        for file in files:
            suffix = suffix_of(file.path)
            kind = suffixes.get(suffix)
            (self._files if kind else unknown).setdefault(kind or suffix, []).append(file)
        known = set(suffixes.values())
        for suffix, own in unknown.items():
            alone = not suffix and len(own) <= SNIFFED_BARE  # files without an ending have nothing else in common
            for some in [[file] for file in own] if alone else [own]:
                self._files.setdefault(self._sniff(some, known) or suffix or "no suffix", []).extend(some)
        for own in self._files.values():
            own.sort()
        self.kinds: Mapping[str, int] = {kind: len(own) for kind, own in self._files.items()}
        self.bytes: Mapping[str, int] = {kind: sum(f.bytes for f in own) for kind, own in self._files.items()}

    def _sniff(self, files: Sequence[File], kinds: set[str]) -> str | None:
        """What most of the files with an unknown ending hold, by the heads of a few."""
        seen: Counter[str | None] = Counter()
        for file in files[:: max(1, len(files) // SNIFFED)][:SNIFFED]:
            try:
                with open(self._root / file.path, "rb") as stream:
                    seen[_kind_of(stream.read(HEAD))] += 1
            except OSError as error:
                self.refusals.append(Refusal(file.path, f"cannot be read ({error.strerror})"))
        kind = seen.most_common(1)[0][0] if seen else None
        return kind if kind in kinds else None

    def blocks(self, kind: str) -> list[Block]:
        files = [f for f in self._files[kind] if f.bytes]
        self.refusals += [Refusal(f.path, "is empty") for f in self._files[kind] if not f.bytes]
        self.labels = tuple(sorted({label for f in files if (label := self._label(f.path)) is not None}))
        if kind != "text":
            return _chunked(sorted(files, key=_shuffled), BLOCK_ITEMS, None)
        if sum(f.bytes for f in files) <= WHOLE_BYTES:
            return _chunked(files, BLOCK_ITEMS, BLOCK_BYTES)
        small = [f for f in files if f.bytes <= 2 * BLOCK_BYTES]
        large = [f for f in files if f.bytes > 2 * BLOCK_BYTES]
        return _chunked(sorted(small, key=_shuffled), BLOCK_ITEMS, BLOCK_BYTES) + [b for f in large for b in _spans(f)]

    def _label(self, path: str) -> str | None:
        return self._classes[path] if path in self._classes else label_of(path)

    def read(self, block: Block) -> Iterator[Item | Refusal]:
        if isinstance(block.where[0], str):
            for path in block.where:
                yield self._read_one(path)
            return
        path, start, stop = block.where[0]
        try:
            data, last = _read_span(self._root / path, start, stop)
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


def _kind_of(head: bytes) -> str | None:
    if head.startswith(_MAGIC) or head[8:12] == b"WEBP":
        return "image"
    if head[:2] in _UTF16:
        return "text"
    if not head.strip() or 0 in head:
        return None
    controls = sum(byte < 9 or 13 < byte < 27 for byte in head)
    return "text" if controls <= len(head) / 200 else None


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


def _spans(file: File) -> list[Block]:
    """A large text file in spans of about BLOCK_BYTES; `_read_span` moves their bounds to line starts."""
    n = max(1, round(file.bytes / BLOCK_BYTES))
    bounds = [file.bytes * i // n for i in range(n + 1)]
    part = part_of(file.path)
    return [
        Block(
            f"{file.path}@{start}-{stop}",
            1,
            stop - start,
            ((file.path, start, stop),),
            part,
            file.stamp,
            continues=start > 0,
        )
        for start, stop in itertools.pairwise(bounds)
    ]


def _read_span(path: Path, start: int, stop: int) -> tuple[bytes, bool]:
    """(bytes from the first line start at or after `start` to the one at or after `stop`, whether the file ends there)."""
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        mark = stream.read(2)
        line_end = _UTF16.get(mark, b"\n")
        low, high = (_line_start(stream, at, size, line_end) for at in (start, stop))
        stream.seek(low)
        data = stream.read(high - low)
    return (mark + data if data and low > 0 and mark in _UTF16 else data), high >= size


def _line_start(stream: object, at: int, size: int, line_end: bytes) -> int:
    """The first line start at or after `at`; where no line ends within 64 KB, the next start of a character."""
    if at <= 0 or at >= size:
        return max(min(at, size), 0)
    width = len(line_end)
    base = (at - 1) // width * width
    stream.seek(base)  # type: ignore[attr-defined]
    data: bytes = stream.read(65536)  # type: ignore[attr-defined]
    found = data.find(line_end)
    while found >= 0 and found % width:
        found = data.find(line_end, found + 1)
    if found >= 0:
        return base + found + width
    skip = 1
    while width == 1 and skip < len(data) and data[skip] & 0xC0 == 0x80:
        skip += 1
    return base + (skip if width == 1 else width)
