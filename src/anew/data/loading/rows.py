"""Encoded items of one part, held as flat arrays, and the examples that can be cut from them.

Three forms: one long stream of tokens, whole records, grids. Examples are numbered 0..count-1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers, Numbers, piece_bounds
from anew.core.specs import Batch, Condition, Grid, Spec, Tokens
from anew.core.splitmix import splitmix64
from anew.data.loading.epoch_order import permutation, random_subset
from anew.data.modality import Modality

PASS_TOKENS = 1_000_000  # tokens in one batch of a pass, which bounds memory; a batch may have almost twice as many
# A pass that does not read all takes so many pieces at least, from anywhere in the text: few long documents would stand for all; chosen
MIN_PASS_PIECES = 64
# Most windows of packed text that begin where a document does, as samples do; few would by themselves. After 350 steps a tenth
# costs 0.6% of the bits of held-out text, a fortieth 0.2% (docs/log.md, 2026-11-29).
MAX_BEGINNING_SHARE = 0.1
# Most targets of a document in `documents`, so that several are read, unless there are few; samples have 500 tokens by default
DOCUMENT_TARGETS = 1024


class Rows(NamedTuple):
    """Stored rows of some examples: rows (B, L+1) or (B, *shape), labels (B,) or None, lengths (B,) or None."""

    rows: Numbers
    labels: Integers | None = None
    lengths: Integers | None = None


class DocumentClasses(NamedTuple):
    """The classes of documents in a stream of tokens, in which those of one class follow each other.

    starts: (documents,) where each begins; labels: (documents,) their class numbers.
    """

    starts: NDArray[np.int64]
    labels: Integers

    def at(self, places: NDArray[np.int64]) -> Integers:
        """(n,) the class of the document at each place (n,) of the stream."""
        return self.labels[np.searchsorted(self.starts, places, side="right") - 1]


class Examples(ABC):
    """Examples of one part (or of one shard's share of it).

    Attributes:
        count: Number of examples.
        num_items: Number of items that `samples` draws from.
        shift_range: By how many positions all examples of an epoch may be shifted together (0..shift_range-1).
        units: Characters, pixels and so on of all examples.
        num_targets: Tokens that are predicted, or values of grids, of all examples.
        labels: Class numbers; None without classes.
        pass_batch: Examples in one batch of a pass.
    """

    count: int
    num_items: int
    units: float
    num_targets: int
    shift_range: int = 1
    labels: Integers | None = None
    pass_batch: ClassVar[int]

    def class_counts(self) -> Counter[int]:
        """Items by class number; none without classes."""
        return Counter() if self.labels is None else Counter(self.labels.tolist())

    @abstractmethod
    def take(self, numbers: NDArray[np.int64], shift: int = 0) -> Rows:
        """The examples with these numbers."""

    @abstractmethod
    def samples(self, n: int, seed: int) -> Numbers | list[Numbers]:
        """n random stored items in their stored order, for `Modality.decode`."""

    def units_of(self, targets: int) -> float:
        """Units of so many of the tokens that are predicted."""
        return self.units * targets / max(1, self.num_targets)

    def at_fraction(self, fraction: float) -> Rows:
        """One example at about this share (in [0, 1)) of the whole."""
        return self.take(np.array([int(fraction * self.count)]))

    def one_pass(self, modality: Modality, limit: int | None) -> Iterator[Batch]:
        """All in order, or as many as the limit, evenly spread, for `Family.fit_closed_form`."""
        for batch in self._batches(modality, self.count if limit is None else limit, self.pass_batch):
            yield from modality.orderings(batch)

    def scoring(self, modality: Modality, batch: int, stride: int | None, limit: float | None) -> Iterator[Batch]:
        """Batches in which each target counts once, see `Dataset.scoring`."""
        share = 1.0 if limit is None else min(1.0, limit / max(self.units, 1.0))
        yield from self._batches(modality, max(1, round(self.count * share)), batch)

    def _batches(self, modality: Modality, n: int, size: int) -> Iterator[Batch]:
        """Batches of n evenly spread examples (of all, if there are no more), `size` examples each."""
        n = min(n, self.count)
        numbers = np.linspace(0, self.count - 1, n).round().astype(np.int64)
        for first in range(0, n, size):
            yield modality.batch(*self.take(numbers[first : first + size]))


def class_refusal(label: str | None) -> str:
    """Why an item of this label is not trained on, as one clause."""
    return f"it has the class {label!r}, which the listing did not show" if label else "it has no class"


def examples_of(modality: Modality, encoded: Sequence[Numbers] | Numbers, labels: Integers | None) -> Examples:
    """Examples of the form that the modality's spec needs.

    Args:
        encoded: The stored values of each item, grids perhaps as one array.
        labels: (n,) class numbers, None without classes.
    """
    spec: Spec = modality.spec
    if isinstance(spec, Grid):
        grids = encoded if len(encoded) else np.zeros((0, *spec.shape), dtype=np.uint8)
        values = grids if isinstance(grids, np.ndarray) else np.stack(grids)
        return GridExamples(values, labels, int(np.prod(spec.shape)))
    if spec.packed and labels is not None:
        # Documents are sorted by class, so that windows hold documents of one class
        order = np.argsort(labels, kind="stable")
        encoded, labels = [encoded[i] for i in order], labels[order]
    flat = np.concatenate(encoded) if len(encoded) else np.zeros(0, dtype=np.uint16)
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    widths = widths_of(modality)
    if spec.packed:
        classes = None if labels is None else DocumentClasses(np.cumsum(lengths) - lengths, labels)
        return PackedExamples(flat, spec.length, widths, start_of(modality, spec), beginnings_of(flat, spec), classes)
    return RecordExamples(flat, lengths, spec, widths, labels)


def widths_of(modality: Modality) -> Numbers:
    """(vocab,) units of each id; one each if the modality does not say."""
    widths = modality.widths()
    return np.ones(modality.spec.vocab, dtype=np.float32) if widths is None else widths  # type: ignore[union-attr]


def start_of(modality: Modality, spec: Tokens) -> int:
    """The id before the first token of a stream: the end of a document, else a line end, or 0 for data without lines."""
    if "end" in spec.special:
        return spec.special["end"]
    prompt = modality.condition_from_prompt("\n")
    ids = (prompt.x if isinstance(prompt, Condition) else prompt).reshape(-1)
    return int(ids[-1]) if len(ids) else 0


def beginnings_of(ids: Numbers, spec: Tokens) -> NDArray[np.int64]:
    """Places in a stream where a whole window follows that begins as samples do, with the end token of the document before.

    Empty where samples begin in the middle of a document."""
    if "end" not in spec.special or spec.opening:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(ids[: max(len(ids) - spec.length, 0)] == spec.special["end"])


def _units(ids: Numbers, widths: Numbers) -> float:
    return float(np.bincount(ids, minlength=len(widths)) @ widths.astype(np.float64)) if len(ids) else 0.0


class PackedExamples(Examples):
    """One stream of tokens; an example is a window of length+1 ids, cut anywhere or, now and then, where a document begins.

    ids: (n,); beginnings: (documents,) see `beginnings_of`. The class of a window is that of its first target.
    """

    def __init__(
        self,
        ids: Numbers,
        length: int,
        widths: Numbers,
        start: int,
        beginnings: NDArray[np.int64],
        classes: DocumentClasses | None = None,
    ) -> None:
        self.ids, self.classes = ids, classes
        self.beginnings = beginnings
        self.length = length
        self.start = start
        self.units, self.num_targets = _units(ids, widths), len(ids)
        fits = max((len(ids) - 1) // length, 0)
        # One window fewer leaves room for a random shift, so that window borders differ from epoch to epoch.
        self.count = fits - 1 if fits > 8 else max(fits, min(len(ids), 1))
        self.num_items = max(len(ids) // length, 1)
        self.labels = self._labels_at(np.arange(self.num_items) * length)
        self.shift_range = max(len(ids) - self.count * length, 1)
        self._span = np.arange(length + 1)
        # With this share, each beginning comes about once in an epoch, as every other window does.
        share = min(MAX_BEGINNING_SHARE, len(beginnings) * length / max(len(ids), 1))
        self._beginning_hashes = np.uint64(share * 2**64)  # places with a lower hash give way to a beginning

    def class_counts(self) -> Counter[int]:
        """Documents by class number."""
        return Counter() if self.classes is None else Counter(self.classes.labels.tolist())

    def _labels_at(self, places: NDArray[np.int64]) -> Integers | None:
        """(n,) the class at each place (n,) of the stream; None without classes."""
        return None if self.classes is None or not len(self.ids) else self.classes.at(places)

    def take(self, numbers: NDArray[np.int64], shift: int = 0) -> Rows:
        return self._at(numbers * self.length + shift)

    def at_fraction(self, fraction: float) -> Rows:
        return self._at(np.array([int(fraction * max(len(self.ids) - self.length, 1))]))

    def _at(self, starts: NDArray[np.int64]) -> Rows:
        if len(self.beginnings):
            # The hash of a place changes with the shift of the epoch, so that other windows give way in each.
            is_replaced = splitmix64(starts.astype(np.uint64)) < self._beginning_hashes
            starts = np.where(is_replaced, self.beginnings[starts * len(self.beginnings) // len(self.ids)], starts)
        index = starts[:, None] + self._span  # (B, L+1)
        if len(self.ids) <= self.length:
            index %= len(self.ids)  # a stream of less than one window repeats itself
        return Rows(self.ids[index], self._labels_at(index[:, 1]))

    def one_pass(self, modality: Modality, limit: int | None) -> Iterator[Batch]:
        """Documents in random order: folders are sorted by author, date or topic, and the last tokens read weigh most."""
        num_tokens = len(self.ids) if limit is None or limit >= self.count else limit * self.length + 1
        for bounds in self._stretches(modality, num_tokens):
            ids = np.concatenate([self.ids[start:stop] for start, stop in bounds])
            yield modality.batch(ids[None], self._labels_at(np.array([bounds[0][0]])), None)

    def _stretches(self, modality: Modality, num_tokens: int) -> Iterator[list[tuple[int, int]]]:
        """Starts and stops of what makes a row: about PASS_TOKENS tokens, or fewer where another class follows."""
        bounds: list[tuple[int, int]] = []
        size = 0
        for start, stop in self._pieces(modality, num_tokens):
            if bounds and not self._have_one_class(bounds[0][0], start):
                yield bounds
                bounds, size = [], 0
            for first in range(start, stop, PASS_TOKENS):
                bounds.append((first, min(first + PASS_TOKENS, stop)))
                size += bounds[-1][1] - first
                if size >= PASS_TOKENS:
                    yield bounds
                    bounds, size = [], 0
        if bounds:
            yield bounds

    def _have_one_class(self, *places: int) -> bool:
        """Whether the documents at these places of the stream are of one class, or have none."""
        labels = self._labels_at(np.array(places))
        return labels is None or len(set(labels.tolist())) == 1

    def _pieces(self, modality: Modality, num_tokens: int) -> Iterator[tuple[int, int]]:
        """Starts and stops of documents in random order, `num_tokens` in all; where that is not all, long ones are cut into pieces."""
        starts, stops = self._document_bounds(modality)
        if num_tokens < len(self.ids):
            longest = max(1, num_tokens // MIN_PASS_PIECES)
            starts, stops = piece_bounds(starts, stops, longest)
        for number in permutation(len(starts), 0):
            size = min(int(stops[number] - starts[number]), num_tokens)
            if size <= 0:
                return
            num_tokens -= size
            yield int(starts[number]), int(starts[number]) + size

    def _document_bounds(self, modality: Modality) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(documents,) where each starts, and where it stops after its end token."""
        end = modality.spec.special.get("end") if isinstance(modality.spec, Tokens) else None
        stops = np.append(np.flatnonzero(self.ids[:-1] == end) + 1, len(self.ids))
        return np.append(0, stops[:-1]), stops

    def scoring(self, modality: Modality, batch: int, stride: int | None, limit: float | None) -> Iterator[Batch]:
        stream = np.append(self.ids.dtype.type(self.start), self.ids)  # the first token needs a context, too
        windows = _windows(len(self.ids), self.length, stride or max(self.length // 2, 1))
        number = np.arange(len(windows))
        if limit is not None and limit < self.units:
            keep = max(1, round(len(windows) * limit / self.units))
            number = np.linspace(0, len(windows) - 1, keep).round().astype(np.int64)
            windows = windows[number]
        continues = np.diff(number, prepend=-2) == 1
        target = np.arange(self.length)
        for first in range(0, len(windows), batch):
            start, low, high = windows[first : first + batch].T
            rows = stream[np.minimum(start[:, None] + self._span, len(stream) - 1)]
            is_counted = (target >= low[:, None]) & (target < high[:, None])
            labels = self._labels_at(start + low)
            yield _masked_batch(modality, Rows(rows, labels), is_counted, continues[first : first + batch])

    def documents(self, modality: Modality, limit: int) -> Iterator[Batch]:
        """Documents from their beginnings, one a batch; see `documents_of`."""
        starts, stops = self._document_bounds(modality)
        longest = max(DOCUMENT_TARGETS, limit // len(starts))
        stream = np.append(self.ids.dtype.type(self.start), self.ids)
        target = np.arange(self.length)
        for number in permutation(len(starts), 0):
            size = min(int(stops[number] - starts[number]), longest, limit)
            if size <= 0:
                continue
            limit -= size
            first, low, high = _windows(size, self.length, max(self.length // 2, 1)).T
            rows = stream[np.minimum(starts[number] + first[:, None] + self._span, len(stream) - 1)]
            is_counted = (target >= low[:, None]) & (target < high[:, None])
            labels = self._labels_at(starts[number] + first + low)
            yield _masked_batch(modality, Rows(rows, labels), is_counted, np.arange(len(first)) > 0)

    def samples(self, n: int, seed: int) -> list[Numbers]:
        numbers = random_subset(self.num_items, n, seed)
        return [self.ids[number * self.length : (number + 1) * self.length] for number in numbers]


class RecordExamples(Examples):
    """Whole records; an example is one record, or one window of a record longer than the spec's length."""

    pass_batch = 4096

    def __init__(
        self,
        flat: Numbers,
        lengths: NDArray[np.int64],
        spec: Tokens,
        widths: Numbers,
        labels: Integers | None,
    ) -> None:
        self.flat, self.labels = flat, labels
        self.length = spec.length
        self.pad = spec.special.get("pad", spec.special.get("end", 0))
        begin = spec.special.get("begin")
        counted = flat if begin is None else flat[flat != begin]
        self.units = _units(counted, widths)
        starts = np.cumsum(lengths) - lengths
        pieces = np.maximum(-(-(lengths - 1) // self.length), 1)
        piece_index = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        self.owner = np.repeat(np.arange(len(lengths)), pieces)
        self.starts = starts[self.owner] + piece_index * self.length
        self.lengths = np.minimum(lengths[self.owner] - piece_index * self.length, self.length + 1)
        self.num_targets = int((self.lengths - 1).sum())
        self.records, self.num_items = (starts, lengths), len(starts)
        self.count = len(self.starts)
        self._span = np.arange(self.length + 1)

    def take(self, numbers: NDArray[np.int64], shift: int = 0) -> Rows:
        lengths = self.lengths[numbers]
        index = self.starts[numbers][:, None] + self._span
        rows = self.flat[np.minimum(index, len(self.flat) - 1)]
        rows[self._span >= lengths[:, None]] = self.pad
        return Rows(rows, None if self.labels is None else self.labels[self.owner[numbers]], lengths)

    def samples(self, n: int, seed: int) -> list[Numbers]:
        starts, lengths = self.records
        numbers = random_subset(self.num_items, n, seed)
        return [self.flat[starts[number] : starts[number] + lengths[number]] for number in numbers]


class GridExamples(Examples):
    """Stored grids. values: (n, ...) as the modality encodes them; size: values of one as the model sees it."""

    pass_batch = 256

    def __init__(self, values: Numbers, labels: Integers | None, size: int) -> None:
        self.values, self.labels = values, labels
        self.count = self.num_items = len(values)
        self.num_targets = self.count * size
        self.units = float(self.num_targets)

    def take(self, numbers: NDArray[np.int64], shift: int = 0) -> Rows:
        return Rows(self.values[numbers], None if self.labels is None else self.labels[numbers])

    def samples(self, n: int, seed: int) -> Numbers:
        return self.values[random_subset(self.count, n, seed)]


def concatenate(chunks: Sequence[Rows]) -> Rows:
    """The rows of all chunks, in order."""
    if len(chunks) == 1:
        return chunks[0]
    columns = zip(*chunks, strict=True)
    return Rows(*(None if column[0] is None else np.concatenate(column) for column in columns))  # type: ignore[arg-type]


def training_batch(modality: Modality, rows: Rows, index: NDArray[np.int64]) -> Batch:
    """A training batch. The hash of a row's global number (index: (B,)) chooses one of its orderings."""
    import torch

    numbers = splitmix64(index.astype(np.uint64))
    views = modality.orderings(modality.batch(*rows))
    if len(views) == 1:
        return modality.augment(views[0], numbers)
    view_index = torch.from_numpy((numbers % np.uint64(len(views))).astype(np.int64))  # (B,)
    codings = torch.stack([view.x for view in views])  # (views, B, L+1)
    return modality.augment(replace(views[0], x=codings[view_index, torch.arange(len(view_index))]), numbers)


def _windows(n: int, length: int, stride: int) -> NDArray[np.int64]:
    """(windows, 3) start, first counted target and end of counted targets of each window. Each of the n targets counts once.

    The targets are numbered within the window."""
    stride = min(max(stride, 1), length)
    scored = min(length, n)
    windows = [(0, 0, scored)]
    while scored < n:
        stop = min(scored + stride, n)
        windows.append((stop - length, scored - stop + length, length))
        scored = stop
    return np.array(windows, dtype=np.int64)


def _masked_batch(modality: Modality, rows: Rows, mask: NDArray[np.bool_], continues: NDArray[np.bool_]) -> Batch:
    """A batch whose counted targets are those of the mask (B, L). continues: (B,) see `Batch`."""
    import torch

    plain = modality.batch(*rows)
    units = (widths_of(modality)[rows.rows[:, 1:]] * mask).sum(1)
    units = torch.from_numpy(units.astype(np.float32))
    return Batch(plain.x, plain.labels, torch.from_numpy(mask), units, torch.from_numpy(continues))
