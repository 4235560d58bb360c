"""Chooses what to learn from a source: the modality of most of its items, its shards, classes and fingerprint."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anew.core.garbage_collector import paused_collector
from anew.core.registry import available
from anew.core.wording import listed, plural
from anew.data.limits import WHOLE_BYTES, WHOLE_ITEMS
from anew.data.modality import Modality, load_modality, reasons
from anew.data.skipped import name_reasons
from anew.data.sources.base import Shard, evenly_spaced
from anew.data.sources.beside_data import CONVERSIONS, PACKED
from anew.data.sources.columns import IN_CELLS, TEXT_MODALITY, ColumnChoice
from anew.data.sources.content import content_digest, item_bytes
from anew.data.sources.source import SAMPLE_ITEMS, Source
from anew.data.types import Item, SkippedItem
from anew.errors import DataError, did_you_mean, printable

SAMPLE_BYTES = 8 * 1024 * 1024  # bytes of the sample that is inspected, which bounds its time
NOTHING_READ = "give a folder or a file with text, code, sequences, images, sound or video"
SHOWN_NAMES = 3  # items of other kinds that a sentence names
MAX_CLASSES = 1000  # as many as ImageNet has; more folders are taken as a numbering
MIN_ITEMS_PER_CLASS = 5  # folders with fewer items on average are taken as a numbering, not as classes


@dataclass  # without slots, since `content` is kept
class SelectedData:
    """A source, and the modality that is learned from it.

    Attributes:
        source: The source.
        modality: Name of the modality.
        shards: Its shards.
        whole: Whether they are small enough to be kept in memory.
        other: Items that are left out, by modality or suffix.
        notes: Sentences for the user.
        fingerprint: Hash by which a run recognizes its data.
        asked: Whether the user named the modality.
    """

    source: Source
    modality: str
    shards: list[Shard]
    whole: bool
    other: dict[str, int]
    notes: list[str]
    fingerprint: str
    asked: bool = False

    @functools.cached_property
    def content(self) -> str | None:
        """Hash of what the data holds, see `content_digest`; None where it stays in a store."""
        return content_digest(self.source, self.shards)


@paused_collector()
def detect_modality(
    path: str, requested: str | None, once: bool = False, is_requested: bool = True, columns: ColumnChoice | None = None
) -> SelectedData:
    """List a path, and select the requested modality or that of most items (in a tie, of most bytes).

    Args:
        path: The data, as the user gave it.
        requested: Name of the modality; None: that of most items.
        once: See `Source.open`.
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
    source = Source.open(path, modalities, once, requested if is_requested else None, columns)
    path = source.path  # an address that was given as a Path has lost a slash
    usable = {name: n for name, n in source.counts.items() if name in modalities and n}
    if not usable:
        counts = ", ".join(f"{n:,} {name}" for name, n in sorted(source.counts.items(), key=lambda p: -p[1])[:5])
        counted = f" ({counts or 'nothing'})" if counts or not source.refusals else ""
        skipped = f": {name_reasons(source.refusals)}" if source.refusals else ""
        sentence = f"{path!r} holds nothing that can be learned{counted}{skipped}"
        # A refusal says what to change
        advice = _advice(source, modalities) or ("" if source.refusals else NOTHING_READ)
        raise DataError("; ".join(filter(None, [sentence, advice])))
    if requested is not None and requested not in usable:
        sentence = f"{path!r} holds no {requested}; it holds {', '.join(sorted(usable))}"
        advice = _advice(source, {requested: modalities[requested]})
        raise DataError("; ".join(filter(None, [sentence, modalities[requested].traits.folder_advice, advice])))
    modality = requested or max(usable, key=lambda name: (usable[name], source.bytes.get(name, 0)))
    left_out = {name: n for name, n in source.counts.items() if name != modality and n}
    notes = _notes(source, modality, usable, requested, modalities)
    if advice := _advice(source, {modality: modalities[modality]}):
        notes.append(f"some files are left out; {advice}")
    shards = source.shards(modality)
    if not shards:
        skipped = f": {name_reasons(source.refusals)}" if source.refusals else ""
        raise DataError(f"{path!r} holds no usable {modalities[modality].traits.singular}{skipped}")
    is_small = sum(shard.bytes for shard in shards) <= WHOLE_BYTES and usable[modality] <= WHOLE_ITEMS
    fits_memory = modalities[modality].traits.cheap_to_encode and is_small
    return SelectedData(
        source, modality, shards, fits_memory, left_out, notes, _fingerprint(modality, shards, source), is_requested
    )


def _advice(source: Source, modalities: Mapping[str, type[Modality]]) -> str:
    """Advice on converting files of formats that these modalities do not read, and on archives; empty if there are none."""
    formats = {
        suffix: form
        for modality in modalities.values()
        for suffix, form in modality.traits.unsupported_suffixes.items()
    }
    if "text" in modalities:
        formats |= CONVERSIONS
    advice = [
        f"convert {suffix} files to {form}, which are read"
        for suffix, form in sorted(formats.items())
        if source.counts.get(suffix)
    ]
    advice += [
        f"unpack {suffix} files, or pack what is in them as .tar, which is read"
        for suffix in PACKED
        if source.counts.get(suffix)
    ]
    return "; ".join(advice)


def _notes(
    source: Source,
    modality: str,
    counts: Mapping[str, int],
    requested: str | None,
    modalities: Mapping[str, type[Modality]],
) -> list[str]:
    left_out = {name: n for name, n in counts.items() if name != modality}
    if not left_out:
        return []
    counted = [
        plural(n, modalities[name].traits.singular) + _named(source, name, n) for name, n in sorted(left_out.items())
    ]
    ignored = "; ".join(counted) if any("," in clause for clause in counted) else listed(counted)
    reason = "as asked" if requested else _why_it_is_learned(modality, counts)
    largest = max(left_out, key=lambda name: left_out[name])
    return [
        f"training on {modalities[modality].traits.plural}, {reason}; ignoring {ignored} "
        f"(modality={largest} would train on the {modalities[largest].traits.plural})"
    ]


def _named(source: Source, modality: str, count: int) -> str:
    """The names of a few items of a modality, after a comma; "" for many, and for large ones."""
    if count > SHOWN_NAMES or source.bytes.get(modality, 0) > SAMPLE_BYTES:
        return ""
    names = [printable(item.name) for shard in source.shards(modality) for item in source.read(shard, count)]
    return f", {listed(sorted(names))}" if names else ""  # a table may turn out to hold no rows


def _why_it_is_learned(modality: str, counts: Mapping[str, int]) -> str:
    """Why this modality is learned: it has most items, or as many as another and more bytes."""
    has_most = all(n < counts[modality] for name, n in counts.items() if name != modality)
    return "since most items are" if has_most else "since they take most bytes"


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
    size = 0
    shards = evenly_spaced(chosen.shards, 16)
    per_shard = max(SAMPLE_ITEMS // len(shards), 1)
    for shard in shards:
        for item, reason in reasons(modality.validate_header, chosen.source.read(shard, per_shard)):
            if reason is not None:
                bad.append(SkippedItem(item.name, reason))
            elif not isinstance(item, SkippedItem):
                good.append(item)
                size += item.size
        if size > SAMPLE_BYTES:
            break
    return good, bad


def classes_of(
    chosen: SelectedData, modality: Modality, sample: Sequence[Item], class_names: Sequence[str], items: int
) -> tuple[tuple[str, ...], list[str]]:
    """(class names, notes). Folders are classes if every item lies in one and each holds several items.

    class_names: those found by reading, if the listing does not know them; items: how many there are."""
    labels = None if modality.traits.labels_from_content else chosen.source.labels(chosen.modality)
    if labels is None:
        labels = tuple(class_names) or tuple(sorted({item.label for item in sample if item.label is not None}))
    if not modality.traits.supports_labels or len(labels) < 2:
        return (), []
    without = 0 if modality.traits.labels_from_content else sum(item.label is None for item in sample)
    if without:
        return (), [
            f"{without / len(sample):.0%} of the items lie outside the class folders, so no classes are learned"
        ]
    if len(labels) > MAX_CLASSES or items < MIN_ITEMS_PER_CLASS * len(labels):
        class_source = "labels" if modality.traits.labels_from_content else "folders"
        return (), [f"{len(labels)} {class_source} for {items} items are taken as a numbering, not as classes"]
    return labels, []


__all__ = ["SelectedData", "classes_of", "detect_modality", "sample_of"]
