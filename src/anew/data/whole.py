"""A source small enough to be read, split and encoded whole: everything is exact, and batches come from memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.data import split
from anew.data.modality import Item, Modality, Refusal, Scan
from anew.data.examples import Examples, examples_of, merged, shuffled
from anew.data.source import Block, Source
from anew.errors import DataError
from anew.rng import key
from anew.spec import Batch, Tokens

KEPT_REFUSALS = 20


@dataclass(slots=True)
class Refusals:
    """Counts what was refused and keeps the first ones."""

    first: list[Refusal] = field(default_factory=list)
    count: int = 0

    def add(self, refusal: Refusal) -> None:
        self.count += 1
        if len(self.first) < KEPT_REFUSALS:
            self.first.append(refusal)

    def into(self, scan: Scan) -> None:
        """Write into the scan."""
        scan.refusals, scan.refused = list(self.first), self.count


def wanted_parts(blocks: Sequence[Block]) -> tuple[dict[str | None, int], list[int], list[str]]:
    """(part number by the name that folders give, parts to carve from train, notes)."""
    named = {block.part for block in blocks if block.part is not None}
    code: dict[str | None, int] = {None: split.TRAIN, "train": split.TRAIN}
    if not named - {"train"}:
        return code, [split.VALIDATION, split.TEST], []
    if "train" not in named and None not in {block.part for block in blocks}:
        note = f"there is only a {' and a '.join(sorted(named))} part, no train part; all of it is split anew"
        return dict.fromkeys([None, *split.NAMES], split.TRAIN), [split.VALIDATION, split.TEST], [note]
    if named >= {"validation", "test"}:
        code |= {"validation": split.VALIDATION, "test": split.TEST}
        return code, [], ["the source's own train, validation and test parts are kept"]
    if "test" in named:
        code["test"] = split.TEST
        return code, [split.VALIDATION], ["the source's own test part is kept; validation is carved from train"]
    code["validation"] = split.TEST
    note = "the source's own validation part is what gets scored (test); another validation part is carved from train"
    return code, [split.VALIDATION], [note]


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

    def __init__(self, source: Source, blocks: Sequence[Block], modality: Modality, seed: int) -> None:
        self.modality, self.seed = modality, seed
        self.notes: list[str] = []
        self.refusals = Refusals()
        self.items: list[Item] = []
        self.parts: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._read(source, blocks)
        self._divide(blocks)
        self._rows: dict[int, Examples] = {}
        self._orders: dict[tuple[str, int], tuple[NDArray[np.int64], int]] = {}

    # ---- reading and dividing ----

    def _read(self, source: Source, blocks: Sequence[Block]) -> None:
        self._codes: list[str | None] = []
        for block in blocks:
            found: list[Item] = []
            for one in source.read(block):
                if isinstance(one, Refusal):
                    self.refusals.add(one)
                else:
                    found.extend(self._expanded(one))
            self.items.extend(found)
            self._codes.extend([block.part] * len(found))

    def _expanded(self, item: Item) -> list[Item]:
        try:
            found = list(self.modality.expand(item))
        except ValueError as error:
            self.refusals.add(Refusal(item.name, str(error)))
            return []
        kept = []
        for one in found:
            reason = self.modality.accepts(one)
            if reason is None:
                kept.append(one)
            else:
                self.refusals.add(Refusal(one.name, reason))
        return kept

    def _divide(self, blocks: Sequence[Block]) -> None:
        if not self.items:
            first = f": {self.refusals.first[0].name} {self.refusals.first[0].reason}" if self.refusals.first else ""
            raise DataError(f"none of the {self.refusals.count} items can be used{first}")
        code, carve, notes = wanted_parts(blocks)
        self.notes += notes
        base = np.array([code[name] for name in self._codes], dtype=np.uint8)
        train = np.flatnonzero(base == split.TRAIN)
        packed = getattr(self.modality, "layout", None) == "document"
        if carve and packed and len(joined([self.items[i] for i in train])) < split.FEW:
            self._divide_spans(base, train, carve)
        elif carve:
            self._divide_items(base, train, carve, by_size=packed)
        else:
            self.parts = base
        split.check(self.parts, "items")

    def _divide_spans(self, base: NDArray[np.uint8], train: NDArray[np.int64], carve: Sequence[int]) -> None:
        pieces = split.spans(joined([self.items[i] for i in train]), carve)
        total = sum(len(item.data) for item, _ in pieces)
        if total < 1000:
            raise DataError(
                f"the text has only {total} characters; at least 1,000 are needed to train on some and hold others out"
            )
        rest = np.flatnonzero(base != split.TRAIN)
        held = sum(len(item.data) for item, part in pieces if part != split.TRAIN)
        n = sum(1 for _, part in pieces if part == carve[-1])
        self.notes.append(
            f"fewer than {split.FEW} documents: {n} contiguous spans for each held-out part, {held / total:.0%} of the text, "
            f"go to {' and '.join(split.NAMES[part] for part in carve)}"
        )
        self.items = [item for item, _ in pieces] + [self.items[i] for i in rest]
        self.parts = np.concatenate([np.array([part for _, part in pieces], dtype=np.uint8), base[rest]])

    def _divide_items(
        self, base: NDArray[np.uint8], train: NDArray[np.int64], carve: Sequence[int], by_size: bool
    ) -> None:
        own = [self.items[i] for i in train]
        keys, alike = split.groups(own, self.modality)
        sizes = [self.modality.units(item) for item in own] if by_size else [1] * len(own)
        share = split.share_of(len(own), split.ENOUGH)
        self.parts = base.copy()
        self.parts[train] = split.divide(keys, sizes, share, carve)
        twins = len(keys) - len(set(keys))
        if twins:
            self.notes.append(
                f"{twins} of {len(own)} items repeat another ({alike} of them nearly); such twins are in the same part"
            )
        names = " and ".join(split.NAMES[part] for part in carve)
        self.notes.append(f"split by content: {share:.0%} each to {names}, the rest to train")

    def scan_parts(self) -> dict[str, int]:
        """Items by part."""
        counts = np.bincount(self.parts, minlength=3)
        return {name: int(counts[i]) for i, name in enumerate(split.NAMES)}

    def of(self, part: int) -> list[Item]:
        """The items of a part in order."""
        return [self.items[i] for i in np.flatnonzero(self.parts == part)]

    # ---- encoding ----

    def encode(self, labels: Sequence[str]) -> None:
        """Encode all parts with the fitted modality."""
        number = {label: i for i, label in enumerate(labels)}
        start = start_of(self.modality)
        for part in range(3):
            items = self.of(part)
            encoded: list[NDArray[Any]] = []
            kept: list[int] = []
            for item, one in zip(items, self.modality.encode_many(items), strict=True):
                if isinstance(one, str):
                    self.refusals.add(Refusal(item.name, one))
                else:
                    encoded.append(one)
                    kept.append(number.get(item.label or "", 0))
            classes = np.array(kept, dtype=np.int64) if labels else None
            self._rows[part] = examples_of(self.modality, encoded, classes, start)
            if not self._rows[part].count:
                raise DataError(f"nothing usable is left for the {split.NAMES[part]} part: {self.refusals.count} items refused")
        if not isinstance(self.modality.spec, Tokens):
            self.items = []  # the encoded form is kept instead

    def rows(self, part: int) -> Examples:
        """The encoded rows of a part."""
        return self._rows[part]

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
            return self.modality.batch(*rows.take(order[index % rows.count], shift))
        cuts = []
        for epoch in np.unique(epochs):
            order, shift = self._order(phase, int(epoch), rows)
            cuts.append(rows.take(order[index[epochs == epoch] % rows.count], shift))
        return self.modality.batch(*merged(cuts))

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


def start_of(modality: Modality) -> int:
    """The id that stands before the first token of a stream: the end of the document before, else a line end."""
    spec = modality.spec
    if not isinstance(spec, Tokens) or not spec.packed:
        return 0
    if "end" in spec.special:
        return spec.special["end"]
    ids = modality.known("\n").reshape(-1)
    return int(ids[-1])
