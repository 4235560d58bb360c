"""The records of shards, read once before the split: their keys, which near-duplicates share, and those that cannot be used."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from anew.core import isolation
from anew.core.arrays import evenly_spaced
from anew.core.reading_time import ReadingTime
from anew.data.modality import Modality, each, reasons
from anew.data.sources.base import Shard
from anew.data.sources.source import Source
from anew.data.splitting import near_duplicates
from anew.data.splitting.row_choice import (
    EVERY_ROW,
    MIN_ROWS_OF_SHARD,
    MIN_SECONDS,
    NO_ROW,
    RowCost,
    choose_rows,
    take_rows,
)
from anew.data.types import Item, SkippedItem

MAX_CHECKED = 4096  # items whose headers are checked in that pass, at most; bounds its time
MAX_COMPARED = 2048  # items that are compared for similarity, not only for equality: their bodies have to be decoded
MIN_READ = 256  # items that are read if it can be, about: fewer are hardly worth a training; chosen
LEAST_READ = 32  # items that are read in any case: of fewer, next to none could be held out; chosen
MIN_SHARDS = 8  # shards that the fewest items are from, as those of one may be of one class; chosen
PASSES = 2  # times that each item is decoded before the first step: to be divided, and to be learned
# Where time is limited, the first rows of some shards are read in pieces, and thrown away, to learn how long a row takes: else a short
# budget would take far more rows of the first shard than of others. The time of the first piece is not counted, since decoders start then.
# Pieces are read for at most TRIAL_SHARE of the time. All chosen.
TRIAL_SHARDS, TRIAL_ROWS, TRIAL_PIECE, TRIAL_SHARE = 8, 8, 4, 0.4
# Shards in a row that are read for that: of a row group of Parquet the first one takes as long as all. Chosen, and no more than a
# sixteenth of all.
LISTED_SHARDS = 3
# Largest number of rows of a later shard, as a multiple of those of the first one, where reading is faster than expected: classes may be
# in shards of their own, and their shares are learned. Chosen.
MAX_GROWTH = 2
MAX_BODIES = 4 * MAX_COMPARED  # bodies that are read for that, if many of them cannot be used


def read_records(source: Source, shard: Shard, modality: Modality) -> Iterator[Item | SkippedItem]:
    """The records of a shard; an item that cannot be split into records becomes one SkippedItem."""
    if not modality.holds_records:
        yield from source.read(shard)
        return
    for item, records in each(modality.split_records, source.read(shard)):
        if isinstance(item, SkippedItem):
            yield item
        elif isinstance(records, ValueError):
            yield SkippedItem(item.name, str(records))
        elif records is not None:
            yield from records


def content_key(item: Item) -> int:
    """The key that byte-equal items share; pieces of one long text share the key of its name."""
    return near_duplicates.exact_key(item if item.begins and item.ends else Item(item.name, item.name))


def alike_keys(
    modality: Modality, items: Sequence[Item], content_keys: Sequence[int], known: dict[int, int]
) -> Iterator[int | ValueError]:
    """Keys that near copies share too, by the modality's signature; a ValueError (one clause) for an item that cannot be used.

    Args:
        content_keys: `content_key` of each item.
        known: By these, what this gave for items whose bodies were read before; others are added, but no refusals: decoding may
            have failed for want of time or memory.
    """
    is_read = [
        item.begins and item.ends and not isinstance(item.data, str) and key not in known
        for item, key in zip(items, content_keys, strict=True)
    ]
    signatures = isolation.each(modality.signature, itertools.compress(items, is_read))
    for exact_key, reads_body in zip(content_keys, is_read, strict=True):
        signature = next(signatures) if reads_body else None
        if isinstance(signature, ValueError):
            yield signature
        elif signature is not None:
            yield known.setdefault(exact_key, near_duplicates.signature_key(signature))
        elif reads_body:
            yield known.setdefault(exact_key, exact_key)
        else:
            yield known.get(exact_key, exact_key)


class Records:
    """The usable records of the shards that are divided, in order.

    Attributes:
        keys: Key of each record, which copies share.
        sizes: Size of each: 1, or the characters of a document.
        places: (shard, index in it) of each.
        classes: Class name of each, "" without one.
        recordings: Recording that each was cut from, None without one.
        is_body_valid: Whether the body of each was already read, without a fault.
        lengths: Number of records of each shard, including the refused ones and those that were left out.
        row_steps: For each shard that is read, of how many of its rows one is taken.
        num_taken: Number of records that were taken, including the refused ones.
        refusals: Records that cannot be used.
    """

    def __init__(self, known: dict[int, int] | None = None) -> None:
        """known: See `alike_keys`."""
        self._known = {} if known is None else known
        self.keys: list[int] = []
        self.sizes: list[int] = []
        self.places: list[tuple[int, int]] = []
        self.classes: list[str] = []
        self.recordings: list[str | None] = []
        self.is_body_valid: list[bool] = []
        self.lengths: dict[int, int] = {}
        self.row_steps: dict[int, int] = {}
        self.num_taken = 0
        self.refusals: list[SkippedItem] = []
        self._bodies = 0  # number of bodies that were read
        # The key of each item whose body was compared, by content key: later copies of an item get its key without being decoded
        self._compared: dict[int, int] = {}

    def read(
        self,
        source: Source,
        shards: Sequence[Shard],
        modality: Modality,
        train: Sequence[int],
        reading: ReadingTime | None = None,
        row_steps: Sequence[int] = (),
    ) -> None:
        """Read all records of the shards `train`, or as many from all over them as there is time for.

        Args:
            source, shards, modality: What is read.
            train: Numbers of shards.
            reading: How long they may be read; None for no limit.
            row_steps: For each shard, of how many rows one was taken in an earlier run, which is repeated whatever the time.
        """
        reading = ReadingTime() if reading is None or row_steps else reading
        total = sum(shards[i].items for i in train)
        is_checked, is_sized = total <= MAX_CHECKED, modality.layout == "document"
        reading.begin_division()
        remaining = {i: row_steps[i] if row_steps else EVERY_ROW for i in train}
        remaining = {number: step for number, step in remaining.items() if step != NO_ROW}
        is_limited = reading.is_limited and total > MIN_READ
        cost = _trial(source, shards, modality, train, reading) if is_limited else RowCost(0.0, 0.0)
        begin = reading.elapsed
        min_step, min_read, rows_a_shard, is_fewest = EVERY_ROW, MIN_READ, MIN_ROWS_OF_SHARD, False
        if is_limited:
            reading.check_fewest(LEAST_READ, PASSES * LEAST_READ * cost.taken_s)
            min_read = int(
                min(MIN_READ, max(LEAST_READ, reading.seconds_for_fewest() / max(cost.taken_s, MIN_SECONDS)))
            )
            rows_a_shard = min(MIN_ROWS_OF_SHARD, min_read // MIN_SHARDS)
            remaining = choose_rows(train, shards, reading.seconds_to_division(), cost, min_read, rows_a_shard)
            # These are kept, since the first shards alone may be of one class
            is_fewest = min_read * cost.taken_s >= reading.seconds_to_division()
            min_step = -(-max(remaining.values()) // MAX_GROWTH)
        while remaining:
            number = next(iter(remaining))
            self.row_steps[number] = remaining.pop(number)
            self._read_shard(number, read_records(source, shards[number], modality), modality, is_checked, is_sized)
            reading.stage = f"reading the data: {self.num_taken:,} of {self._expected(shards, total)} items"
            if is_limited and remaining and not is_fewest:
                if self.num_taken >= min_read:
                    listed_s = cost.listed_s * sum(self.lengths.values())
                    cost = replace(cost, taken_s=max(reading.elapsed - begin - listed_s, 0.0) / self.num_taken)
                seconds, min_rows = reading.seconds_to_division(), min_read - self.num_taken
                steps = choose_rows(list(remaining), shards, seconds, cost, max(min_rows, 0), rows_a_shard)
                remaining = {number: max(step, min_step) for number, step in steps.items()}

    def _expected(self, shards: Sequence[Shard], listed: int) -> str:
        """How many records there are in `listed` items, as far as the shards that were read tell: files may be cut into several."""
        listed_so_far = sum(shards[number].items for number in self.lengths)
        records = round(listed * sum(self.lengths.values()) / max(listed_so_far, 1))
        return f"{listed:,}" if records == listed else f"about {records:,}"

    def _read_shard(
        self, number: int, records: Iterable[Item | SkippedItem], modality: Modality, is_checked: bool, is_sized: bool
    ) -> None:
        """Add the rows of a shard that are taken."""
        length = itertools.count()  # advances by one with each record
        counted = (record for record, _ in zip(records, length, strict=False))
        rows = take_rows(counted, number, self.row_steps[number])
        places: list[int] = []

        def placed() -> Iterator[Item | SkippedItem]:
            for place, record in rows:
                places.append(place)
                yield record

        for batch in isolation.batches(placed()):
            self._read_batch(number, batch, places, modality, is_checked, is_sized)
            self.num_taken += len(batch)
            places.clear()
        self.lengths[number] = next(length)

    def _read_batch(
        self,
        number: int,
        batch: Sequence[Item | SkippedItem],
        places: Sequence[int],
        modality: Modality,
        is_checked: bool,
        is_sized: bool,
    ) -> None:
        """Add records of a shard, which have these places in it."""
        content_keys = [content_key(record) if isinstance(record, Item) else 0 for record in batch]
        usable = self._usable(modality, batch, content_keys, is_checked)
        items = [
            (record, key)
            for record, key, fits in zip(batch, content_keys, usable, strict=True)
            if fits and isinstance(record, Item)
        ]
        near_keys = self._near_keys(modality, items)
        for place, record, exact_key, fits in zip(places, batch, content_keys, usable, strict=True):
            reason = None
            if fits and isinstance(record, Item):
                reason = self._take(record, exact_key, next(near_keys), is_sized)
            if reason is not None:
                self.refusals.append(SkippedItem(record.name, reason, record.group))
            elif fits:
                self.places.append((number, place))

    def _usable(
        self,
        modality: Modality,
        batch: Sequence[Item | SkippedItem],
        content_keys: Sequence[int],
        is_checked: bool,
    ) -> list[bool]:
        """Whether each record can be used, as far as its header says; that of a body that was read before is in order."""
        reads_header = [is_checked and key not in self._known for key in content_keys]
        results = reasons(modality.validate_header, itertools.compress(batch, reads_header))
        usable = []
        for item, is_read in zip(batch, reads_header, strict=True):
            reason = next(results)[1] if is_read else getattr(item, "reason", None)
            usable.append(reason is None)
            if reason is not None:
                self.refusals.append(SkippedItem(item.name, reason, item.group))
        return usable

    def _near_keys(self, modality: Modality, items: Sequence[tuple[Item, int]]) -> Iterator[int | ValueError | None]:
        """The key of each of some items with their content keys; None for all once enough were compared."""
        max_compared = min(MAX_BODIES - self._bodies, len(items)) if len(self.keys) < MAX_COMPARED else 0
        compared, content_keys = [item for item, _ in items[:max_compared]], [key for _, key in items[:max_compared]]
        for result in alike_keys(modality, compared, content_keys, self._known):
            more = len(self.keys) < MAX_COMPARED
            self._bodies += more
            yield result if more else None
        while True:
            yield None

    def _take(self, item: Item, exact_key: int, near_key: int | ValueError | None, is_sized: bool) -> str | None:
        if isinstance(near_key, ValueError):
            return str(near_key)
        if near_key is not None:
            self._compared[exact_key] = near_key
        self.keys.append(self._compared.get(exact_key, exact_key))
        self.is_body_valid.append(near_key is not None)
        self.sizes.append(item.size if is_sized else 1)
        self.classes.append(item.label or "")
        self.recordings.append(item.group)
        return None


def _trial(
    source: Source,
    shards: Sequence[Shard],
    modality: Modality,
    train: Sequence[int],
    reading: ReadingTime,
) -> RowCost:
    """The cost of rows, by the first ones of some shards, and by successive shards that are read and not looked at."""
    # Nothing is known here: an earlier command read these very rows, so that all others would seem to cost nothing, too
    trial, pieces, ends = (
        Records(),
        list[tuple[int, float]](),
        reading.elapsed + TRIAL_SHARE * reading.seconds_to_division(),
    )
    for number in evenly_spaced(train, TRIAL_SHARDS):
        records = list(itertools.islice(read_records(source, shards[number], modality), TRIAL_ROWS))
        for start in range(0, len(records), TRIAL_PIECE):
            if len(pieces) > 1 and reading.elapsed > ends:
                break
            piece, begin = records[start : start + TRIAL_PIECE], reading.elapsed
            trial._read_batch(number, piece, range(len(piece)), modality, is_checked=True, is_sized=False)
            pieces.append((len(piece), reading.elapsed - begin))
    seconds, num_timed = sum(seconds for _, seconds in pieces[1:]), sum(num_rows for num_rows, _ in pieces[1:])
    middle, begin = len(train) // 2, reading.elapsed
    listed = train[middle : middle + max(1, min(LISTED_SHARDS, len(train) // 16))]
    num_listed = sum(1 for number in listed for _ in read_records(source, shards[number], modality))
    return RowCost((reading.elapsed - begin) / max(num_listed, 1), seconds / max(num_timed, 1))
