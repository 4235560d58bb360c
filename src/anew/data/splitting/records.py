"""The records of shards, read once before the split: their keys, which near-duplicates share, and those that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from anew.core import isolation
from anew.core.reading_time import ReadingTime
from anew.data.modality import Modality, each, reasons
from anew.data.sources.base import Shard, evenly_spaced
from anew.data.sources.source import Source
from anew.data.splitting import near_duplicates
from anew.data.types import Item, SkippedItem

MAX_CHECKED = 4096  # items whose headers are checked in that pass, at most; bounds its time
MAX_COMPARED = 2048  # items that are compared for similarity, not only for equality: their bodies have to be decoded
MIN_READ = 256  # items that are always read: fewer are hardly worth a training, and say little about the time; chosen
MIN_SHARDS = 3  # shards that are always read: the first ones alone are of one class, where folders are classes; chosen
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


def alike_keys(modality: Modality, items: Sequence[Item]) -> Iterator[int | ValueError]:
    """Keys that near copies share too, by the modality's signature; a ValueError (one clause) for an item that cannot be used."""
    complete = [item for item in items if item.begins and item.ends and not isinstance(item.data, str)]
    signatures = isolation.each(modality.signature, complete)
    for item in items:
        signature = next(signatures) if item.begins and item.ends and not isinstance(item.data, str) else None
        if isinstance(signature, ValueError):
            yield signature
        else:
            yield content_key(item) if signature is None else near_duplicates.signature_key(signature)


class Records:
    """The usable records of the shards that are divided, in order.

    Attributes:
        keys: Key of each record, which copies share.
        sizes: Size of each: 1, or the characters of a document.
        places: (shard, index in it) of each.
        classes: Class name of each, "" without one.
        recordings: Recording that each was cut from, None without one.
        sound: Whether the body of each was already read, without a fault.
        lengths: Number of records of each shard, including the refused ones.
        unread: Shards that were left out, since there was no time to read them.
        refusals: Records that cannot be used.
    """

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.sizes: list[int] = []
        self.places: list[tuple[int, int]] = []
        self.classes: list[str] = []
        self.recordings: list[str | None] = []
        self.sound: list[bool] = []
        self.lengths: dict[int, int] = {}
        self.unread: list[int] = []
        self.refusals: list[SkippedItem] = []
        self._bodies = 0  # number of bodies that were read
        # By content key, the key of each item whose body was compared; later copies of it are not decoded, and get it by this
        self._compared: dict[int, int] = {}

    def read(
        self,
        source: Source,
        shards: Sequence[Shard],
        modality: Modality,
        train: Sequence[int],
        reading: ReadingTime | None = None,
    ) -> None:
        """Read all records of the shards `train`, or of as many of them as there is time for."""
        reading = ReadingTime() if reading is None else reading
        check = sum(shards[i].items for i in train) <= MAX_CHECKED
        by_size = modality.layout == "document"
        reading.begin_division()
        remaining, begin = list(train), reading.elapsed
        while remaining:
            number = remaining.pop(0)
            self.lengths[number] = 0
            for batch in isolation.batches(read_records(source, shards[number], modality)):
                self._read_batch(number, batch, modality, check, by_size)
                self.lengths[number] += len(batch)
            num_read, total = (sum(shards[i].items for i in numbers) for numbers in (self.lengths, train))
            reading.stage = f"reading the data: {num_read:,} of {total:,} items"
            if num_read >= MIN_READ:
                seconds_per_item = (reading.elapsed - begin) / num_read
                seconds, min_shards = reading.left_to_divide(), MIN_SHARDS - len(self.lengths)
                in_time = _readable(remaining, shards, seconds_per_item, seconds, min_shards)
                self.unread += [i for i in remaining if i not in in_time]
                remaining = in_time

    def _read_batch(
        self, number: int, batch: Sequence[Item | SkippedItem], modality: Modality, check: bool, by_size: bool
    ) -> None:
        """Add the next records of a shard."""
        usable = self._usable(modality, batch, check)
        items = [record for record, fits in zip(batch, usable, strict=True) if fits and isinstance(record, Item)]
        near_keys = self._near_keys(modality, items)
        for index, (record, fits) in enumerate(zip(batch, usable, strict=True), self.lengths[number]):
            reason = self._take(record, next(near_keys), by_size) if fits and isinstance(record, Item) else None
            if reason is not None:
                self.refusals.append(SkippedItem(record.name, reason, record.group))
            elif fits:
                self.places.append((number, index))

    def _usable(self, modality: Modality, batch: Sequence[Item | SkippedItem], check: bool) -> list[bool]:
        results = (
            reasons(modality.validate_header, batch)
            if check
            else ((item, getattr(item, "reason", None)) for item in batch)
        )
        usable = []
        for item, reason in results:
            usable.append(reason is None)
            if reason is not None:
                self.refusals.append(SkippedItem(item.name, reason, item.group))
        return usable

    def _near_keys(self, modality: Modality, items: Sequence[Item]) -> Iterator[int | ValueError | None]:
        """The key of each; None for all items once enough were compared."""
        max_compared = min(MAX_BODIES - self._bodies, len(items)) if len(self.keys) < MAX_COMPARED else 0
        for result in alike_keys(modality, items[:max_compared]):
            more = len(self.keys) < MAX_COMPARED
            self._bodies += more
            yield result if more else None
        while True:
            yield None

    def _take(self, item: Item, near_key: int | ValueError | None, by_size: bool) -> str | None:
        if isinstance(near_key, ValueError):
            return str(near_key)
        exact_key = content_key(item)
        if near_key is not None:
            self._compared[exact_key] = near_key
        self.keys.append(self._compared.get(exact_key, exact_key))
        self.sound.append(near_key is not None)
        self.sizes.append(item.size if by_size else 1)
        self.classes.append(item.label or "")
        self.recordings.append(item.group)
        return None


def _readable(
    numbers: list[int], shards: Sequence[Shard], seconds_per_item: float, seconds: float, min_shards: int
) -> list[int]:
    """The shards of these that can be read in `seconds`: all, or evenly spaced ones, of which there is a least number."""
    items = sum(shards[i].items for i in numbers)
    if not items or seconds_per_item * items <= seconds:
        return numbers
    in_time = int(len(numbers) * max(seconds, 0.0) / (seconds_per_item * items))
    return evenly_spaced(numbers, max(in_time, min_shards, 0))
