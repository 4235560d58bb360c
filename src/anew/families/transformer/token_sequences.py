"""Token sequences of batches, as counts and known records read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np

from anew.core.arrays import Doubles, Ints
from anew.core.specs import Batch

# Tokens that the network scores at a time, which bounds the memory of its log-probabilities (32 MB at 1,024 sub-words)
TOKENS_AT_ONCE = 8192
# Share that stays whenever there are too many: each time costs a pass over those that are kept; chosen
KEPT_SHARE = 0.75
GOLDEN_RATIO = (5**0.5 - 1) / 2  # its multiples, modulo 1, lie more evenly than those of other numbers


class Segment(NamedTuple):
    """Targets of one document, which are read one after another.

    Attributes:
        places: (T,) their positions among the B * L targets of the batch.
        opening: The id before the first one.
        label: Their class; -1 where none is known.
    """

    places: Ints
    opening: int
    label: int = -1


def sequences_of(batches: Iterable[Batch], max_tokens: int, classes: list[int] | None = None) -> Iterator[Ints]:
    """Token sequences of batches, at most `max_tokens` in total. The class of each is appended to `classes`, -1 without."""
    return first_tokens(_sequences(batches, [] if classes is None else classes), max_tokens)


def first_tokens(sequences: Iterable[Ints], max_tokens: int) -> Iterator[Ints]:
    """The first sequences, `max_tokens` in total; the last one may be cut."""
    remaining = max_tokens
    for ids in sequences:
        yield ids[:remaining]
        remaining -= len(ids)
        if remaining <= 0:
            return


class ThinnedSequences(NamedTuple):
    """Token sequences from everywhere in a data set.

    Attributes:
        classes: The class of each sequence; -1 without.
        are_all: Whether no sequence was left out.
    """

    sequences: list[Ints]
    classes: list[int]
    are_all: bool


def thinned_sequences(batches: Iterable[Batch], max_tokens: int, back_id: int | None = None) -> ThinnedSequences:
    """Token sequences of batches, at most `max_tokens` in total, from everywhere in them.

    Args:
        back_id: The first id of sequences that are read backwards: a batch of them follows the same one read forwards, and both
            orders of a sequence are kept, or neither.
    """
    sequences: list[Ints] = []
    classes: list[int] = []
    # Those with the largest values are left out: the others are evenly spread over the batches, whatever the bound
    values: Doubles = np.zeros(0)
    batch_values: Doubles = np.zeros(0)
    bound, num_read, size = 1.0, 0, 0
    for batch in batches:
        if back_id is None or not bool((batch.x[:, 0] == back_id).any()):
            batch_values = np.arange(num_read, num_read + len(batch), dtype=np.float64) * GOLDEN_RATIO % 1.0  # (B,)
            num_read += len(batch)
        rows = np.flatnonzero(batch_values < bound)
        batch_rows, batch_classes = _rows_of(batch, rows)
        sequences += batch_rows
        classes += batch_classes
        size += sum(map(len, batch_rows))
        values = np.append(values, batch_values[rows])
        while size > max_tokens and len(sequences) > 1:
            bound *= min(KEPT_SHARE, max_tokens / size)
            stays = values < bound
            sequences, classes, values = list(compress(sequences, stays)), list(compress(classes, stays)), values[stays]
            size = sum(map(len, sequences))
    return ThinnedSequences(sequences, classes, are_all=bound == 1.0)


def _rows_of(batch: Batch, rows: Ints) -> tuple[list[Ints], list[int]]:
    """Token sequences of some rows of a batch, and their classes, -1 without."""
    ids = batch.x.cpu().numpy()
    lengths = np.full(len(ids), ids.shape[1]) if batch.mask is None else batch.mask.sum(1).long().cpu().numpy() + 1
    classes = [-1] * len(rows) if batch.labels is None else batch.labels.cpu().numpy()[rows].tolist()
    return [ids[row, : lengths[row]].astype(np.int64) for row in rows.tolist()], classes


def _sequences(batches: Iterable[Batch], classes: list[int]) -> Iterator[Ints]:
    for batch in batches:
        for ids, label in zip(*_rows_of(batch, np.arange(len(batch))), strict=True):
            classes.append(label)
            yield ids


def documents_from_beginnings(texts: Sequence[Ints], end: int, classes: Sequence[int]) -> tuple[list[Ints], list[int]]:
    """The documents of texts that follow each other, each after the end token of the one before it, as samples begin; and the class of
    each. classes: of the texts.

    Counts of longer contexts across two documents would make a beginning rare: few tokens stand before `end`."""
    ids = np.concatenate([np.zeros(0, dtype=np.int64), *texts])
    stops = np.flatnonzero(ids == end) + 1
    stops = stops[stops < len(ids)]
    owners = np.searchsorted(np.cumsum(list(map(len, texts))), np.append(0, stops), side="right")
    return [np.append(end, document) for document in np.split(ids, stops)], np.array([*classes, -1])[owners].tolist()


def pieces_of(batch: Batch) -> Iterator[Batch]:
    """The batch in pieces that the network scores at a time."""
    rows = max(1, TOKENS_AT_ONCE // max(1, batch.x.shape[1] - 1))
    for first in range(0, len(batch), rows):
        yield batch.rows(first, first + rows)


def documents_of(batch: Batch) -> Iterator[Ints]:
    """Token sequences of the documents that the targets of a batch are read in; see `segments_of`."""
    targets = batch.x[:, 1:].flatten().cpu().numpy()
    for segment in segments_of(batch):
        yield np.append(segment.opening, targets[segment.places])


def segments_of(batch: Batch) -> Iterator[Segment]:
    """The targets of a batch in the order in which they are read: all that count and, in a row that does not continue another one,
    those before them."""
    ids = batch.x.cpu().numpy()
    length = ids.shape[1] - 1
    target_mask = np.ones((len(ids), length), dtype=bool) if batch.mask is None else batch.mask.cpu().numpy() > 0
    continues = np.zeros(len(ids), dtype=bool) if batch.continues is None else batch.continues.cpu().numpy()
    labels = np.full(len(ids), -1) if batch.labels is None else batch.labels.cpu().numpy()
    places: list[Ints] = []
    opening, label = 0, -1
    for row in range(len(ids)):
        counted = np.flatnonzero(target_mask[row])
        if not len(counted):
            continue
        continues_last = bool(continues[row]) and bool(places) and labels[row] == label
        if not continues_last and places:
            yield Segment(np.concatenate(places), opening, label)
            places = []
        first = int(counted[0]) if continues_last else 0
        if not continues_last:
            opening, label = int(ids[row, 0]), int(labels[row])
        places.append(row * length + np.arange(first, int(counted[-1]) + 1))
    if places:
        yield Segment(np.concatenate(places), opening, label)
