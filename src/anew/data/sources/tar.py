"""Tar archives as WebDataset writes them: members that share a stem are one sample.

They are read in place: nothing is extracted, no name becomes a path, and only harmless kinds of members are opened (no pickle,
no code)."""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from anew.core.files import clause
from anew.data import limits
from anew.data.file_names import label_of, part_of, parts_of, shared_folder
from anew.data.formats import by_range, gzip_files
from anew.data.formats.by_range import Range
from anew.data.modality import Modality
from anew.data.sources.base import SHARD_BYTES, SHARD_ITEMS, Shard, members_digest
from anew.data.sources.columns import LABEL, TEXT, label_name
from anew.data.sources.listing import File
from anew.data.types import Item, SkippedItem

TEXT_ENDINGS = frozenset({".txt", ".json", ".cls"})  # members that hold a text, or describe the member next to them
MAX_LABELLED = 200_000  # samples whose classes are read while listing, at most; bounds its time
_RECORD = 512  # bytes of a record of the format
_END = b"\0" * _RECORD
# A number without a sign: a member of negative size would lead back to its own record
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_MAX_DIGITS = 20  # digits of a number in a pax record: more than any file needs, and few enough for `int`
_SCANNED_BYTES = 1 << 16  # bytes that are searched for the next record at a time


class Naming(NamedTuple):
    """Classes and groups from the names of folders in archives.

    Attributes:
        has_parts: See `label_of`.
        shared_folder: A folder that holds all files, with a slash at its end, which is not taken for a class; "" if there is none.
    """

    has_parts: bool = True
    shared_folder: str = ""


class ByteRange(NamedTuple):
    """Place of a member's bytes in its (inflated) archive."""

    start: int
    size: int


@dataclass(slots=True)
class TarSample:
    """The usable members of one stem.

    Attributes:
        stem: Name up to the first dot.
        places: Range of each member by its ending.
        label: Class; None if it is not read yet, or there is none.
        endings: Ending of the member that each modality reads, see `_endings`; shared by samples with the same members.
    """

    stem: str
    places: dict[str, ByteRange] = field(default_factory=dict)
    label: str | None = None
    endings: Mapping[str, str] = field(default_factory=dict)


def _endings(endings: Sequence[str], owners: Mapping[str, str]) -> dict[str, str]:
    """The ending of the member that each modality reads, by the name of the modality. owners: see `owners_of`."""
    by_modality: dict[str, str] = {}
    for ending in endings:
        if ending in owners:
            by_modality.setdefault(owners[ending], ending)
    # A JSON next to another member describes it; alone it may hold a document.
    if ".txt" in endings or (".json" in endings and not by_modality):
        by_modality["text"] = ".txt" if ".txt" in endings else ".json"
    return by_modality


@dataclass(slots=True)
class _Archive:
    """An archive and its samples. body: its bytes if it is packed; otherwise the file is opened for each read."""

    file: File
    samples: list[TarSample]
    body: memoryview | None = None


def owners_of(modalities: Mapping[str, type[Modality]]) -> dict[str, str]:
    """Modality by ending, for modalities whose files are not text."""
    owned = (modality for modality in modalities.items() if not modality[1].traits.is_text)
    return {suffix: name for name, modality in owned for suffix in modality.suffixes}


def with_endings(sample: TarSample, owners: Mapping[str, str]) -> TarSample:
    """The sample with its `endings` set."""
    sample.endings = _endings(tuple(sample.places), owners)
    return sample


class ArchiveReader:
    """See `anew.data.sources.base.Reader`."""

    def __init__(self, files: Sequence[File], root: Path, modalities: Mapping[str, type[Modality]]) -> None:
        self._owners = owners_of(modalities)
        self.notes: list[str] = []
        self.refusals: list[SkippedItem] = []
        self.counts: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        self._root = root
        self._archives: dict[str, _Archive] = {}
        # Members that further archives may have, and bytes that they may inflate to
        self._members, self._inflated = limits.TAR_MEMBERS, limits.TAR_INFLATED_BYTES
        for file in files:
            try:
                self._archives[file.path] = self._list(file)
            except (OSError, ValueError) as error:
                reason = str(error) if isinstance(error, ValueError) else f"it cannot be read ({clause(error)})"
                self.refusals.append(SkippedItem(file.path, reason))
        for sample in (sample for archive in self._archives.values() for sample in archive.samples):
            for modality, ending in sample.endings.items():
                self._count(modality, sample.places[ending].size)
        folders = {_in_folder(sample) for archive in self._archives.values() for sample in archive.samples}
        parts = {path: part for path in folders if (part := part_of(path)) is not None}
        self._parts = parts if "train" in map(part_of, self._archives) else parts_of(folders)
        stems = [sample.stem for archive in self._archives.values() for sample in archive.samples]
        self._naming = Naming(has_parts=parts == self._parts, shared_folder=shared_folder(stems))
        self.labels: tuple[str, ...] | None = self._labels()

    def _count(self, modality: str, size: int) -> None:
        self.counts[modality] = self.counts.get(modality, 0) + 1
        self.bytes[modality] = self.bytes.get(modality, 0) + size

    def _list(self, file: File) -> _Archive:
        path = self._root / file.path
        archive = _Archive(file, [])
        if gzip_files.is_gzip(path):
            archive.body = self._unpacked(path)
        by_stem: dict[str, TarSample] = {}
        with self._open(archive) as stream:
            try:
                for name, place in members(stream):
                    self._add(by_stem, file.path, name, place)
            except ValueError as error:
                self.refusals.append(SkippedItem(file.path, f"{error}; the part before it is used"))
        endings_of: dict[tuple[str, ...], dict[str, str]] = {}
        for sample in by_stem.values():
            endings = tuple(sample.places)
            if endings not in endings_of:
                endings_of[endings] = _endings(endings, self._owners)
            sample.endings = endings_of[endings]
        archive.samples = [s for s in by_stem.values() if s.endings]
        if len({s.stem.rpartition("/")[0] for s in archive.samples}) > 1:
            # Folders in an archive are often classes, one after another; each shard must be a fair mix.
            archive.samples.sort(key=_shuffle_key)
        return archive

    def _unpacked(self, path: Path) -> memoryview:
        try:
            with gzip_files.open_file(path) as stream:
                _member_size(stream.read(_RECORD), 0)  # check the first record before the rest is unpacked
        except gzip_files.DAMAGE:
            raise ValueError("it is damaged gzip data") from None
        body = gzip_files.map_file(path, self._inflated).data
        if len(body) >= self._inflated:
            raise ValueError(
                f"it and the archives before it inflate to more than {limits.size(limits.TAR_INFLATED_BYTES)}; unpack it into a folder"
            )
        self._inflated -= len(body)
        return body

    def _add(self, by_stem: dict[str, TarSample], path: str, name: str, place: ByteRange) -> None:
        self._members -= 1
        if self._members < 0:
            raise ValueError(f"the archives hold more than {limits.TAR_MEMBERS:,} files; unpack some of them")
        stem, ending = split_name(name)
        if ending not in TEXT_ENDINGS and ending not in self._owners:
            self._count(ending or "without a suffix", place.size)
        elif place.size > limits.TAR_MEMBER_BYTES:
            self.refusals.append(
                SkippedItem(f"{path}/{name}", f"it is larger than {limits.size(limits.TAR_MEMBER_BYTES)}")
            )
        else:
            sample = by_stem.get(stem)
            if sample is None:
                sample = by_stem[stem] = TarSample(stem)
            sample.places[sys.intern(ending)] = place

    def _open(self, archive: _Archive) -> IO[bytes]:
        if archive.body is not None:
            return io.BufferedReader(_View(archive.body))
        return by_range.open_file(self._root / archive.file.path)

    def _labels(self) -> tuple[str, ...] | None:
        if sum(len(archive.samples) for archive in self._archives.values()) > MAX_LABELLED:
            has_labels = any(
                {".cls", ".json"} & s.places.keys() for archive in self._archives.values() for s in archive.samples
            )
            if has_labels:
                return None
        labels: set[str] = set()
        for archive in self._archives.values():
            with self._open(archive) as stream:
                for sample in archive.samples:
                    sample.label = label_of_sample(stream, sample, self._naming)
                    labels.update([sample.label] if sample.label is not None else [])
        return tuple(sorted(labels))

    def shards(self, modality: str) -> list[Shard]:
        shards: list[Shard] = []
        for path, archive in self._archives.items():
            by_part: dict[str | None, list[int]] = {}
            for index, sample in enumerate(archive.samples):
                if modality in sample.endings:
                    part = part_of(path) or self._parts.get(_in_folder(sample))
                    by_part.setdefault(part, []).append(index)
            for part, members in by_part.items():
                for chunk, size in _chunks(archive.samples, members, modality):
                    name = f"{path}#{chunk[0]}" if part is None else f"{path}#{part}{chunk[0]}"
                    where = (path, modality, tuple(chunk))
                    of_shard = [archive.samples[index] for index in chunk]
                    known = members_digest(
                        (s.stem, s.label, *((e, p.size) for e, p in s.places.items())) for s in of_shard
                    )
                    shards.append(Shard(name, len(chunk), size, where, part, archive.file.stamp, members=known))
        return shards

    def ranges(self, shard: Shard) -> list[Range]:
        path, modality, chunk = cast(tuple[str, str, Sequence[int]], shard.where)
        if self._archives[path].body is not None:  # unpacked: places are not those of the file
            return []
        samples = [self._archives[path].samples[index] for index in chunk]
        places = [sample.places[sample.endings[modality]] for sample in samples]
        return [Range(self._root / path, place.start, place.start + place.size) for place in places]

    def read(self, shard: Shard) -> Iterator[Item | SkippedItem]:
        path, modality, chunk = cast(tuple[str, str, Sequence[int]], shard.where)
        archive = self._archives[path]
        try:
            with self._open(archive) as stream:
                for index in chunk:
                    yield item_of(stream, path, archive.samples[index], modality, self._naming)
        except OSError as error:
            yield SkippedItem(path, f"it cannot be read ({clause(error)})")


class _View(io.RawIOBase):
    """A file that reads bytes in memory without copying them all."""

    def __init__(self, body: memoryview) -> None:
        self._body, self._at = body, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + {0: 0, 1: self._at, 2: len(self._body)}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = self._body[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def split_name(name: str) -> tuple[str, str]:
    """(stem, ending): WebDataset splits the last part of a member's name at its first dot."""
    folder, slash, last = name.rpartition("/")
    first, dot, suffixes = last.partition(".")
    return folder + slash + first, (dot + suffixes).lower()


def _shuffle_key(sample: TarSample) -> bytes:
    return hashlib.blake2b(sample.stem.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _chunks(samples: Sequence[TarSample], members: Sequence[int], modality: str) -> Iterator[tuple[list[int], int]]:
    """Runs of samples of about one shard, with their bytes."""
    chunk: list[int] = []
    size = 0
    for index in members:
        chunk.append(index)
        size += samples[index].places[samples[index].endings[modality]].size
        if len(chunk) >= SHARD_ITEMS or (modality == "text" and size >= SHARD_BYTES):
            yield chunk, size
            chunk, size = [], 0
    if chunk:
        yield chunk, size


def _bytes(stream: IO[bytes], place: ByteRange) -> bytes:
    stream.seek(place.start)
    data = stream.read(place.size)
    if len(data) < place.size:
        raise ValueError("the archive ends within it")
    return data


def _in_folder(sample: TarSample) -> str:
    """A path in the folder of a sample; the sample's own name says nothing about parts."""
    return str(PurePosixPath(sample.stem).parent / "_")


def label_of_sample(stream: IO[bytes], sample: TarSample, naming: Naming) -> str | None:
    """The class of a sample, from its `.cls` or `.json` member, else from its folder; None without one."""
    try:
        if ".cls" in sample.places:
            start, size = sample.places[".cls"]
            return label_name(_bytes(stream, ByteRange(start, min(size, 200))).decode("utf-8", "replace").strip(), ())
        description = sample.places.get(".json")
        if (
            description is not None
            and description.size <= limits.TAR_DESCRIPTION_BYTES
            and set(sample.endings) - {"text"}
        ):
            value = json.loads(_bytes(stream, description))
            name = next((value[n] for n in (*LABEL, "cls") if n in value), None) if isinstance(value, dict) else None
            if (label := label_name(name, ())) is not None:
                return label
    except (ValueError, RecursionError):
        return None  # a damaged description only costs the sample its class
    return label_of(sample.stem.removeprefix(naming.shared_folder), naming.has_parts)


def item_of(stream: IO[bytes], path: str, sample: TarSample, modality: str, naming: Naming) -> Item | SkippedItem:
    """The item of a modality in a sample; a refusal if it is damaged. path: of the archive, for the item's name."""
    ending = sample.endings[modality]
    name = f"{path}/{sample.stem}{ending}"
    try:
        data = _bytes(stream, sample.places[ending])
        label = label_of_sample(stream, sample, naming) if sample.label is None else sample.label
        return Item(name, _text_of(data) if ending == ".json" else data, label)
    except (ValueError, RecursionError) as error:
        return SkippedItem(name, str(error))


def _text_of(data: bytes) -> str:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is not valid JSON") from None
    text = next((value[n] for n in TEXT if isinstance(value.get(n), str)), None) if isinstance(value, dict) else None
    if not text:
        raise ValueError(f"it holds no {TEXT[0]!r}")
    return str(text)


class TarMember(NamedTuple):
    """An ordinary file in an archive. at: where its first record begins."""

    at: int
    name: str
    place: ByteRange


def members(stream: IO[bytes]) -> Iterator[tuple[str, ByteRange]]:
    """Name and place of every ordinary file in a tar stream, see `entries`."""
    for entry in entries(stream, 0):
        yield entry.name, entry.place


def entries(stream: IO[bytes], at: int) -> Iterator[TarMember]:
    """Every ordinary file in a tar stream (POSIX ustar and pax, GNU long names) from a record on, seeking over bodies.

    Raises ValueError (one clause) at the first record that is damaged or cut off.
    """
    size = stream.seek(0, 2)
    fields: dict[str, str] = {}  # what pax and GNU records say about the member after them
    begin = at
    while at + _RECORD <= size:
        stream.seek(at)
        head = stream.read(_RECORD)
        if head == _END:
            return
        length, flag = _member_size(head, at), head[156:157]
        if flag not in b"xgL":
            length = int(fields.get("size", length))
        start = at + _RECORD
        if start + length > size:
            raise ValueError(f"it is truncated at byte {size}")
        at = start + -(-length // _RECORD) * _RECORD
        if flag in (b"x", b"L"):
            fields.update(_pax_fields(stream.read(min(length, limits.TAR_HEADER_BYTES)), flag))
        elif flag != b"g":
            if flag in (b"0", b"\0", b"7"):
                yield TarMember(begin, fields.get("path") or _name(head), ByteRange(start, length))
            fields, begin = {}, at
        else:
            begin = at


def has_marks(stream: IO[bytes]) -> bool:
    """Whether an archive's records can be distinguished from bodies (in all formats since 1988)."""
    stream.seek(0)
    return _is_record(stream.read(_RECORD))


def record_after(stream: IO[bytes], at: int, size: int) -> int:
    """The first record at or after a place; `size` if there is none."""
    at = -(-at // _RECORD) * _RECORD
    stream.seek(at)
    while data := stream.read(_SCANNED_BYTES):
        for start in range(0, len(data) - _RECORD + 1, _RECORD):
            if _is_record(data[start : start + _RECORD]):
                return at + start
        at += len(data)
    return size


def _is_record(head: bytes) -> bool:
    try:
        return head[257:262] == b"ustar" and _member_size(head, 0) >= 0 and head != _END
    except ValueError:
        return False


def _member_size(head: bytes, at: int) -> int:
    """Check a record; returns the bytes of its member. Raises ValueError (one clause) if it is not a record."""
    length = _number(head[124:136]) if len(head) == _RECORD else 0
    if head != _END and (len(head) < _RECORD or _sum(head) != _number(head[148:156])):
        raise ValueError(f"it is not a tar archive, or damaged at byte {at}")
    return length


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU: a binary number, for more than octal digits can say
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = _OCTAL.fullmatch(field)
    if digits is None:
        raise ValueError("it is not a tar archive, or damaged")
    return int(digits[1] or b"0", 8)


def _sum(head: bytes) -> int:
    return sum(head) - sum(head[148:156]) + 8 * 32


def _name(head: bytes) -> str:
    name = head[:100].split(b"\0", 1)[0]
    prefix = head[345:500].split(b"\0", 1)[0] if head[257:262] == b"ustar" and head[262:263] == b"\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")


def _pax_fields(data: bytes, flag: bytes) -> dict[str, str]:
    if flag == b"L":
        return {"path": data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")}
    fields = {}
    while data:
        digits, _, _ = data.partition(b" ")
        if not digits.isdigit() or len(digits) > _MAX_DIGITS or int(digits) <= len(digits) + 1:
            break
        key, _, value = data[len(digits) + 1 : int(digits)].rstrip(b"\n").partition(b"=")
        if key == b"path" or (key == b"size" and value.isdigit() and len(value) <= _MAX_DIGITS):
            fields[key.decode()] = value.decode("utf-8", "surrogateescape")
        data = data[int(digits) :]
    return fields


def open_reader(files: Sequence[File], root: Path, modalities: Mapping[str, type[Modality]]) -> ArchiveReader:
    """See `anew.data.sources.base.OpenReader`."""
    return ArchiveReader(files, root, modalities)
