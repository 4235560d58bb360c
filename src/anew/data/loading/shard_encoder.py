"""Encodes the items of one shard of a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from anew.core import isolation
from anew.core.arrays import Numbers
from anew.core.specs import UNKNOWN_CLASS, Grid
from anew.data.loading.cache import EncodedShard
from anew.data.loading.rows import class_refusal
from anew.data.modality import Modality
from anew.data.sources.base import Shard
from anew.data.sources.source import Source
from anew.data.splitting import split
from anew.data.splitting.records import read_records
from anew.data.splitting.streaming_split import REJECTED, SourceSplit
from anew.data.types import Item, SkippedItem


class ShardEncoder:
    """Encodes shards. Thread-safe.

    The train items of shard n have the number n, and its held-out items the number n + len(shards).

    Attributes:
        labels: Class number by name; empty if classes are not learned.
    """

    def __init__(self, source: Source, shards: Sequence[Shard], modality: Modality, division: SourceSplit) -> None:
        self._source, self._shards, self._modality, self._split = source, shards, modality, division
        self.labels: dict[str, int] = {}

    def items(self, number: int, is_held_out: bool = False) -> Iterator[tuple[Item | SkippedItem, int]]:
        """Train (or held-out) items of a shard with their parts, and refusals; near-duplicates of held-out items are left out."""
        for index, record in enumerate(read_records(self._source, self._shards[number], self._modality)):
            part = self._part_of(number, index)
            is_asked_for = part != split.TRAIN if is_held_out else part == split.TRAIN
            if part == REJECTED or not is_asked_for:
                continue
            if isinstance(record, SkippedItem) or is_held_out or not self._split.repeats(record):
                yield record, part

    def _part_of(self, number: int, index: int) -> int:
        """The part of a record of a shard; REJECTED for one after those that were divided."""
        parts = self._split.parts[number]
        if isinstance(parts, int):
            return parts
        return int(parts[index]) if index < len(parts) else REJECTED

    def cached_name(self, number: int) -> str:
        """The name of what `encode` gives for this number in a cache."""
        half = "train" if number < len(self._shards) else "held"
        return f"{self._shards[number % len(self._shards)].name}|{half}"

    def prefetch(self, number: int) -> None:
        """Start to fetch the source of a shard, if it lies in a store. number: see the class."""
        self._source.prefetch(self._shards[number % len(self._shards)])

    def encode(self, number: int) -> EncodedShard:
        """The encoded items with this number, see the class."""
        shard, is_held_out = number % len(self._shards), number >= len(self._shards)
        encoded = _EncodedItems()
        waiting: list[tuple[Item, int]] = []
        for record, part in self.items(shard, is_held_out):
            if isinstance(record, SkippedItem):
                encoded.refused.append([record.name, record.reason, record.group])
                continue
            waiting.append((record, part))
            if len(waiting) == isolation.BATCH_ITEMS:
                self._encode_batch(waiting, encoded)
                waiting = []
        self._encode_batch(waiting, encoded)
        lengths = np.fromiter(map(len, encoded.values), dtype=np.int64, count=len(encoded.values))
        labels, parts = np.array(encoded.labels, dtype=np.int64), np.array(encoded.parts, dtype=np.uint8)
        return EncodedShard(self._concatenate(encoded.values), lengths, labels, parts, encoded.refused)

    def names(self, number: int, part: int, refusals: Sequence[Sequence[str | None]]) -> list[str]:
        """Names of the items of a part that `encode` gives for this number, in their order. refusals: see `EncodedShard`."""
        refused = Counter(name for name, *_ in refusals)
        names = []
        for record, record_part in self.items(number % len(self._shards), number >= len(self._shards)):
            if refused[record.name]:
                refused[record.name] -= 1
            elif record_part == part:
                names.append(record.name)
        return names

    def _encode_batch(self, items: Sequence[tuple[Item, int]], encoded: _EncodedItems) -> None:
        """Encode items with their parts, and add them to `encoded`."""
        rows = self._modality.encode_many([item for item, _ in items]) if items else []
        for (item, part), values in zip(items, rows, strict=True):
            label = self.labels.get(item.label or "", UNKNOWN_CLASS if self.labels else 0)
            if isinstance(values, str):
                encoded.refused.append([item.name, values, item.group])
            elif label == UNKNOWN_CLASS:
                encoded.refused.append([item.name, class_refusal(item.label), item.group])
            else:
                encoded.values.append(values)
                encoded.labels.append(label)
                encoded.parts.append(part)

    def _concatenate(self, values: Sequence[Numbers]) -> Numbers:
        spec = self._modality.spec
        if isinstance(spec, Grid):
            return np.stack(values) if values else np.zeros((0, *spec.shape), dtype=np.uint8)
        return np.concatenate(values) if values else np.zeros(0, dtype=np.uint16)


class _EncodedItems:
    """The items of one shard that are encoded so far."""

    def __init__(self) -> None:
        self.values: list[Numbers] = []
        self.labels: list[int] = []
        self.parts: list[int] = []
        self.refused: list[list[str | None]] = []
