"""Text small enough to be read, split and encoded whole: everything is exact, and batches come from memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.core.random import key
from anew.core.specs import Batch
from anew.data import limits
from anew.data.loading.epoch_order import shuffled
from anew.data.loading.rows import Examples, drawn, examples_of, merged
from anew.data.modality import Modality, reasons
from anew.data.skipped import Refusals
from anew.data.sources.base import Block
from anew.data.sources.source import Source
from anew.data.splitting import split
from anew.data.splitting.records import expanded
from anew.data.splitting.streaming_split import wanted_parts
from anew.data.types import Item, Refusal
from anew.errors import DataError


def joined(items: Sequence[Item]) -> list[Item]:
    """Items with the pieces of one text that lie side by side put together again."""
    out: list[Item] = []
    for item in items:
        if out and not item.begins and out[-1].name == item.name and isinstance(item.data, str):
            before = out[-1]
            out[-1] = Item(before.name, before.data + item.data, before.label, before.begins, item.ends)
        else:
            out.append(item)
    return out


class Whole:
    """Items in memory, divided at once, encoded by `encode`."""

    def __init__(
        self, source: Source, blocks: Sequence[Block], modality: Modality, seed: int, undivided: bool = False
    ) -> None:
        """undivided: all of it is test, none is for training."""
        self.modality, self.seed = modality, seed
        self.notes: list[str] = []
        self.rates: dict[str, float] = {}  # nothing here is an estimate
        self.refusals = Refusals()
        self.items: list[Item] = []
        self.parts: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._read(source, blocks)
        self.refusals.add(source.refusals)
        if not self.items:
            raise DataError(f"none of the {self.refusals.count} items can be used{self.refusals.said()}")
        self._undivided = undivided
        self.carved: list[int] = []  # parts that were carved from train
        self.drawn = True  # item by item, or by spans that are too short to differ in kind
        self.documents = len(self.items)
        if undivided:
            self.parts = np.full(len(self.items), split.TEST, dtype=np.uint8)
        else:
            self._divide(blocks)
        self._rows: dict[int, Examples] = {}
        self._orders: dict[tuple[str, int], tuple[NDArray[np.int64], int]] = {}

    # ---- reading and dividing ----

    def _read(self, source: Source, blocks: Sequence[Block]) -> None:
        self._codes: list[str | None] = []
        left = limits.WHOLE.text
        for block in blocks:
            for one, reason in reasons(self.modality, "validate_header", expanded(source, block, self.modality)):
                left -= 0 if reason is not None or isinstance(one, Refusal) else len(one.data)
                if left < 0 and reason is None:
                    reason = f"is beyond the {limits.size(limits.WHOLE.text)} of text that small files may expand to"
                if isinstance(one, Refusal) or reason is not None:
                    self.refusals.add([Refusal(one.name, reason or "", one.group)])
                else:
                    self.items.append(one)
                    self._codes.append(block.part)

    def _divide(self, blocks: Sequence[Block]) -> None:
        code, carve, notes = wanted_parts(blocks)
        self.carved = carve
        self.notes += notes
        base = np.array([code[name] for name in self._codes], dtype=np.uint8)
        train = np.flatnonzero(base == split.TRAIN)
        packed = self.modality.layout == "document"
        if carve and packed and len(joined([self.items[i] for i in train])) < split.FEW:
            self._divide_spans(base, train, carve)
        elif carve:
            self._divide_items(base, train, carve, by_size=packed)
        else:
            self.parts = base
            split.check(self.parts, carve, self.modality.traits.singular, refused=self.refusals.first)
        self._compare_parts(code)

    def _compare_parts(self, code: dict[str | None, int]) -> None:
        """Say how many items of the user's own held-out parts are in train too."""
        if split.TEST not in code.values() and split.VALIDATION not in code.values():
            return
        keys = [split.exact_key(item) for item in self.items]
        train = {one for one, part in zip(keys, self.parts, strict=True) if part == split.TRAIN}
        held = [one in train for one, part in zip(keys, self.parts, strict=True) if part != split.TRAIN]
        if any(held):
            self.notes.append(
                f"{sum(held)} of {len(held)} held-out items are in train too; the parts are kept as they are"
            )

    def _divide_spans(self, base: NDArray[np.uint8], train: NDArray[np.int64], carve: Sequence[int]) -> None:
        total = sum(len(self.items[i].data) for i in train)
        if total < 1000:
            raise DataError(
                f"the text has only {total} {self.modality.unit}s; at least 1,000 are needed to train on some and hold others out"
            )
        pieces = split.spans(joined([self.items[i] for i in train]), carve)
        rest = np.flatnonzero(base != split.TRAIN)
        sizes = [sum(len(item.data) for item, own in pieces if own == part) for part in carve]
        n = sum(1 for _, part in pieces if part == carve[-1])
        said = " and ".join(
            f"{size:,} {self.modality.unit}s to {split.NAMES[part]}" for size, part in zip(sizes, carve, strict=True)
        )
        self.notes.append(
            f"fewer than {split.FEW} documents, so contiguous spans are held out ({n} for each part): {said}"
        )
        self.documents = len({item.name for item, _ in pieces}) + len(rest)
        self.items = [item for item, _ in pieces] + [self.items[i] for i in rest]
        self.parts = np.concatenate([np.array([part for _, part in pieces], dtype=np.uint8), base[rest]])

    def _divide_items(
        self, base: NDArray[np.uint8], train: NDArray[np.int64], carve: Sequence[int], by_size: bool
    ) -> None:
        own = [self.items[i] for i in train]
        keys = split.groups(own, self.modality)
        sizes = [self.modality.units(item) for item in own] if by_size else [1] * len(own)
        share = split.share_of(len(own), split.ENOUGH)
        clusters = self.modality.sequence_clusters(own)
        more: list[str] = []
        if clusters is None:
            parts, more = split.divide(keys, sizes, share, carve), split.without_clusters(self.modality)
        else:
            parts, more = split.by_relatives(clusters, keys, share, carve)
        split.check(parts, carve, self.modality.traits.singular, len(set(keys)), self.refusals.first)
        self.parts = base.copy()
        self.parts[train] = parts
        self.notes += [*split.said(parts, len(keys) - len(set(keys)), by_size), *more]

    @property
    def classes(self) -> list[str]:
        """Class names of the train part."""
        return sorted({item.label for item in self.of(split.TRAIN) if item.label})

    def scan_parts(self) -> dict[str, int]:
        """Items by part."""
        counts = np.bincount(self.parts, minlength=len(split.NAMES))
        shown = split.NAMES if counts[split.CLUSTERS] else split.NAMES[: split.CLUSTERS]
        return {name: int(counts[i]) for i, name in enumerate(shown)}

    def of(self, part: int) -> list[Item]:
        """The items of a part in order."""
        return [self.items[i] for i in np.flatnonzero(self.parts == part)]

    # ---- encoding ----

    def encode(self, labels: Sequence[str], cache: Path | None, name: Sequence[Any]) -> None:
        """Encode all parts with the fitted modality."""
        del cache, name  # what is small is encoded again in less time than a cache takes
        number = {label: i for i, label in enumerate(labels)}
        for part in range(len(split.NAMES)):
            items = self.of(part)
            encoded: list[NDArray[Any]] = []
            classes: list[int] = []
            for item, one in zip(items, self.modality.encode_many(items), strict=True):
                if isinstance(one, str):
                    self.refusals.add([Refusal(item.name, one, item.group)])
                else:
                    encoded.append(one)
                    classes.append(number.get(item.label or "", 0))
            self._rows[part] = examples_of(self.modality, encoded, np.array(classes) if labels else None)
        if not self._rows[split.TEST if self._undivided else split.TRAIN].count:
            raise DataError(f"nothing usable is left: {self.refusals.count} refused{self.refusals.said()}")

    def fit_items(self) -> list[Item]:
        """All train items."""
        return self.of(split.TRAIN)

    def sweep(self, part: int, limit: int | None) -> Iterator[Batch]:
        """One ordered pass."""
        return self._rows[part].sweep(self.modality, limit)

    def rows(self, part: int, enough: int = 0) -> Examples:
        """The encoded examples of a part, always all."""
        return self._rows[part]

    def text(self, part: int, limit: int) -> list[Item]:
        """The items of a part."""
        return self.of(part)

    @property
    def train_items(self) -> int:
        """Examples an epoch."""
        return self._rows[split.TRAIN].count

    @property
    def train_units(self) -> float:
        """Characters or pixels of the train part."""
        return self._rows[split.TRAIN].units

    # ---- order ----

    def batch(self, index: NDArray[np.int64], phase: str) -> Batch:
        """The examples with these global numbers."""
        rows = self._rows[split.TRAIN]
        epochs = index // rows.count
        if epochs[0] == epochs[-1]:
            order, shift = self._order(phase, int(epochs[0]), rows)
            return drawn(self.modality, rows.take(order[index % rows.count], shift), index)
        cuts = []
        for epoch in np.unique(epochs):
            order, shift = self._order(phase, int(epoch), rows)
            cuts.append(rows.take(order[index[epochs == epoch] % rows.count], shift))
        return drawn(self.modality, merged(cuts), index)

    def _order(self, phase: str, epoch: int, rows: Examples) -> tuple[NDArray[np.int64], int]:
        name = (phase, epoch)
        if name not in self._orders:
            while len(self._orders) > 4:
                self._orders.pop(next(iter(self._orders)))
            one = key(self.seed, "order", phase, epoch)
            self._orders[name] = shuffled(rows.count, one), one % rows.slack
        return self._orders[name]

    def prefetch(self, index: NDArray[np.int64], phase: str) -> None:
        """Nothing to prepare: all is in memory."""

    def close(self) -> None:
        """Nothing to close."""

    def label_counts(self) -> Counter[int]:
        """Train items by class number."""
        labels = self._rows[split.TRAIN].labels
        return Counter() if labels is None else Counter(labels.tolist())
