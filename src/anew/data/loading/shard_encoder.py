"""One shard of a source -> its encoded items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from anew.core import isolation
from anew.core.arrays import Numbers
from anew.core.specs import Grid
from anew.data.loading.cache import EncodedShard
from anew.data.modality import Modality
from anew.data.sources.base import Shard
from anew.data.sources.source import Source
from anew.data.splitting import split
from anew.data.splitting.records import read_records
from anew.data.splitting.streaming_split import REJECTED, SourceSplit
from anew.data.types import Item, SkippedItem


class ShardEncoder:
    """Encodes shard `n`, its train items as number n and its held-out ones as number n + len(shards). Thread-safe.

    labels: class number by name, empty where classes are not learned.
    """

    def __init__(self, source: Source, shards: Sequence[Shard], modality: Modality, division: SourceSplit) -> None:
        self._source, self._shards, self._modality, self._split = source, shards, modality, division
        self.labels: dict[str, int] = {}

    def items(self, number: int, is_held_out: bool = False) -> Iterator[tuple[Item | SkippedItem, int]]:
        """Train (or held-out) items of a shard with their parts, and refusals; near-duplicates of held-out items are left out."""
        parts = self._split.parts[number]
        for at, record in enumerate(read_records(self._source, self._shards[number], self._modality)):
            part = parts if isinstance(parts, int) else int(parts[at]) if at < len(parts) else REJECTED
            if part == REJECTED or (part != split.TRAIN) != is_held_out:
                continue
            if isinstance(record, SkippedItem) or is_held_out or not self._split.repeats(record, self._modality):
                yield record, part

    def prefetch(self, name: int) -> None:
        """Have the source of shard `name` fetched, where it lies in a store."""
        self._source.prefetch(self._shards[name % len(self._shards)])

    def encode(self, name: int) -> EncodedShard:
        """Shard `name`, see the class."""
        number, is_held_out = name % len(self._shards), name >= len(self._shards)
        out = _EncodedItems()
        todo: list[tuple[Item, int]] = []
        for record, part in self.items(number, is_held_out):
            if isinstance(record, SkippedItem):
                out.refused.append([record.name, record.reason, record.group])
                continue
            todo.append((record, part))
            if len(todo) == isolation.PIECE:
                self._encode_batch(todo, out)
                todo = []
        self._encode_batch(todo, out)
        lengths = np.fromiter(map(len, out.values), dtype=np.int64, count=len(out.values))
        labels, parts = np.array(out.labels, dtype=np.int64), np.array(out.parts, dtype=np.uint8)
        return EncodedShard(self._concatenate(out.values), lengths, labels, parts, out.refused)

    def _encode_batch(self, todo: Sequence[tuple[Item, int]], out: _EncodedItems) -> None:
        encoded = self._modality.encode_many([item for item, _ in todo]) if todo else []
        for (item, part), values in zip(todo, encoded, strict=True):
            label = self.labels.get(item.label or "", -1 if self.labels else 0)
            if isinstance(values, str):
                out.refused.append([item.name, values, item.group])
            elif label < 0:
                unknown = f"has the class {item.label!r}, which the listing did not show"
                out.refused.append([item.name, unknown, item.group])
            else:
                out.values.append(values)
                out.labels.append(label)
                out.parts.append(part)

    def _concatenate(self, values: Sequence[Numbers]) -> Numbers:
        spec = self._modality.spec
        if isinstance(spec, Grid):
            return np.stack(values) if values else np.zeros((0, *spec.shape), dtype=np.uint8)
        return np.concatenate(values) if values else np.zeros(0, dtype=np.uint16)


class _EncodedItems:
    """The encoded part of one shard so far."""

    def __init__(self) -> None:
        self.values: list[Numbers] = []
        self.labels: list[int] = []
        self.parts: list[int] = []
        self.refused: list[list[str | None]] = []
