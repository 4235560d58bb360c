"""Large tar archives in spans of bytes; a span has the samples that begin in it. Only the beginnings of some archives are listed."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, cast

from anew.core.files import clause
from anew.data import limits
from anew.data.file_names import part_of, shared_folder
from anew.data.formats import by_range
from anew.data.formats.by_range import Range
from anew.data.modality import Modality
from anew.data.sources import tar
from anew.data.sources.base import SHARD_BYTES, SHARD_ITEMS, Shard
from anew.data.sources.listing import File
from anew.data.sources.tar import TarMember, TarSample
from anew.data.types import Item, SkippedItem

SAMPLED_ARCHIVES = 4  # archives whose beginnings are surveyed; chosen
HEAD_BYTES = 8 * 1024 * 1024  # bytes of a beginning: enough for many samples
# Bytes of a span: at least one request to a store; few enough to have several in memory
MIN_SPAN, MAX_SPAN = 1 << 20, 1 << 26
# Spans of all archives together: each costs memory (about 700 bytes) and processor time before the first step. With 10 TB of pictures of
# 64 pixels, spans of 256 pictures were 3 million, and 2.3 GB (docs/log.md, 2026-11-30).
MAX_SPANS = 500_000
SEARCH_BYTES = 1 << 20  # bytes before a span that are searched first for the member before it: most members are smaller


@dataclass(slots=True)
class _Survey:
    """The beginnings of some archives.

    Attributes:
        bytes: Bytes of these beginnings.
        members: Number of members by modality or ending.
        sizes: Bytes of members by modality or ending.
        is_labelled: Whether samples have classes.
        is_plain: Whether each span can be read without the others.
        folders: Their folders, each with a slash at its end, "" for the top level.
    """

    bytes: int
    members: Counter[str]
    sizes: Counter[str]
    is_labelled: bool = False
    is_plain: bool = True
    folders: set[str] = field(default_factory=set)

    @property
    def naming(self) -> tar.Naming:
        """The meaning of folder names, as far as they are known."""
        return tar.Naming(shared_folder=shared_folder(list(self.folders)))


class SpanReader:
    """See `anew.data.sources.base.Reader`. Counts are estimates.

    `Shard.where` is the modality alone: of half a million spans, what the name says as well would take a hundred megabytes.
    """

    def __init__(
        self, files: Sequence[File], root: Path, modalities: Mapping[str, type[Modality]], survey: _Survey
    ) -> None:
        self._files, self._root, self._survey = list(files), root, survey
        self._owners, self._naming = tar.owners_of(modalities), survey.naming
        total = sum(file.bytes for file in files)
        self.counts = {name: round(n * total / survey.bytes) for name, n in survey.members.items()}
        self.bytes = {name: round(n * total / survey.bytes) for name, n in survey.sizes.items()}
        self.labels: tuple[str, ...] | None = None if survey.is_labelled else ()
        self.notes: list[str] = [
            f"{len(files):,} tar files ({limits.size(total)}) are read in spans, and how much they hold is estimated from "
            f"{min(SAMPLED_ARCHIVES, len(files))} of them."
        ]
        self.refusals: list[SkippedItem] = []

    def shards(self, modality: str) -> list[Shard]:
        survey, span = self._survey, self._span_bytes(modality, sum(file.bytes for file in self._files) / MAX_SPANS)
        shards: list[Shard] = []
        items_of: dict[int, tuple[int, int]] = {}  # bytes and items of a span: numbers that many spans share
        for file in self._files:
            n, part = max(1, math.ceil(file.bytes / span)), part_of(file.path)
            bounds = [file.bytes * i // n for i in range(n + 1)]
            for start, stop in itertools.pairwise(bounds):
                if stop - start not in items_of:
                    items = max(1, round(survey.members[modality] * (stop - start) / survey.bytes))
                    items_of[stop - start] = (stop - start, items)
                size, items = items_of[stop - start]
                shards.append(
                    Shard(_name(file.path, start, stop), items, size, modality, part, file.stamp, exact=False)
                )
        return shards

    def _span_bytes(self, modality: str, least: float = 0.0) -> float:
        """The bytes of a span that holds as much of a modality as shards of other sources do, at least `least`."""
        survey, is_text = self._survey, modality == "text"
        fill = survey.sizes[modality] / SHARD_BYTES if is_text else survey.members[modality] / SHARD_ITEMS
        return min(max(survey.bytes / max(fill, 1e-9), MIN_SPAN, least), MAX_SPAN)

    def beginning(self, shard: Shard) -> Shard:
        """The beginning of a span that is longer than others since there would be too many spans; else the span itself."""
        path, start, _ = _location(shard)
        size = round(self._span_bytes(cast(str, shard.where)))
        if shard.bytes <= size:
            return shard
        items = max(1, round(shard.items * size / shard.bytes))
        return replace(shard, name=_name(path, start, start + size), items=items, bytes=size)

    def ranges(self, shard: Shard) -> list[Range]:
        path, start, stop = _location(shard)
        return [Range(self._root / path, max(0, start - SEARCH_BYTES), stop)]

    def read(self, shard: Shard) -> Iterator[Item | SkippedItem]:
        (path, start, stop), modality = _location(shard), cast(str, shard.where)
        try:
            with by_range.open_file(self._root / path, stop) as stream:
                samples = samples_in(stream, start, stop, self._owners)
                for sample in (sample for sample in samples if modality in sample.endings):
                    yield tar.item_of(stream, path, sample, modality, self._naming)
        except OSError as error:
            yield SkippedItem(path, f"it cannot be read ({clause(error)})")
        except ValueError as error:
            yield SkippedItem(path, f"{error}; the part before it is used")


def _name(path: str, start: int, stop: int) -> str:
    """The name of the span [start, stop) of an archive."""
    return f"{path}@{start}-{stop}"


def _location(shard: Shard) -> tuple[str, int, int]:
    """(path, start, stop) of a span, see `_name`."""
    path, _, bounds = shard.name.rpartition("@")
    start, _, stop = bounds.partition("-")
    return path, int(start), int(stop)


def samples_in(stream: IO[bytes], start: int, stop: int, owners: Mapping[str, str]) -> Iterator[TarSample]:
    """The samples whose first member begins in [start, stop), so that each is in one span.

    Raises ValueError (one clause) if the archive is damaged.
    """
    size = stream.seek(0, 2)
    sample: TarSample | None = None
    previous = None
    for entry in _entries_from(stream, start, size):
        stem, ending = tar.split_name(entry.name)
        if entry.at >= start and stem != previous:
            if sample is not None:
                yield tar.with_endings(sample, owners)
                sample = None
            if entry.at >= stop:
                return
            sample = TarSample(stem)
        previous = stem
        is_usable = entry.place.size <= limits.TAR_MEMBER_BYTES and (ending in tar.TEXT_ENDINGS or ending in owners)
        if sample is not None and is_usable:
            sample.places.setdefault(ending, entry.place)
    if sample is not None:
        yield tar.with_endings(sample, owners)


def _entries_from(stream: IO[bytes], start: int, size: int) -> Iterator[TarMember]:
    """The members of an archive, from one that begins before `start` on."""
    reach = SEARCH_BYTES
    while reach < start:
        entries = tar.entries(stream, tar.record_after(stream, start - reach, size))
        try:
            next(entries, None)  # the name of this one is uncertain: a long name has a record of its own before it
            second = next(entries, None)
        except ValueError:  # this was not a record, or belongs to an archive in the archive
            second = None
        if second is not None and second.at < start:
            return itertools.chain([second], entries)
        reach *= 4
    return tar.entries(stream, 0)


def survey_of(files: Sequence[File], root: Path, modalities: Mapping[str, type[Modality]]) -> _Survey | None:
    """The beginnings of some archives, evenly spread; None if none of them can be read."""
    owners = tar.owners_of(modalities)
    survey = _Survey(0, Counter(), Counter())
    step = max(1, len(files) // SAMPLED_ARCHIVES)
    for file in files[::step][:SAMPLED_ARCHIVES]:
        stop = min(file.bytes, HEAD_BYTES)
        by_range.prefetch([Range(root / file.path, 0, stop)])
        try:
            with by_range.open_file(root / file.path, stop) as stream:
                _survey_archive(stream, stop, owners, survey)
        except (OSError, ValueError):
            continue
        survey.bytes += stop
    return survey if survey.bytes else None


def _survey_archive(stream: IO[bytes], stop: int, owners: Mapping[str, str], survey: _Survey) -> None:
    """Count the members and samples in the beginning of one archive."""
    if not tar.has_marks(stream):
        raise ValueError("it is of a format without marks")
    stems: set[str] = set()
    previous = None
    for entry in tar.entries(stream, 0):
        if entry.at >= stop:
            break
        stem, ending = tar.split_name(entry.name)
        if stem != previous:
            survey.is_plain &= stem not in stems and part_of(f"{stem.rpartition('/')[0]}/_") is None
            stems.add(stem)
        previous = stem
        if ending not in tar.TEXT_ENDINGS and ending not in owners:
            survey.members[ending or "without a suffix"] += 1
            survey.sizes[ending or "without a suffix"] += entry.place.size
    samples = list(samples_in(stream, 0, stop, owners))
    survey.folders |= {sample.stem[: sample.stem.rfind("/") + 1] for sample in samples}
    naming = survey.naming
    for sample in samples:
        for modality, ending in sample.endings.items():
            survey.members[modality] += 1
            survey.sizes[modality] += sample.places[ending].size
        survey.is_labelled |= tar.label_of_sample(stream, sample, naming) is not None


def open_reader(
    files: Sequence[File], root: Path, modalities: Mapping[str, type[Modality]]
) -> SpanReader | tar.ArchiveReader:
    """See `anew.data.sources.base.OpenReader`. Archives are listed whole nevertheless if names of their members say to which part
    these belong, or if the members of a sample do not lie together."""
    survey = survey_of(files, root, modalities)
    if survey is None or not survey.is_plain:
        return tar.open_reader(files, root, modalities)
    return SpanReader(files, root, modalities, survey)
