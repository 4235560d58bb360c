"""Text small enough to be read, split and encoded whole: all counts are exact, and batches come from memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers
from anew.core.data_record import DataRecord
from anew.core.random import key
from anew.core.specs import UNKNOWN_CLASS, Batch
from anew.core.wording import plural
from anew.data import limits
from anew.data.file_names import split_record_name
from anew.data.loading.epoch_order import permutation
from anew.data.loading.rows import Examples, class_refusal, concatenate, examples_of, training_batch
from anew.data.modality import Modality, reasons
from anew.data.skipped import SkippedItems
from anew.data.sources.base import Shard
from anew.data.sources.source import Source
from anew.data.splitting import clusters, near_duplicates, split
from anew.data.splitting.named_parts import parts_by_name
from anew.data.splitting.records import read_records
from anew.data.types import FEW_DOCUMENTS, EncodedRecord, Item, SkippedItem
from anew.errors import DataError


def join_spans(items: Sequence[Item]) -> list[Item]:
    """Join adjacent pieces of one text."""
    joined: list[Item] = []
    for item in items:
        if joined and not item.begins and joined[-1].name == item.name and isinstance(item.data, str):
            before = joined[-1]
            joined[-1] = Item(before.name, before.text + item.data, before.label, before.begins, item.ends)
        else:
            joined.append(item)
    return joined


class InMemoryStore:
    """Items in memory, divided at once, encoded by `encode`."""

    def __init__(
        self,
        source: Source,
        shards: Sequence[Shard],
        modality: Modality,
        seed: int,
        undivided: bool = False,
        repeated: DataRecord | None = None,
    ) -> None:
        """
        Args:
            undivided: All items are for testing, none for training.
            repeated: The same data as a saved run keeps it, which is divided again as there.
        """
        self.modality, self.seed = modality, seed
        self.notes: list[str] = []  # notes on the source's own parts
        self.division_notes: list[str] = []  # notes on parts that were split off from train
        self.rates: dict[str, float] = {}  # nothing here is an estimate
        self.row_steps: list[int] = []  # nothing is left out
        self.reads_all = True  # whether a pass without a limit reads all train data
        # Texts are held out one by one, and a list is not too large for a pass
        self.balances_classes = self.draws_records = False
        self.is_split_noted = self.cuts_recordings = False  # recordings are never kept here
        self.share_read = 1.0
        self.refusals = SkippedItems()
        self.items: list[Item] = []
        self._undivided = undivided
        self._codes: list[str | None] = []
        self._numbers: list[int] = []  # if undivided: which record of its file each item is, from 1
        self.parts: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._read(source, shards)
        self.refusals.add(source.refusals)
        if not self.items:
            raise _no_item(self.refusals)
        self.held_out: list[int] = []  # parts that were taken from train
        # Held-out parts are drawn item by item, or as spans that are too short to differ in kind
        self.drawn_one_by_one = True
        self.are_draws = False  # whether copies are draws from a distribution, see `split.are_draws`
        self._divides_usual = repeated is None or repeated.splits_near_duplicates
        self._validates_clusters = repeated is not None and not repeated.validates_at_random
        # Only exact duplicates were kept together, see `near_duplicates.are_usual`; whole clusters were none of validation
        self.splits_near_duplicates = self.validates_at_random = False
        self.documents = len(self.items)
        if undivided:
            self.parts = np.full(len(self.items), split.TEST, dtype=np.uint8)
        else:
            self._divide(shards)
        self._rows: dict[int, Examples] = {}
        self._names: dict[int, list[str]] = {}
        self._orders: dict[tuple[str, int], tuple[NDArray[np.int64], int]] = {}

    # ---- reading and dividing ----

    def _read(self, source: Source, shards: Sequence[Shard]) -> None:
        numbers: Counter[str] = Counter()
        remaining = limits.SMALL_FILES_TEXT_BYTES
        for shard in shards:
            for item, reason in reasons(self.modality.validate_header, read_records(source, shard, self.modality)):
                if self._undivided:
                    file, _ = split_record_name(item.name)
                    numbers[file] += 1
                remaining -= 0 if reason is not None or isinstance(item, SkippedItem) else item.size
                if remaining < 0 and reason is None:
                    reason = f"it is beyond the {limits.size(limits.SMALL_FILES_TEXT_BYTES)} of text that small files may expand to"
                if isinstance(item, SkippedItem) or reason is not None:
                    self.refusals.add([SkippedItem(item.name, reason or "", item.group)])
                else:
                    self.items.append(item)
                    self._codes.append(shard.part)
                    if self._undivided:
                        self._numbers.append(numbers[file])

    def _divide(self, shards: Sequence[Shard]) -> None:
        code, held_out, notes = parts_by_name(shards)
        self.held_out = held_out
        self.notes += notes
        base = np.array([code[name] for name in self._codes], dtype=np.uint8)
        train = np.flatnonzero(base == split.TRAIN)
        packed = self.modality.layout == "document"
        if held_out and packed and len(join_spans([self.items[i] for i in train])) < FEW_DOCUMENTS:
            self._split_spans(base, train, held_out)
        elif held_out:
            self._split_items(base, train, held_out, by_size=packed)
        else:
            self.parts = base
            split.check(self.parts, held_out, self.modality.noun, skipped=self.refusals.first)
        self._compare_parts(code)

    def _compare_parts(self, code: dict[str | None, int]) -> None:
        """Note how many items of the user's own held-out parts are in train too."""
        if split.TEST not in code.values() and split.VALIDATION not in code.values():
            return
        keys = [near_duplicates.exact_key(item) for item in self.items]
        train_keys = {item_key for item_key, part in zip(keys, self.parts, strict=True) if part == split.TRAIN}
        own_parts = {split.VALIDATION, split.TEST} - set(self.held_out)
        others = [item_key for item_key, part in zip(keys, self.parts, strict=True) if part in own_parts]
        repeated = sum(item_key in train_keys for item_key in others)
        if repeated:
            self.notes.append(
                f"{repeated:,} of {len(others):,} held-out items are in the training part too; the parts stay as they are."
            )

    def _split_spans(self, base: NDArray[np.uint8], train: NDArray[np.int64], held_out: Sequence[int]) -> None:
        total = sum(self.items[i].size for i in train)
        if total < 1000:
            raise DataError(
                f"the text has only {total} {self.modality.unit}s; at least 1,000 are needed to train on some and hold others out"
            )
        pieces = split.split_spans(join_spans([self.items[i] for i in train]), held_out)
        held_out_items = np.flatnonzero(base != split.TRAIN)
        sizes = {part: [item.size for item, piece_part in pieces if piece_part == part] for part in held_out}
        lengths = " and ".join(
            f"{sum(own):,} {self.modality.unit}s in {plural(len(own), 'span')} to {split.NAMES[part]}"
            for part, own in sizes.items()
        )
        self.division_notes.append(
            f"There are fewer than {FEW_DOCUMENTS} documents, so contiguous spans are held out: {lengths}."
        )
        self.documents = len({item.name for item, _ in pieces}) + len(held_out_items)
        self.items = [item for item, _ in pieces] + [self.items[i] for i in held_out_items]
        self.parts = np.concatenate([np.array([part for _, part in pieces], dtype=np.uint8), base[held_out_items]])

    def _split_items(
        self, base: NDArray[np.uint8], train: NDArray[np.int64], held_out: Sequence[int], by_size: bool
    ) -> None:
        train_items = [self.items[i] for i in train]
        item_keys = [near_duplicates.item_key(item, self.modality) for item in train_items]
        keys = near_duplicates.shared_keys(item_keys, train_items)
        sizes = [self.modality.units(item) for item in train_items] if by_size else [1] * len(train_items)
        share = split.held_out_share(len(train_items), split.ENOUGH_ITEMS)
        if by_size:
            share = max(share, split.held_out_share(sum(sizes), split.ENOUGH_CHARACTERS))
        relatives = self.modality.sequence_clusters(train_items)
        num_groups = len(set(keys))
        if self.modality.layout == "list":
            # Records of one shape are near-duplicates, but do not repeat
            self.are_draws = relatives is None and split.are_draws(item_keys)
            is_usual = not self.are_draws and near_duplicates.are_usual(item_keys, keys)
            self.splits_near_duplicates = self._divides_usual and is_usual
            keys = item_keys if self.are_draws or self.splits_near_duplicates else keys
        own_keys = split.keys_of_draws(keys) if self.are_draws else keys
        if relatives is None:
            parts = split.assign_parts(own_keys, sizes, share, held_out)
            cluster_notes = clusters.no_clusters_note(self.modality)
        else:
            parts, cluster_notes = clusters.assign_parts_with_clusters(
                relatives, keys, share, held_out, validates_clusters=self._validates_clusters
            )
            self.validates_at_random = not self._validates_clusters
        split.check(parts, held_out, self.modality.noun, len(set(own_keys)), self.refusals.first)
        self.parts = base.copy()
        self.parts[train] = parts
        self.is_split_noted = True
        self.division_notes += split.split_notes(
            parts,
            len(keys) - len(set(keys)),
            by_size,
            are_draws=self.are_draws,
            test_characters=float(np.asarray(sizes)[parts == split.TEST].sum()) if by_size else None,
            num_refused=self.refusals.count,
            num_alike=len(keys) - num_groups if self.splits_near_duplicates else 0,
        )
        self.division_notes += cluster_notes

    @property
    def classes(self) -> list[str]:
        """Class names of the train part."""
        return sorted({item.label for item in self.of(split.TRAIN) if item.label})

    def scan_parts(self) -> dict[str, int]:
        """Items by part."""
        counts = np.bincount(self.parts, minlength=len(split.NAMES))
        names = split.NAMES if counts[split.TEST_CLUSTERS] else split.NAMES[: split.TEST_CLUSTERS]
        return {name: int(counts[i]) for i, name in enumerate(names)}

    def of(self, part: int) -> list[Item]:
        """The items of a part in order."""
        return [self.items[i] for i in np.flatnonzero(self.parts == part)]

    # ---- encoding ----

    def encode(self, labels: Sequence[str], cache: Path | None, name: Sequence[object]) -> None:
        """Encode all parts with the fitted modality. If classes are learned, items without a known class are refused; in undivided data
        they are kept."""
        del cache, name  # little text is encoded again faster than a cache is read
        number = {label: i for i, label in enumerate(labels)}
        for part in range(len(split.NAMES)):
            items = self.of(part)
            encoded: list[Numbers] = []
            classes: list[int] = []
            names: list[str] = []
            for item, row in zip(items, self.modality.encode_many(items), strict=True):
                label = number.get(item.label or "", UNKNOWN_CLASS) if labels else 0
                if label == UNKNOWN_CLASS and not self._undivided and not isinstance(row, str):
                    row = class_refusal(item.label)
                if isinstance(row, str):
                    self.refusals.add([SkippedItem(item.name, row, item.group)])
                else:
                    encoded.append(row)
                    classes.append(label)
                    names.append(item.name)
            self._names[part] = names
            self._rows[part] = examples_of(self.modality, encoded, np.array(classes) if labels else None)
        if not self._rows[split.TEST if self._undivided else split.TRAIN].count:
            raise DataError(f"nothing usable is left: {self.refusals.count} refused{self.refusals.sentence()}")

    def encoded_records(self, labels: Sequence[str]) -> list[EncodedRecord]:
        """All usable records of undivided data, each encoded by itself, with the spans of a document joined.

        labels: names of the classes, () if none are learned."""
        class_of = {label: i for i, label in enumerate(labels)}
        items, numbers = self.items, self._numbers
        if self.modality.layout == "document":
            items, counts = join_spans(items), Counter[str]()
            numbers = []
            for item in items:
                file, _ = split_record_name(item.name)
                counts[file] += 1
                numbers.append(counts[file])
        rows = self.modality.encode_many(items)
        records = []
        for item, number, row in zip(items, numbers, rows, strict=True):
            if isinstance(row, str):
                continue  # `encode` has noted the refusal
            file, name = split_record_name(item.name)
            # Headers of sequences and places of cells are names
            is_place = self.modality.layout == "items" and not name.isdecimal()
            has_name = name != str(number) if self.modality.traits.record_start else is_place
            if not self.modality.traits.record_start and self.modality.layout == "list" and name.isdecimal():
                number = int(name)  # other names are those of lines, empty ones included, and of rows
            label = class_of.get(item.label or "", UNKNOWN_CLASS) if labels else None
            records.append(EncodedRecord(file, number, name if has_name else "", row, label))
        return records

    def fit_items(self) -> list[Item]:
        """All train items."""
        return self.of(split.TRAIN)

    def one_pass(self, part: int, limit: int | None) -> Iterator[Batch]:
        """One ordered pass."""
        return self._rows[part].one_pass(self.modality, limit)

    def rows(self, part: int, min_rows: int = 0) -> Examples:
        """The encoded examples of a part, always all."""
        return self._rows[part]

    def size(self, part: int) -> int:
        """The number of examples in a part."""
        return self._rows[part].count

    def names(self, part: int, numbers: Sequence[int]) -> list[str]:
        """Names of the items of `rows` with these numbers."""
        return [self._names[part][number] for number in numbers]

    def text(self, part: int, limit: int) -> list[Item]:
        """The items of a part in order; in random order if they have more characters than `limit`.

        The first ones would not stand for all: folders are sorted by author, date or topic."""
        items = self.of(part)
        if sum(item.size for item in items) <= limit:
            return items
        return [items[i] for i in permutation(len(items), key(self.seed, "text", part))]

    @property
    def train_items(self) -> int:
        """Examples an epoch."""
        return self._rows[split.TRAIN].count

    @property
    def train_units(self) -> float:
        """Characters or pixels of the train part."""
        return self._rows[split.TRAIN].units

    # ---- order ----

    def batch(self, index: NDArray[np.int64], phase: str, first: int, count: int) -> Batch:
        """Rows of the batch of the examples with these global numbers."""
        rows, index = self._rows[split.TRAIN], index[first : first + count]
        epochs = index // rows.count
        if epochs[0] == epochs[-1]:
            order, shift = self._order(phase, int(epochs[0]), rows)
            return training_batch(self.modality, rows.take(order[index % rows.count], shift), index)
        chunks = []
        for epoch in np.unique(epochs):
            order, shift = self._order(phase, int(epoch), rows)
            chunks.append(rows.take(order[index[epochs == epoch] % rows.count], shift))
        return training_batch(self.modality, concatenate(chunks), index)

    def _order(self, phase: str, epoch: int, rows: Examples) -> tuple[NDArray[np.int64], int]:
        name = (phase, epoch)
        if name not in self._orders:
            while len(self._orders) > 4:
                self._orders.pop(next(iter(self._orders)))
            order_key = key(self.seed, "order", phase, epoch)
            self._orders[name] = permutation(rows.count, order_key), order_key % rows.shift_range
        return self._orders[name]

    def prefetch(self, index: NDArray[np.int64], phase: str, first: int, count: int) -> None:
        """Nothing to do: all is in memory."""

    def close(self) -> None:
        """Nothing to close."""

    def label_counts(self) -> Counter[int]:
        """Train items by class number."""
        return self._rows[split.TRAIN].class_counts()


def _no_item(refusals: SkippedItems) -> DataError:
    """That none of the items can be used."""
    n = refusals.count
    verdict = "the only item cannot be used" if n == 1 else f"none of the {n:,} items can be used"
    return DataError(verdict + refusals.sentence())
