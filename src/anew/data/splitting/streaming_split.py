"""Splits a streamed source without reading all of it: by content if a pass over it is cheap, otherwise by whole shards."""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import evenly_spaced
from anew.core.reading_time import BUDGET_LIMIT, ReadingTime
from anew.data.modality import Modality, reasons
from anew.data.skipped import SkippedItems
from anew.data.sources.base import Shard
from anew.data.sources.source import Source
from anew.data.splitting import clusters, near_duplicates, split
from anew.data.splitting.key_set import KeySet
from anew.data.splitting.named_parts import parts_by_name
from anew.data.splitting.records import MAX_COMPARED, Records, content_key, read_records
from anew.data.splitting.row_choice import EVERY_ROW, NO_ROW
from anew.data.types import FEW_DOCUMENTS, Item, SkippedItem
from anew.errors import DataError

MAX_PASS_ITEMS = 20_000  # where there are no more items, each is hashed once before training; bounds the time
MAX_PASS_BYTES = 256 * 1024 * 1024  # and no more bytes
MAX_STREAM_BYTES = 4 * 1024**3  # the same for files that are read as slices: of large ones little is read
HELD_SHARDS = {split.VALIDATION: 8, split.TEST: 16}  # most shards held out without a pass: 2,048 and 4,096 images
OWN_SHARDS = 40  # shards of the user's own held-out parts that are read, evenly spread
COUNTED_SHARDS = 4  # shards of lines that are counted if none has to be read
MAX_EMPTY_RECORDS = 32_768  # records of shards without anything usable that are read before the split
MAX_ROUNDS = 16  # rounds of drawing held-out items and reading them, if many turn out to be unusable; chosen
PROBED_RECORDS = 16  # records of a shard that are read to see whether it holds anything usable
REJECTED = 255  # the part of an item that was refused
KEYS = 2.0**64  # number of different keys
READ_IN_RANDOM_ORDER = "The rest is read in random order, so a short budget sees a random part of it."


@dataclass(slots=True)
class SourceSplit:
    """The parts of a source's shards and records.

    Attributes:
        parts: A part number for each shard, or (n,) part numbers of its records; REJECTED ones cannot be used.
        held_out: Parts that were taken from train; the others are the user's own.
        drawn_one_by_one: Whether held-out items were drawn one by one, not by whole shards or recordings.
        are_draws: Whether copies are draws from a distribution and are divided like other items, see `split.are_draws`.
        held_keys: Keys of held-out items of other shards; a train item with one of them is dropped. Empty with draws.
        held_texts: Index of the texts among them; a train item that nearly repeats one is dropped.
        classes: Train items by class name; one of a shard of which some rows were left out counts as the rows that it stands for.
        notes: Sentences on the source's own parts.
        division_notes: Sentences on the parts that were taken from train.
        refusals: Items that cannot be used.
        records_per_item: Mean records of an item of the listing, to estimate shards that were not read.
        row_steps: For each shard the n of "one row in n is taken"; 0 if it is left out, since there was no time to read more. Empty if all
            is read. Rows that are not taken are REJECTED.
        balances_classes: Whether held-out recordings were chosen so that each class has its share.
        share_read: The share of all rows that are taken.
        draws_records: Whether records of a list too large for a pass were held out one by one.
        is_noted: Whether one of the notes says how many items each part has.
        cuts_recordings: Whether files are cut into clips, and enough of them for a note.
    """

    parts: list[int | NDArray[np.uint8]]
    held_out: list[int] = field(default_factory=list)
    drawn_one_by_one: bool = True
    are_draws: bool = False
    held_keys: KeySet = field(default_factory=KeySet)
    held_texts: near_duplicates.NearDuplicateIndex = field(default_factory=near_duplicates.NearDuplicateIndex)
    classes: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    division_notes: list[str] = field(default_factory=list)
    refusals: list[SkippedItem] = field(default_factory=list)
    records_per_item: float = 1.0
    row_steps: list[int] = field(default_factory=list)
    balances_classes: bool = False
    share_read: float = 1.0
    draws_records: bool = False
    is_noted: bool = False
    cuts_recordings: bool = False

    def items(self, shard: int, listed: int, part: int) -> float:
        """Number of records of the part in a shard that lists `listed` items; an estimate if it was not read."""
        parts = self.parts[shard]
        if isinstance(parts, int):
            return listed * self.records_per_item * float(parts == part)
        return float((parts == part).sum())

    def share(self, shard: int, part: int) -> float:
        """The share of a shard's records that belong to the part."""
        parts = self.parts[shard]
        if isinstance(parts, int):
            return float(parts == part)
        return float((parts == part).mean()) if len(parts) else 0.0

    @property
    def name(self) -> list[int | str]:
        """The parts as JSON values, by which a cache knows the division."""
        return [part if isinstance(part, int) else part.tobytes().hex() for part in self.parts]

    def repeats(self, item: Item) -> bool:
        """Whether a train item is a copy of a held-out one."""
        if not self.held_keys:
            return False
        if content_key(item) in self.held_keys:
            return True
        return isinstance(item.data, str) and self.held_texts.match(near_duplicates.minhash(item.data)) is not None

    def counts(self, shards: Sequence[Shard]) -> dict[str, int]:
        """Items by part; estimates for shards that were not read."""
        return {
            name: round(sum(self.items(b, shards[b].items, part) for b in range(len(shards))))
            for part, name in enumerate(split.NAMES[: split.TEST_CLUSTERS])
        }

    def is_estimate(self, shards: Sequence[Shard]) -> bool:
        """Whether `counts` are estimates."""
        parts_of = zip(shards, self.parts, strict=True)
        unread = [shard for shard, parts in parts_of if isinstance(parts, int) and parts != REJECTED]
        # How many copies of held-out records are dropped from train is not known before it is read
        return self.draws_records or any(not b.exact for b in unread) or (bool(unread) and self.records_per_item != 1.0)


def split_source(
    source: Source,
    shards: Sequence[Shard],
    modality: Modality,
    reading: ReadingTime | None = None,
    *,
    row_steps: Sequence[int] = (),
    balance_classes: bool = True,
    draw_records: bool = True,
    known: dict[int, int] | None = None,
) -> SourceSplit:
    """Decide the parts of every shard.

    Args:
        source, shards, modality: What is divided.
        reading: How long items may be read; None for no limit.
        row_steps: Steps of an earlier run that is repeated; see `SourceSplit`.
        balance_classes: Whether of recordings, which are held out as a whole, each class has its share; not in runs of older
            versions.
        draw_records: Whether records of large lists are held out one by one; False in runs of older versions, which held out shards.
        known: Keys of items whose bodies were read before, see `records.alike_keys`; the keys of other items are added.

    Raises:
        DataError: There is too little to divide.
    """
    if row_steps and len(row_steps) != len(shards):
        raise DataError(
            f"config.json of the run says how to read {len(row_steps):,} shards, and the data has {len(shards):,}"
        )
    code, held_out, notes = parts_by_name(shards)
    base = [code[shard.part] for shard in shards]
    for part in {split.VALIDATION, split.TEST} & set(base):
        if base.count(part) > OWN_SHARDS:
            notes.append(
                f"The {split.NAMES[part]} part is large: {OWN_SHARDS} of its {base.count(part):,} shards, evenly spaced, are read."
            )
    result = SourceSplit(list(base), held_out, notes=notes)
    is_list = modality.layout == "list"
    train = [i for i, part in enumerate(base) if part == split.TRAIN]
    if not held_out:
        if is_list:  # estimate how many lines a shard has
            sampled = evenly_spaced(train, COUNTED_SHARDS)
            records = sum(
                isinstance(record, Item) for b in sampled for record in read_records(source, shards[b], modality)
            )
            result.records_per_item = max(records / max(sum(shards[b].items for b in sampled), 1), 1.0)
        return result
    result.division_notes += clusters.no_clusters_note(modality)
    items = sum(shards[i].items for i in train)
    max_bytes = MAX_STREAM_BYTES if modality.traits.reads_file_slices else MAX_PASS_BYTES
    cheap = items <= MAX_PASS_ITEMS and sum(shards[i].bytes for i in train) <= max_bytes
    # Pieces of one large document count as one document.
    documents = items - sum(shards[i].continues for i in train)
    few_texts = modality.layout == "document" and documents < FEW_DOCUMENTS
    if (cheap and not is_list and not few_texts) or len(train) < 8:
        contents = Records(known)
        contents.read(source, shards, modality, train, reading, row_steps)
        _leave_out(contents, shards, train, result, BUDGET_LIMIT if reading is None else reading.limit)
        _split_by_content(source, shards, modality, result, contents, balance_classes)
    # Of the long spans of large archives only beginnings are read before training
    elif is_list and draw_records and all(source.held_out_shard(shards[i]) is shards[i] for i in train):
        _split_by_records(source, shards, modality, train, result)
    else:
        _split_by_shards(source, shards, modality, train, result)
    return result


def _split_by_content(
    source: Source,
    shards: Sequence[Shard],
    modality: Modality,
    result: SourceSplit,
    contents: Records,
    balance_classes: bool,
) -> None:
    """Divide train shards by the contents that were read of them."""
    result.refusals += contents.refusals
    bodies, reads_bodies = _Bodies(source, shards, modality, contents, result), _reads_bodies(modality)
    if reads_bodies:
        bodies.empty_shards()
    usable = bodies.usable
    share = split.held_out_share(len(usable), split.ENOUGH_ITEMS)
    recordings = [contents.recordings[i] for i in usable]
    keys = [contents.keys[i] for i in usable]
    result.are_draws = modality.layout == "list" and split.are_draws(keys)
    keys = split.keys_of_draws(keys) if result.are_draws else keys
    runs, recording_notes = split.keep_groups_together(keys, recordings, share)
    result.cuts_recordings = bool(recording_notes)
    result.drawn_one_by_one = 10 * sum(name is not None for name in recordings) < len(recordings)
    run_of = dict(zip(usable.tolist(), runs, strict=True))
    # The mix of classes among items that are drawn one by one is off by chance alone, which intervals know of
    is_labelled = len({contents.classes[i] for i in usable.tolist()}) > 1
    result.balances_classes = balance_classes and is_labelled and any(name is not None for name in recordings)
    for _ in range(MAX_ROUNDS):
        usable = bodies.usable
        own_runs, own_classes = [run_of[i] for i in usable], [contents.classes[i] for i in usable]
        sizes = [contents.sizes[i] for i in usable]
        if result.balances_classes:
            parts = split.assign_parts_by_class(own_runs, sizes, own_classes, share, result.held_out)
        else:
            parts = split.assign_parts(own_runs, sizes, share, result.held_out)
        bodies.parts[usable] = parts
        if not reads_bodies or not bodies.read_held_out():
            break
    parts = bodies.parts
    usable_parts = parts[parts != REJECTED]
    num_different = len({key for key, part in zip(contents.keys, parts.tolist(), strict=True) if part != REJECTED})
    num_copies = len(usable_parts) - num_different
    num_counted = len(usable_parts) if result.are_draws else num_different
    _check_enough(usable_parts, result, source.refusals, modality.noun, num_counted)
    for number in contents.lengths:
        result.parts[number] = np.full(contents.lengths[number], REJECTED, dtype=np.uint8)
    for (number, index), part in zip(contents.places, parts.tolist(), strict=True):
        result.parts[number][index] = part  # type: ignore[index]
    result.classes = _class_counts(contents, parts)
    result.division_notes += _split_notes(usable_parts, num_copies, modality, result) + recording_notes
    result.is_noted = True
    if len(contents.keys) > MAX_COMPARED:
        result.division_notes.append(
            f"Near-duplicates were searched for among {MAX_COMPARED:,} items only, exact duplicates among all."
        )


def _split_notes(parts: NDArray[np.uint8], num_copies: int, modality: Modality, result: SourceSplit) -> list[str]:
    """See `split.split_notes`."""
    num_refused = sum(item.count for item in result.refusals)
    by_size = modality.layout == "document"
    return split.split_notes(parts, num_copies, by_size, are_draws=result.are_draws, num_refused=num_refused)


def _class_counts(records: Records, parts: NDArray[np.uint8]) -> Counter[str]:
    """Train items by class name, see `SourceSplit.classes`: shards of few rows may hold classes of their own."""
    counts: Counter[str] = Counter()
    for i in np.flatnonzero(parts == split.TRAIN).tolist():
        counts[records.classes[i]] += records.row_steps[records.places[i][0]]
    return counts


def _leave_out(
    records: Records, shards: Sequence[Shard], train: Sequence[int], result: SourceSplit, limit: str
) -> None:
    """Reject all items of shards that were not read; where rows were left out, keep which, and say so. limit: see `ReadingTime`."""
    if len(records.row_steps) == len(train) and set(records.row_steps.values()) <= {EVERY_ROW}:
        return
    result.row_steps = [EVERY_ROW] * len(shards)
    for number in train:
        result.row_steps[number] = records.row_steps.get(number, NO_ROW)
        result.parts[number] = REJECTED  # those that were read are replaced
    total = sum(records.lengths.get(number, shards[number].items) for number in train)
    result.share_read = records.num_taken / max(total, 1)
    result.division_notes.append(
        f"{records.num_taken:,} of {total:,} items are used, from all over the data: the other {total - records.num_taken:,} could not "
        f"be read {limit}."
    )


def _check_enough(
    parts: NDArray[np.uint8], result: SourceSplit, more_skipped: Sequence[SkippedItem], singular: str, different: int
) -> None:
    """Raise DataError if too little is left to divide; it names the first refused items."""
    refused = SkippedItems()
    refused.add([*result.refusals, *more_skipped])
    if not len(parts) and refused.count:
        raise DataError(f"none of the {refused.count} {singular}s can be used{refused.sentence()}")
    try:
        split.check(parts, result.held_out, singular, different)
    except DataError as error:
        more = f" ({refused.count} more cannot be used{refused.sentence()})" if refused.count else ""
        raise DataError(f"{error}{more}") from None


class _Bodies:
    """Reads records whose bodies were not read yet, and refuses those that cannot be used.

    Attributes:
        parts: (n,) part of each record, REJECTED for those that cannot be used.
    """

    def __init__(
        self, source: Source, shards: Sequence[Shard], modality: Modality, contents: Records, result: SourceSplit
    ) -> None:
        self._source, self._shards, self._modality = source, shards, modality
        self._records, self._result = contents, result
        self._was_read = np.array(contents.is_body_valid, dtype=bool)
        self.parts = np.full(len(contents.keys), split.TRAIN, dtype=np.uint8)

    @property
    def usable(self) -> NDArray[np.intp]:
        """Numbers of the records that can be divided."""
        return np.flatnonzero(self.parts != REJECTED)

    def empty_shards(self) -> None:
        """Read a few records of each shard, evenly spread; if none of these can be used, read all of the shard."""
        shard_of = np.array([number for number, _ in self._records.places], dtype=np.int64)
        remaining = MAX_EMPTY_RECORDS
        for number in np.unique(shard_of[~self._was_read]).tolist():
            unread = np.flatnonzero(~self._was_read & (shard_of == number))
            batch = np.array(evenly_spaced(unread.tolist(), PROBED_RECORDS))
            if self.read(batch) == len(batch) and len(unread) <= remaining:
                self.read(unread[~self._was_read[unread]])
                remaining -= len(unread)

    def read_held_out(self) -> int:
        """Read the held-out records; returns how many cannot be used."""
        return self.read(np.flatnonzero(~self._was_read & (self.parts != split.TRAIN) & (self.parts != REJECTED)))

    def read(self, indices: NDArray[np.intp]) -> int:
        """Read these records; returns how many cannot be used."""
        self._was_read[indices] = True
        number_of = {self._records.places[i]: i for i in indices.tolist()}
        unusable: list[int] = []
        for shard in sorted({shard for shard, _ in number_of}):
            records = enumerate(read_records(self._source, self._shards[shard], self._modality))
            numbered = [(index, record) for index, record in records if (shard, index) in number_of]
            results = reasons(self._modality.validate_body, [record for _, record in numbered])
            for (index, _), (record, reason) in zip(numbered, results, strict=True):
                if reason is not None:
                    unusable.append(number_of[shard, index])
                    self._result.refusals.append(SkippedItem(record.name, reason, record.group))
        self.parts[unusable] = REJECTED
        return len(unusable)


def _reads_bodies(modality: Modality) -> bool:
    return type(modality).validate_body is not Modality.validate_body


def has_usable(modality: Modality, records: Sequence[Item]) -> bool:
    """Whether any of a few evenly spread records can be used; True if the modality cannot say."""
    if not _reads_bodies(modality):
        return True
    sampled = evenly_spaced(records, PROBED_RECORDS)
    return any(reason is None for _, reason in reasons(modality.validate_body, sampled))


def _split_by_shards(
    source: Source, shards: Sequence[Shard], modality: Modality, train: Sequence[int], result: SourceSplit
) -> None:
    """Hold out whole shards, drawn by the hash of their names; copies of their items are dropped from train when they are read."""
    order = _order(shards, train, modality)
    keys: list[int] = []
    listed, items = 0, sum(shards[i].items for i in train)
    for part in result.held_out:
        held_out_shards = _first_usable(source, shards, modality, order, _num_held(part, train))
        held_out = [source.held_out_shard(shards[number]) for number in held_out_shards]
        for place, (number, shard) in enumerate(zip(held_out_shards, held_out, strict=True)):
            for following in held_out[place + 1 : place + 2]:
                source.prefetch(following)
            result.parts[number] = part
            keys += _keep_keys(source, shard, modality, result)
            listed += shard.items
        left_out = set(held_out_shards)
        order = [number for number in order if number not in left_out]
    result.records_per_item = max(len(keys) / max(listed, 1), 1.0)
    result.are_draws = modality.layout == "list" and split.are_draws(keys)
    names = " and ".join(split.NAMES[part] for part in result.held_out)
    copies = "" if result.are_draws else " Copies of their items are dropped from train."
    result.division_notes.append(
        f"The data is too large for a first pass: {len(train) - len(order):,} of {len(train):,} shards with {listed / items:.1%} "
        f"of the items were drawn at random for {names}.{copies} {READ_IN_RANDOM_ORDER}"
    )
    _note_draws(result, keys)


def _split_by_records(
    source: Source, shards: Sequence[Shard], modality: Modality, train: Sequence[int], result: SourceSplit
) -> None:
    """Hold out records of some shards by the hash of their content. Most lists are sorted: a whole shard holds the names of one letter or
    the entries of one year, which say little of the others."""
    numbers = _order(shards, train, modality)[: sum(HELD_SHARDS[part] for part in result.held_out)]
    bounds = np.cumsum([_num_held(part, train) / len(numbers) for part in result.held_out])
    keys_of: dict[int, list[int]] = {}
    for place, number in enumerate(numbers):
        for following in numbers[place + 1 : place + 2]:
            source.prefetch(shards[following])
        keys_of[number] = _keep_keys(source, shards[number], modality, result, float(bounds[-1]))
    keys = list(itertools.chain.from_iterable(keys_of.values()))
    items, listed = sum(shards[i].items for i in train), sum(shards[i].items for i in numbers)
    result.records_per_item, result.draws_records = max(len(keys) / max(listed, 1), 1.0), True
    result.are_draws = split.are_draws(keys)
    codes = np.array([*result.held_out, split.TRAIN], dtype=np.uint8)
    for number, own in keys_of.items():
        uniform = np.array(split.keys_of_draws(own) if result.are_draws else own, dtype=np.uint64) / KEYS
        result.parts[number] = codes[np.searchsorted(bounds, uniform, side="right")]
    share = float(bounds[-1]) * listed / items
    names = " and ".join(split.NAMES[part] for part in result.held_out)
    copies = "" if result.are_draws else " Copies of these are dropped from train."
    result.division_notes.append(
        f"The data is too large for a first pass: about {share:.1%} of the records were drawn at random for {names}, from "
        f"{len(numbers):,} of {len(train):,} shards.{copies} {READ_IN_RANDOM_ORDER}"
    )
    _note_draws(result, keys)


def _num_held(part: int, train: Sequence[int]) -> int:
    """How many shards, or as many records as these hold, are held out for a part."""
    return min(max(1, round(split.HELD_OUT_SHARE * len(train))), HELD_SHARDS[part])


def _note_draws(result: SourceSplit, keys: Sequence[int]) -> None:
    if result.are_draws:
        result.held_keys, result.held_texts = KeySet(), near_duplicates.NearDuplicateIndex()
        result.division_notes.append(split.draws_note(len(keys) - len(set(keys)), len(keys)))


def _first_usable(
    source: Source, shards: Sequence[Shard], modality: Modality, order: Sequence[int], n: int
) -> list[int]:
    """The first n shards with something usable in them, or simply the first n if that is not cheap to find out."""
    if not _reads_bodies(modality):
        return list(order[:n])
    usable: list[int] = []
    for number in order:
        shard = source.held_out_shard(shards[number])
        records = [record for record in read_records(source, shard, modality) if isinstance(record, Item)]
        if has_usable(modality, records):
            usable.append(number)
        if len(usable) == n:
            return usable
    return usable or list(order[:n])


def _order(shards: Sequence[Shard], train: Sequence[int], modality: Modality) -> list[int]:
    """Shards in random order. If there are many recordings in parts, the parts of each stay side by side."""
    names = [shards[i].name for i in train]
    if modality.traits.reads_file_slices:
        first: list[str] = []
        name = ""
        for i in train:
            name = name if shards[i].continues else shards[i].name
            first.append(name)
        names = first if len(set(first)) >= split.MANY_RECORDINGS else names
    # Sorted by an array, since tuples to sort half a million shards by would take a hundred megabytes
    hashes = np.fromiter(map(near_duplicates.name_hash, names), dtype=np.uint64, count=len(names))
    places: list[int] = np.asarray(train)[np.argsort(hashes, kind="stable")].tolist()
    return places


def _keep_keys(
    source: Source, shard: Shard, modality: Modality, result: SourceSplit, held_share: float | None = None
) -> list[int]:
    """Keep the keys by which copies of the held-out records of a shard are recognized; returns the key of each record.

    held_share: The share of keys, from 0 on, whose records are held out. Records that cannot be used have a key, too, since parts go by
        places. None: all that can be used are held out.
    """
    keys, held = list[int](), array("Q")
    for record in read_records(source, shard, modality):
        if isinstance(record, SkippedItem):
            keys += [] if held_share is None else [near_duplicates.name_hash(record.name)]
            continue
        keys.append(content_key(record))
        if (held_share is None or keys[-1] / KEYS < held_share) and record.begins and record.ends:
            held.append(keys[-1])
            if isinstance(record.data, str):
                result.held_texts.add(keys[-1], near_duplicates.minhash(record.data))
    result.held_keys.add_all(held)
    return keys
