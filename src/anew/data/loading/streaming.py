"""A source read in shards while training goes on: images of any number, and text too large to keep whole.

A background thread encodes ahead, in the order of use; the cache keeps encoded shards for the next run. The listing fixes
the order of examples (see `epoch_order`), so it never depends on what was already encoded.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers
from anew.core.files import cache_root
from anew.core.specs import Batch, Grid, Spec, Tokens
from anew.data.loading.cache import DiskCache, EncodedShard, ShardCache, cache_name
from anew.data.loading.epoch_order import EpochOrder, share_of_rows
from anew.data.loading.rows import Examples, Rows, concatenate, examples_of, training_batch
from anew.data.loading.shard_encoder import ShardEncoder
from anew.data.loading.stored_shards import StoredShards
from anew.data.modality import Modality
from anew.data.skipped import SkippedItems
from anew.data.sources.base import Shard
from anew.data.sources.source import Source
from anew.data.splitting import split
from anew.data.splitting.streaming_split import OWN_SHARDS, REJECTED, SourceSplit, has_usable
from anew.data.types import Item, SkippedItem
from anew.errors import DataError

# Text (bytes, items) or grids that `fit` sees: enough for a vocabulary, or for shape and scale.
FIT_BYTES, FIT_TEXTS, FIT_ITEMS = 4 * 1024 * 1024, 100_000, 2048
MEASURED_ITEMS = 4096  # texts that are encoded to measure how many examples a byte makes
PASS_BYTES, PASS_ITEMS = 16 * 1024 * 1024, 4096  # bytes of text, or grids, of a pass without a limit
PASS_GRIDS, MIN_PASS_GRIDS = 512 * 1024 * 1024, 256  # bytes of stored grids in a pass, and grids that it always has
# A pass has more stored grids of no more bytes than this (32 x 32 in colour and less): they are quickly read, and closed
# forms are worse without them (docs/log.md, 2026-11-27).
SMALL_GRID, SMALL_GRIDS_FACTOR = 4096, 2.5
GROUP_BYTES = 64 * 1024 * 1024  # encoded bytes that are shuffled together: a group or two are in memory
# Fewest and most shards of a group: all must be encoded before the first example is used
MIN_GROUP_SHARDS, MAX_GROUP_SHARDS = 2, 64


def pass_size(spec: Spec, rates: Mapping[str, float]) -> int:
    """Train examples of a pass without a limit. rates: see `StreamingStore`."""
    if isinstance(spec, Grid):
        max_items = PASS_ITEMS * (SMALL_GRIDS_FACTOR if rates["ids"] <= SMALL_GRID else 1.0)
        return int(np.clip(PASS_GRIDS / rates["ids"], MIN_PASS_GRIDS, max_items))
    return max(1, round(PASS_BYTES * rates["examples"]))


class StreamingStore:
    """The methods of `in_memory.InMemoryStore`; counts are estimates as long as shards are not read yet.

    Attributes:
        division_name: JSON values that change with any file and with the parts of items: caches know the data by them.
        class_counts: Items of the train part by the name of their class, "" without one; of a source that is divided unread those of
            `fit_items`.
    """

    def __init__(
        self, source: Source, shards: Sequence[Shard], modality: Modality, seed: int, division: SourceSplit
    ) -> None:
        """division: The parts of the shards, as `split_source` returned them."""
        self.modality = modality
        self._source, self._shards, self._seed = source, list(shards), seed
        self._split = division
        for number in _held_out_as_wholes(division):
            self._shards[number] = source.held_out_shard(self._shards[number])
        self._encoder = ShardEncoder(source, self._shards, modality, self._split)
        self.notes, self.division_notes, self.row_steps = division.notes, division.division_notes, division.row_steps
        self.balances_classes, self.share_read = division.balances_classes, division.share_read
        self.draws_records = division.draws_records
        self.is_split_noted, self.cuts_recordings = division.is_noted, division.cuts_recordings
        # In lists, only exact duplicates are looked for before the division
        self.splits_near_duplicates = self.validates_at_random = False
        self.held_out, self.are_draws, self.drawn_one_by_one = (
            division.held_out,
            division.are_draws,
            division.drawn_one_by_one,
        )
        self.division_name = [max(shard.stamp for shard in shards), *division.name]
        self.refusals = SkippedItems()
        self.refusals.add([*self._split.refusals, *source.refusals])
        self._train = [b for b in range(len(shards)) if self._split.share(b, split.TRAIN) > 0]
        if not self._train:
            raise DataError(f"{source.path!r} has no train part")
        self.class_counts = self._split.classes
        self._seen: set[int] = set()
        self._views: OrderedDict[int, Examples] = OrderedDict()
        self._held: dict[int, Examples] = {}
        self._held_shards_of: dict[int, list[int]] = {}  # which shards these are of
        # Set by `fit_items`; `encode` measures the items and drops them
        self._fit_items: list[Item] = []
        self._fit_bytes, self._fit_shards = 0.0, list[int]()
        # Set by `encode`
        self._cache: ShardCache | None = None
        self._order: EpochOrder
        self._requested = (-1, -1, -1)  # what was last asked of the background thread: see `EpochOrder.upcoming`
        # Examples, units and ids that a byte of the source makes; for grids only "ids": bytes of each
        self.rates: dict[str, float] = {}

    @property
    def classes(self) -> list[str]:
        """Class names of the train part that are known from reading it; none for sources that are divided unread."""
        return sorted(name for name in self._split.classes if name)

    def scan_parts(self) -> dict[str, int]:
        """Items by part."""
        return self._split.counts(self._shards)

    @property
    def is_estimate(self) -> bool:
        """Whether these numbers are estimates."""
        return self._split.is_estimate(self._shards)

    def fit_items(self) -> list[Item]:
        """Train items of the first shards in the order of training."""
        self.rates = {}
        items: list[Item] = []
        self._fit_bytes, self._fit_shards = 0.0, []
        numbers = _in_order(self._train, self._seed)
        for number in numbers:
            records = [record for record, _ in self._encoder.items(number) if isinstance(record, Item)]
            if not has_usable(self.modality, records) and number != numbers[-1]:
                continue
            self._fit_shards.append(number)
            items += records
            self._fit_bytes += self._train_bytes(number)
            is_text = bool(items) and isinstance(items[0].data, str)
            if len(items) >= (FIT_TEXTS if is_text else FIT_ITEMS) or (is_text and self._fit_bytes >= FIT_BYTES):
                break
        if not items:
            raise DataError(_nothing_to_fit(self._encoder, numbers))
        self._fit_items = items
        self.class_counts = self.class_counts or Counter(item.label or "" for item in items)
        return items

    def _train_bytes(self, number: int) -> float:
        return self._shards[number].bytes * self._split.share(number, split.TRAIN)

    # ---- encoding ----

    def encode(self, labels: Sequence[str], cache: Path | None, name: Sequence[object]) -> None:
        """Prepare to encode with the fitted modality.

        Args:
            labels: Names of the classes, empty if none are learned.
            cache: Folder of the cache; None: the default one.
            name: JSON values that the cache depends on, besides what the modality has learned.
        """
        self.close()
        self._views.clear()
        self._held.clear()
        self._requested = (-1, -1, -1)
        self._encoder.labels = {label: i for i, label in enumerate(labels)}
        folder = cache_name(*name, *self.division_name, list(labels), self.modality.encoding_state())
        disk = DiskCache(cache_root(cache), folder)
        self._cache = ShardCache(self._encoder.cached_name, self._encoder.encode, disk, fetch=self._encoder.prefetch)
        if not self.rates:
            self._measure()
        size = max(1.0, float(np.mean([self._encoded_bytes(number) for number in self._train])))
        group = int(np.clip(GROUP_BYTES / size, MIN_GROUP_SHARDS, MAX_GROUP_SHARDS))
        self._order = EpochOrder([self._slots(number) for number in self._train], group, self._seed)

    def _measure(self) -> None:
        items, self._fit_items = self._fit_items, []
        if isinstance(self.modality.spec, Grid):  # all have the same size; training begins with these shards anyway
            numbers = self._fit_shards or _in_order(self._train, self._seed)
            first = next((shard for shard in map(self._encoded, numbers) if len(shard.parts)), None)
            self.rates = {"ids": first.values.nbytes / len(first.parts)} if first else {}
        else:
            rows = self.modality.encode_many(items[:MEASURED_ITEMS])
            if encoded := [values for values in rows if not isinstance(values, str)]:
                size = self._fit_bytes * min(len(items), MEASURED_ITEMS) / len(items)
                view, ids = examples_of(self.modality, encoded, None), sum(map(len, encoded))
                self.rates = {"examples": view.count / size, "units": view.units / size, "ids": ids / size}
        if not self.rates:
            raise DataError(
                f"no {self.modality.noun} of the beginning of {self._source.path!r} can be used{self.refusals.sentence()}"
            )

    def _slots(self, number: int) -> int:
        if isinstance(self.modality.spec, Grid):
            return max(1, round(self._split.items(number, self._shards[number].items, split.TRAIN)))
        return max(1, round(self._train_bytes(number) * self.rates["examples"]))

    def _encoded_bytes(self, number: int) -> float:
        spec = self.modality.spec
        if isinstance(spec, Grid):
            items = self._split.items(number, self._shards[number].items, split.TRAIN)
            return items * self.rates["ids"]  # bytes of a stored grid
        return self._shards[number].bytes * self.rates["ids"] * 2

    def _encoded(self, number: int) -> EncodedShard:
        """Encoded items; `number` as in `ShardEncoder`."""
        assert self._cache is not None, "`encode` comes first"
        shard = self._cache.get(number)
        if number not in self._seen:
            self._seen.add(number)
            self.refusals.add(SkippedItem(str(name), str(reason), *group) for name, reason, *group in shard.refusals)
        return shard

    def _fetching_ahead(self, numbers: Sequence[int]) -> Iterator[int]:
        assert self._cache is not None, "`encode` comes first"
        return self._cache.fetching_ahead(numbers)

    def _view(self, number: int) -> Examples:
        """The train examples of one shard."""
        shard = self._encoded(number)
        if number not in self._views:
            # Those of a group and of the one after it: what the cache has left out would not be given back
            size = max(shard.bytes, 1)
            while len(self._views) >= min(2 * MAX_GROUP_SHARDS, 2 * GROUP_BYTES // size + MIN_GROUP_SHARDS):
                self._views.popitem(last=False)
            self._views[number] = self._examples([shard])
        return self._views[number]

    def _examples(self, shards: Sequence[EncodedShard], part: int | None = None) -> Examples:
        """The items of some shards (of one part) together."""
        values, labels = _select_items(shards, part, self.modality.spec)
        return examples_of(self.modality, values, labels if self._encoder.labels else None)

    # ---- training ----

    @property
    def train_items(self) -> int:
        """Examples an epoch."""
        return self._order.total

    @property
    def train_units(self) -> float:
        """Characters or pixels of the train part, estimated."""
        spec = self.modality.spec
        if isinstance(spec, Grid):
            return float(self._order.total * np.prod(spec.shape))
        return float(sum(map(self._train_bytes, self._train)) * self.rates["units"])

    def batch(self, index: NDArray[np.int64], phase: str, first: int, count: int) -> Batch:
        """Rows of the batch of the examples with these global numbers."""
        self.prefetch(index, phase, first, count)
        index, slots = self._order.batch(index, phase, first, count)
        rows = [self._row_at(shard, fraction) for shard, fraction in slots.pairs()]
        return training_batch(self.modality, concatenate(rows), index)

    def _row_at(self, shard: int, fraction: float) -> Rows:
        for step in range(len(self._train)):  # if all items of a shard were refused, the next one fills its slots
            view = self._view(self._train[(shard + step) % len(self._train)])
            if view.count:
                return view.at_fraction(fraction)
        raise DataError(
            f"nothing usable is left in {self._source.path!r}: {self.refusals.count} refused{self.refusals.sentence()}"
        )

    def prefetch(self, index: NDArray[np.int64], phase: str, first: int, count: int) -> None:
        """Encode the shards of these rows, and those after them, in the background."""
        del phase  # all phases go through the shards in one order
        coming = self._order.upcoming(int(index[0]))
        if coming != self._requested:
            self._requested = coming
            assert self._cache is not None, "`encode` comes first"
            share = share_of_rows(first, count, len(index))
            self._cache.prefetch([self._train[b] for b in self._order.shards_of(*coming, share)])

    # ---- reading parts ----

    def _first_views(self, min_rows: int) -> Iterator[Examples]:
        """Train examples shard by shard in the order of training until there are enough."""
        for number in self._fetching_ahead([self._train[place] for place in self._order.first()]):
            view = self._view(number)
            if view.count:
                yield view
                min_rows -= view.count
            if min_rows <= 0:
                return

    @property
    def reads_all(self) -> bool:
        """Whether a pass without a limit reads all train data."""
        return self._order.total <= pass_size(self.modality.spec, self.rates)

    def one_pass(self, part: int, limit: int | None) -> Iterator[Batch]:
        """One ordered pass; for train over the first shards in the order of training: PASS_BYTES of text or PASS_ITEMS grids."""
        if part != split.TRAIN:
            yield from self.rows(part).one_pass(self.modality, limit)
            return
        # The numbers of examples are estimates until the shards are read
        max_examples = sys.maxsize if self.reads_all else pass_size(self.modality.spec, self.rates)
        remaining = max_examples if limit is None else min(limit, max_examples)
        for view in self._first_views(remaining):
            yield from view.one_pass(self.modality, min(remaining, view.count))
            remaining -= view.count

    def rows(self, part: int, min_rows: int = 0) -> Examples:
        """All examples of a held-out part; of train those of a pass, or `min_rows` if that is more."""
        examples = self._held.get(part)
        if examples is None or (part == split.TRAIN and examples.count < min(min_rows, 0.9 * self._order.total)):
            numbers = self._shards_of(part, min_rows)
            examples = self._held[part] = self._examples(list(map(self._encoded, self._fetching_ahead(numbers))), part)
            self._held_shards_of[part] = numbers
            if not examples.count:
                raise DataError(f"nothing usable is left for the {split.NAMES[part]} part of {self._source.path!r}")
        return examples

    def size(self, part: int) -> int:
        """The number of examples in a part, see `Dataset.part_size`."""
        return self.rows(part).count if part != split.TRAIN or self.reads_all else self._order.total

    def stored(self, part: int, min_rows: int) -> StoredShards:
        """The shards of `rows`."""
        assert self._cache is not None, "`encode` comes first"
        return StoredShards(self._cache.get_once, self._shards_of(part, min_rows), part)

    def _shards_of(self, part: int, min_rows: int) -> list[int]:
        if part == split.TRAIN:
            return self._train_shards(min_rows)
        return [number + len(self._shards) for number in _held_shards(self._split, part)]

    def _train_shards(self, min_rows: int) -> list[int]:
        """The first shards in the order of training that hold `min_rows` examples."""
        order = self._order.first()
        counts = np.cumsum(self._order.slots[order])
        stop = int(np.searchsorted(counts, max(min_rows, pass_size(self.modality.spec, self.rates)))) + 1
        while stop < len(order) and not any(len(self._encoded(self._train[place]).parts) for place in order[:stop]):
            stop += 1
        return [self._train[place] for place in order[:stop]]

    def names(self, part: int, numbers: Sequence[int]) -> list[str]:
        """Names of the items of `rows` with these numbers; their shards are read again."""
        shards = self._held_shards_of[part]
        counts = [int((self._encoded(shard).parts == part).sum()) for shard in shards]
        starts = np.cumsum([0, *counts])
        places = (np.searchsorted(starts, numbers, side="right") - 1).tolist()
        names = {
            place: self._encoder.names(shards[place], part, self._encoded(shards[place]).refusals)
            for place in set(places)
        }
        return [names[place][number - starts[place]] for place, number in zip(places, numbers, strict=True)]

    def text(self, part: int, limit: int) -> Iterator[Item]:
        """Items of a part as they are read, until they have `limit` characters."""
        is_held_out = part != split.TRAIN
        numbers = _held_shards(self._split, part) if is_held_out else [self._train[i] for i in self._order.first()]
        for number in numbers:
            for record, record_part in self._encoder.items(number, is_held_out):
                if isinstance(record, Item) and record_part == part and limit > 0:
                    yield record
                    limit -= record.size
            if limit <= 0:
                return

    def label_counts(self) -> Counter[int]:
        """Train items by class number; only those of a pass if the source was divided unread."""
        if not self.class_counts:
            return self.rows(split.TRAIN).class_counts()
        numbers = self._encoder.labels
        return Counter({numbers[name]: n for name, n in self.class_counts.items() if name in numbers})

    def evict(self) -> None:
        """Remove what training held from memory, where the disk holds it too."""
        self._views.clear()
        if self._cache is not None:
            self._cache.evict()

    def close(self) -> None:
        """End the background thread."""
        if self._cache is not None:
            self._cache.close()


def _nothing_to_fit(encoder: ShardEncoder, numbers: Sequence[int]) -> str:
    """A sentence that says why nothing in the train part of these shards can be used."""
    for number in numbers:
        for record, _ in encoder.items(number):
            if isinstance(record, SkippedItem):
                return f"nothing of the train part can be used; the first of it: {record.name}: {record.reason}"
    return (
        "every item of the train part is also among the held-out ones, and copies count once; "
        "give more items that differ"
    )


def _held_shards(division: SourceSplit, part: int) -> list[int]:
    """Numbers of the shards of a held-out part that are read."""
    held_shards = [number for number in range(len(division.parts)) if division.share(number, part) > 0]
    if len(held_shards) > OWN_SHARDS and isinstance(division.parts[held_shards[0]], int):
        return [held_shards[i] for i in np.linspace(0, len(held_shards) - 1, OWN_SHARDS).round().astype(int)]
    return held_shards


def _held_out_as_wholes(division: SourceSplit) -> list[int]:
    """Numbers of the shards that are read and are in a held-out part with all of their items."""
    parts = {part for part in division.parts if isinstance(part, int)} - {split.TRAIN, REJECTED}
    numbers = itertools.chain.from_iterable(_held_shards(division, part) for part in sorted(parts))
    return [number for number in numbers if isinstance(division.parts[number], int)]


def _in_order(train: Sequence[int], seed: int) -> list[int]:
    """Numbers of train shards in the order of training."""
    return [train[place] for place in EpochOrder([1] * len(train), 1, seed).first()]


def _select_items(
    shards: Sequence[EncodedShard], part: int | None, spec: Spec
) -> tuple[Numbers | list[Numbers], NDArray[np.int64]]:
    """(values, labels) of the items of some shards that belong to the part: grids as one array, without a copy of a whole shard."""
    values: list[Numbers] = []
    labels: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for shard in shards:
        keep = np.ones(len(shard.parts), dtype=bool) if part is None else shard.parts == part
        labels.append(shard.labels[keep])
        if isinstance(spec, Tokens):
            stops = np.cumsum(shard.lengths)
            bounds = zip((stops - shard.lengths)[keep].tolist(), stops[keep].tolist(), strict=True)
            values += [shard.values[start:stop] for start, stop in bounds]
        elif keep.any():  # a shard without items, such as a silent one, does not know their form
            values.append(shard.values if keep.all() else shard.values[keep])
    if isinstance(spec, Tokens):
        return values, np.concatenate(labels)
    empty = np.zeros((0, *spec.shape), dtype=np.uint8)
    return values[0] if len(values) == 1 else np.concatenate(values or [empty]), np.concatenate(labels)
