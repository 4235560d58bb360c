"""Chooses what to learn from a source: the modality of most of its items, its shards, classes and fingerprint.

A digest of its content tells data apart whose files have the same names and sizes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from anew.core.arrays import evenly_spaced
from anew.core.machine.garbage_collector import paused_collector
from anew.core.registry import available
from anew.core.wording import are, listed, percent, plural
from anew.data.formats import by_range
from anew.data.formats.by_range import Range
from anew.data.limits import WHOLE_BYTES, WHOLE_ITEMS
from anew.data.modality import Modality, load_modality, reasons
from anew.data.skipped import name_reasons
from anew.data.sources.base import SAMPLE_ITEMS, Shard
from anew.data.sources.beside_data import CONVERSIONS, PACKED
from anew.data.sources.columns import IN_CELLS, TEXT_MODALITY, ColumnChoice
from anew.data.sources.source import Source
from anew.data.types import FileSlice, Item, SkippedItem
from anew.errors import DataError, did_you_mean, printable

# Most bytes and ranges that are digested whole: 32 MB take 0.05 s, and a file 0.03 ms. Of more data, blocks of some ranges of some shards
# from all over it are.
DIGESTED_BYTES, DIGESTED_RANGES = 32 * 1024 * 1024, 8192
SAMPLED_SHARDS, SAMPLED_RANGES, BLOCK = 64, 4, 64 * 1024
# From sources that only give whole items, which is slow, so much is digested whole; of more, this many items of this many shards
DECODED_BYTES, DECODED_SHARDS, DECODED_ITEMS = 4 * 1024 * 1024, 8, 4
# Multiples of the golden ratio spread evenly: here in units of 1 / STRIDE_MODULUS
STRIDE, STRIDE_MODULUS = 40503, 65536
# Bytes of the sample that is inspected, which bounds its time; shards that it is taken from, and items of each whatever their size.
# Chosen.
SAMPLE_BYTES, SAMPLED_SHARDS, MIN_SAMPLED = 8 * 1024 * 1024, 16, 2
NOTHING_READ = "give a folder or a file with text, code, sequences, images, sound or video"
# Prefix of the hash of sounds and clips. Older versions hashed only a few of them, and wrote no prefix
SLICES = "slices:"
# Prefix of the hash of what a store says of its files, shards that are asked for, and stamps that depend on the content alone: MD5, SHA-1
# and SHA-256. Other ones change when the same file is written again.
STAMPS, STAMPED_SHARDS = "stamps:", 1024
CONTENT_STAMP = re.compile("[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}")
SHOWN_NAMES = 3  # items of other kinds that a sentence names
MAX_CLASSES = 1000  # as many as ImageNet has; more folders are a numbering
MIN_ITEMS_PER_CLASS = 5  # folders with fewer items on average are a numbering, or too many to learn


def content_digest(source: Source, shards: Sequence[Shard]) -> str | None:
    """A hash of names, sizes, classes and bytes of the items, as far as they are known or cheap to read: of all bytes of small
    data, of blocks from all over large data. Of data that stays in a store, where each block is a request, see `_stamps_digest`."""
    ordered = sorted(shards, key=lambda shard: shard.name)
    # Counts alone are kept: the ranges of ten million files would take gigabytes
    counts: list[int] = []
    for shard in ordered:
        ranges = source.ranges(shard)
        if by_range.has_stores() and any(by_range.find_stored(place.path) for place in ranges):
            return _stamps_digest(source, ordered)
        counts.append(len(ranges))
    digest = hashlib.blake2b(digest_size=16)
    for shard in ordered:
        digest.update(f"{shard.name}\0{shard.members}\n".encode("utf-8", "surrogateescape"))
    total = sum(shard.bytes for shard in ordered)
    is_small = total <= DIGESTED_BYTES and sum(counts) <= DIGESTED_RANGES
    digested = ordered if is_small else evenly_spaced(ordered, SAMPLED_SHARDS)
    all_places = [source.ranges(shard) for shard in digested]
    places = all_places if is_small else [evenly_spaced(ranges, SAMPLED_RANGES) for ranges in all_places]
    for block in _blocks(itertools.chain.from_iterable(places), are_whole=is_small):
        digest.update(block)
    decoded = [shard for shard, count in zip(ordered, counts, strict=True) if not count]
    is_small = sum(shard.bytes for shard in decoded) <= DECODED_BYTES
    for shard in decoded if is_small else evenly_spaced(decoded, DECODED_SHARDS):
        for item in source.read(shard, None if is_small else DECODED_ITEMS):
            digest.update(item_bytes(item))
            digest.update(repr(None if isinstance(item, SkippedItem) else item.label).encode("utf-8", "replace"))
    return digest.hexdigest()


def _stamps_digest(source: Source, shards: Sequence[Shard]) -> str | None:
    """A hash of the names of shards from all over the data, and of what a store says of their content; None if it says nothing."""
    digest = hashlib.blake2b(digest_size=16)
    for shard in evenly_spaced(shards, STAMPED_SHARDS):
        digest.update(f"{shard.name}\0{shard.members}\n".encode("utf-8", "surrogateescape"))
        for path, _ in itertools.groupby(source.ranges(shard), lambda place: place.path):
            stored = by_range.find_stored(path)
            if stored is None:  # a copy of it is read
                continue
            if not CONTENT_STAMP.fullmatch(stored.file.stamp):
                return None
            digest.update(stored.file.stamp.encode())
    return STAMPS + digest.hexdigest()


def are_comparable(content: str, other: str) -> bool:
    """Whether two results of `SelectedData.content` were made in one way, so that they differ only if the data does."""
    return content.rpartition(":")[0] == other.rpartition(":")[0]


def item_bytes(item: Item | SkippedItem) -> bytes:
    """The content of an item, or why it was refused; for a file that is read in place, its hash."""
    data = item.reason if isinstance(item, SkippedItem) else item.data
    if isinstance(data, FileSlice):
        return data.digest()
    if isinstance(data, np.ndarray):
        return data.tobytes()
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)


def _blocks(places: Iterable[Range], are_whole: bool) -> Iterator[bytes]:
    """The bytes at these places, or a block of each, at a different offset in each."""
    for path, numbered in itertools.groupby(enumerate(places), lambda pair: pair[1].path):
        yield from _blocks_of_file(path, numbered, are_whole)


def _blocks_of_file(path: str | Path, numbered: Iterable[tuple[int, Range]], are_whole: bool) -> Iterator[bytes]:
    """See `_blocks`: those of one file, which is opened once."""
    try:
        with by_range.open_file(path) as stream:
            size = stream.seek(0, 2)
            for number, place in numbered:
                yield _block(stream, place, size, None if are_whole else number)
    except OSError:  # it vanished, and will be refused when it is read
        yield b""


def _block(stream: IO[bytes], place: Range, size: int, number: int | None) -> bytes:
    """The bytes at a place in a file of this size, or a block of them, whose offset depends on the number."""
    start, stop = place.start, size if place.stop is None else place.stop
    if number is not None:
        start += max(0, stop - start - BLOCK) * (number * STRIDE % STRIDE_MODULUS) // STRIDE_MODULUS
        stop = min(stop, start + BLOCK)
    stream.seek(start)
    return stream.read(max(0, stop - start))


# It has no slots, since `content` is kept
@dataclass
class SelectedData:
    """A source, and the modality that is learned from it.

    Attributes:
        modality: Name of the modality.
        whole: Whether they are small enough to be kept in memory.
        other: Items that are left out, by modality or suffix.
        notes: Sentences for the user.
        fingerprint: Hash by which a run recognizes its data.
        is_requested: Whether the user named the modality.
        noted_kinds: The modalities in `other` that a note names.
    """

    source: Source
    modality: str
    shards: list[Shard]
    whole: bool
    other: dict[str, int]
    notes: list[str]
    fingerprint: str
    is_requested: bool = False
    noted_kinds: tuple[str, ...] = ()

    @functools.cached_property
    def content(self) -> str | None:
        """Hash of what the data holds, see `content_digest`; None where it stays in a store that does not say."""
        digest = content_digest(self.source, self.shards)
        is_sliced = load_modality(self.modality).traits.reads_file_slices
        return digest if digest is None or digest.startswith(STAMPS) or not is_sliced else SLICES + digest


@paused_collector()
def detect_modality(
    path: str,
    requested: str | None,
    are_samples: bool = False,
    is_requested: bool = True,
    columns: ColumnChoice | None = None,
) -> SelectedData:
    """List a path, and select the requested modality or that of most items (in a tie, of most bytes).

    Args:
        path: The data, as the user gave it.
        requested: Name of the modality; None: that of most items.
        are_samples: See `Source.open`.
        is_requested: Whether the user named the requested modality, see `Modality.folders`.
        columns: Columns of tables that the user names.

    Raises:
        DataError: There is nothing to learn from, or nothing of the requested modality.
    """
    modalities = {name: load_modality(name) for name in available("data")}
    if requested is not None and requested not in modalities:
        raise DataError(f"unknown modality {requested!r}{did_you_mean(requested, modalities)}")
    is_requested = is_requested and requested is not None
    if requested == TEXT_MODALITY or requested in IN_CELLS:
        columns = replace(columns or ColumnChoice(), text_modality=requested)
    source = Source.open(path, modalities, are_samples, requested if is_requested else None, columns)
    path = source.path  # an address that was given as a Path has lost a slash
    usable = {name: n for name, n in source.counts.items() if name in modalities and n}
    if not usable:
        raise _nothing_usable(source, modalities)
    if requested is not None and requested not in usable:
        kinds = listed([modalities[name].traits.plural for name in sorted(usable)])
        sentence = f"{path!r} holds no {modalities[requested].traits.plural}; it holds {kinds}"
        advice = _advice(source, {requested: modalities[requested]})
        raise DataError("; ".join(filter(None, [sentence, modalities[requested].traits.folder_advice, advice])))
    records = _records_in_files(source, usable, modalities)
    modality = requested or _most_common(usable, records, source.bytes)
    left_out = {name: n for name, n in source.counts.items() if name != modality and n}
    notes = _notes(source, modality, usable, records, requested, modalities)
    if advice := _advice(source, {modality: modalities[modality]}):
        notes.append(f"Some files are left out; {advice}.")
    shards = source.shards(modality)
    if not shards:
        skipped = f": {name_reasons(source.refusals)}" if source.refusals else ""
        raise DataError(f"{path!r} holds no usable {modalities[modality].traits.singular}{skipped}")
    is_small = sum(shard.bytes for shard in shards) <= WHOLE_BYTES and usable[modality] <= WHOLE_ITEMS
    fits_memory = modalities[modality].traits.cheap_to_encode and is_small
    fingerprint = _fingerprint(modality, shards, source)
    noted_kinds = tuple(name for name in usable if name != modality)
    return SelectedData(source, modality, shards, fits_memory, left_out, notes, fingerprint, is_requested, noted_kinds)


def _nothing_usable(source: Source, modalities: Mapping[str, type[Modality]]) -> DataError:
    """The error of data of which nothing can be learned: what it holds, why that is left out, and what to change."""
    name = os.path.basename(source.path)
    if [item.name for item in source.refusals] == [name] and sum(source.counts.values()) == 1:
        holds = f": {source.refusals[0].reason}"  # its name stands before already
    else:
        counts = ", ".join(f"{n:,} {name}" for name, n in sorted(source.counts.items(), key=lambda p: -p[1])[:5])
        holds = f" ({counts or 'nothing'})" if counts or not source.refusals else ""
        holds += f": {name_reasons(source.refusals)}" if source.refusals else ""
    is_known = bool(source.counts and source.refusals)
    sentence = (
        f"{source.path!r} {'cannot be learned as it is' if is_known else 'holds nothing that can be learned'}{holds}"
    )
    advice = _advice(source, modalities) or ("" if source.refusals else NOTHING_READ)  # a refusal says what to change
    return DataError("; ".join(filter(None, [sentence, advice])))


def _records_in_files(
    source: Source, counts: Mapping[str, int], modalities: Mapping[str, type[Modality]]
) -> dict[str, int]:
    """The number of records, by modality, of those whose files hold many each, as FASTA does; {} where nothing else is there.

    counts: items by modality. A few shards tell for large data; other items than files are one record each.
    """
    if len(counts) == 1:
        return {}
    return {
        name: _count_records(source, name, modalities[name])
        for name in counts
        if name in IN_CELLS and source.bytes.get(name)
    }


def _count_records(source: Source, name: str, modality: type[Modality]) -> int:
    splitter = modality(modality.Config())
    shards = source.shards(name)
    num_records = num_bytes = 0
    for shard in evenly_spaced(shards, SAMPLED_SHARDS):
        num_bytes += shard.bytes
        for item in source.read(shard):
            # A damaged file teaches nothing
            with contextlib.suppress(ValueError):
                num_records += 0 if isinstance(item, SkippedItem) else sum(1 for _ in splitter.split_records(item))
    return round(num_records * sum(shard.bytes for shard in shards) / max(num_bytes, 1))


def _most_common(counts: Mapping[str, int], records: Mapping[str, int], sizes: Mapping[str, int]) -> str:
    """The modality of most items, in a tie of most bytes; one with files of records also if it has more records and more bytes than
    any other: lists of names beside long texts stay what is left out.

    counts, records, sizes: numbers of items, records in files, and bytes by modality.
    """
    by_records = max(records, key=lambda name: records[name], default=None)
    if by_records is not None and _leads(by_records, counts, records, sizes):
        return by_records
    return max(counts, key=lambda name: (counts[name], sizes.get(name, 0)))


def _leads(modality: str, counts: Mapping[str, int], records: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
    others = [name for name in counts if name != modality]
    has_most_records = all(records[modality] > records.get(name, counts[name]) for name in others)
    return has_most_records and all(sizes.get(modality, 0) > sizes.get(name, 0) for name in others)


def _advice(source: Source, modalities: Mapping[str, type[Modality]]) -> str:
    """Advice on converting files of formats that these modalities do not read, and on archives; empty if there are none."""
    formats = {
        suffix: form
        for modality in modalities.values()
        for suffix, form in modality.traits.unsupported_suffixes.items()
    }
    if "text" in modalities:
        formats |= CONVERSIONS
    suffixes_by_form: dict[str, list[str]] = {}
    for suffix, form in sorted(formats.items()):
        if source.counts.get(suffix):
            suffixes_by_form.setdefault(form, []).append(suffix)
    advice = [f"convert {listed(names)} files to {form}, which are read" for form, names in suffixes_by_form.items()]
    advice += [f"unpack {suffix} files{more}" for suffix, more in PACKED.items() if source.counts.get(suffix)]
    return "; ".join(advice)


def _notes(
    source: Source,
    modality: str,
    counts: Mapping[str, int],
    records: Mapping[str, int],
    requested: str | None,
    modalities: Mapping[str, type[Modality]],
) -> list[str]:
    left_out = {name: n for name, n in counts.items() if name != modality}
    if not left_out:
        return []
    counted = [
        _counted(n, records.get(name, n), modalities[name]) + _named(source, name, n)
        for name, n in sorted(left_out.items())
    ]
    verb = are(sum(records.get(name, n) for name, n in left_out.items()))
    reason = "as asked" if requested else _why_it_is_learned(modality, counts, records)
    num_files = counts[modality]
    in_files = ""
    if records.get(modality, num_files) > num_files:
        in_files = f" ({records[modality]:,} in {plural(num_files, 'file')})"
    others = sorted(left_out, key=lambda name: -left_out[name])
    these = f"the {modalities[others[0]].traits.plural}" if len(others) == 1 else "those"
    return [
        f"Training on {modalities[modality].traits.plural}{in_files}, {reason}; {listed(counted)} {verb} ignored "
        f"(modality={listed(others, 'or')} would train on {these})."
    ]


def _counted(num_items: int, num_records: int, modality: type[Modality]) -> str:
    """How many items of a modality there are, in words; of files of records both numbers."""
    if num_records <= num_items:
        return plural(num_items, modality.traits.singular)
    return f"{num_records:,} {modality.traits.plural} in {plural(num_items, 'file')}"


def _named(source: Source, modality: str, count: int) -> str:
    """The names of a few items of a modality, in brackets; "" for many, and for large ones."""
    if count > SHOWN_NAMES or source.bytes.get(modality, 0) > SAMPLE_BYTES:
        return ""
    names = [printable(item.name) for shard in source.shards(modality) for item in source.read(shard, count)]
    return f" ({listed(sorted(names))})" if names else ""  # a table may turn out to hold no rows


def _why_it_is_learned(modality: str, counts: Mapping[str, int], records: Mapping[str, int]) -> str:
    """Why this modality is learned: it has most items, or as many as another and more bytes, or more records and more bytes."""
    if all(n < counts[modality] for name, n in counts.items() if name != modality):
        return "since most items are"
    num_records = records.get(modality, counts[modality])
    are_more = all(records.get(name, n) < num_records for name, n in counts.items() if name != modality)
    return "since they are more and take most bytes" if are_more else "since they take most bytes"


def _fingerprint(modality: str, shards: Sequence[Shard], source: Source) -> str:
    """A hash of the names and sizes of all shards, and of the content of the first items of a few."""
    digest = hashlib.blake2b(modality.encode(), digest_size=16)
    for shard in sorted(shards, key=lambda b: b.name):
        digest.update(f"{shard.name}\0{shard.items}\0{shard.bytes}\0{shard.part}\n".encode("utf-8", "surrogateescape"))
    for shard in evenly_spaced(shards, 4):
        for item in source.read(shard, 8):
            digest.update(item_bytes(item))
    return digest.hexdigest()


def sample_of(chosen: SelectedData, modality: Modality) -> tuple[list[Item], list[SkippedItem]]:
    """(usable items, refused ones) of a bounded sample, spread over the source; only headers are checked."""
    good: list[Item] = []
    bad: list[SkippedItem] = []
    shards = evenly_spaced(chosen.shards, SAMPLED_SHARDS)
    per_shard, max_bytes = max(SAMPLE_ITEMS // len(shards), 1), SAMPLE_BYTES // len(shards)
    for shard in shards:
        items = _first_items(chosen.source.read(shard, per_shard), max_bytes)
        for item, reason in reasons(modality.validate_header, items):
            if reason is not None:
                bad.append(SkippedItem(item.name, reason))
            elif not isinstance(item, SkippedItem):
                good.append(item)
    return good, bad


def _first_items(items: Iterable[Item | SkippedItem], max_bytes: int) -> Iterator[Item | SkippedItem]:
    """The first items of a shard, of not much more than `max_bytes`: where rows are sorted by class, large items of the first shards
    must not use up what all may have."""
    size = 0
    for count, item in enumerate(items, 1):
        yield item
        size += item.size if isinstance(item, Item) else 0
        if size > max_bytes and count >= MIN_SAMPLED:
            return


def classes_of(
    chosen: SelectedData, modality: Modality, sample: Sequence[Item], class_names: Sequence[str], items: int
) -> tuple[tuple[str, ...], list[str]]:
    """(class names, notes). Folders are classes if every item lies in one and each holds several items.

    class_names: those found by reading, if the listing does not know them; items: how many are used."""
    labels = None if modality.traits.labels_from_content else chosen.source.labels(chosen.modality)
    if labels is None:
        labels = tuple(class_names) or tuple(sorted({item.label for item in sample if item.label is not None}))
    if not modality.traits.supports_labels or len(labels) < 2:
        return (), []
    without = 0 if modality.traits.labels_from_content else sum(item.label is None for item in sample)
    if without:
        return (), [
            f"{percent(without / len(sample))} of the items lie outside the class folders, so no classes are learned."
        ]
    class_source = f"{len(labels):,} {'labels' if modality.traits.labels_from_content else 'folders'}"
    if len(labels) > MAX_CLASSES:
        return (), [
            f"{class_source} are more than the {MAX_CLASSES:,} classes that are learned, so no classes are learned."
        ]
    if items < MIN_ITEMS_PER_CLASS * len(labels):
        # Not "the items": where time is short, there are more that are not used, and a longer budget learns the classes
        return (), [f"{items:,} items are too few to learn {class_source} as classes, so no classes are learned."]
    return labels, []
