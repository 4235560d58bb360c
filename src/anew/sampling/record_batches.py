"""Batches of independent records for scoring; records of about the same length are put together.

Legend for shapes: B rows of a batch, L targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from anew.core.arrays import Ints
from anew.core.specs import Batch, Tokens
from anew.data.loading.rows import GridExamples, PackedExamples, RecordExamples, examples_of
from anew.data.modality import Modality
from anew.data.types import EncodedRecord

TOKENS_AT_ONCE = 8192  # tokens in a batch of windows: bounds the memory of its logits
# Tokens in a batch of records, padding included: a tenth to a fifth faster than 8,192. It is not smaller because with known
# records each step has a fixed cost (docs/log.md, 2026-11-26).
RECORD_TOKENS_AT_ONCE = 4096
GRIDS_AT_ONCE = 32  # items in a batch of grids: bounds memory for images of any size; chosen


def record_batches(
    modality: Modality, records: Sequence[EncodedRecord], whole_documents: bool
) -> Iterator[tuple[Ints, Batch]]:
    """Yield batches in which every target of every record counts once, and the index of the record that each row belongs to (B,).

    Args:
        records: All with a label, or all without.
        whole_documents: Whether all windows of a document must be in one batch, however many there are.
    """
    spec = modality.spec
    if isinstance(spec, Tokens) and spec.packed:
        yield from _document_batches(modality, records, whole_documents)
        return
    labels = [record.label for record in records if record.label is not None]
    examples = examples_of(modality, [record.row for record in records], np.array(labels) if labels else None)
    if isinstance(examples, RecordExamples):
        order = np.argsort(examples.lengths, kind="stable")
        for row_index in _pieces_of_one_length(order, examples.lengths):
            yield examples.owner[row_index], modality.batch(*examples.take(row_index))
    elif isinstance(examples, GridExamples):
        for first in range(0, examples.count, GRIDS_AT_ONCE):
            row_index = np.arange(first, min(first + GRIDS_AT_ONCE, examples.count))
            yield row_index, modality.batch(*examples.take(row_index))


def _pieces_of_one_length(order: Ints, lengths: Ints) -> Iterator[Ints]:
    """Cut indices, which are sorted by length, into pieces of at most RECORD_TOKENS_AT_ONCE padded tokens."""
    first = 0
    while first < len(order):
        stop = first + 1
        while stop < len(order) and (stop + 1 - first) * int(lengths[order[stop]]) <= RECORD_TOKENS_AT_ONCE:
            stop += 1
        yield order[first:stop]
        first = stop


def _document_batches(
    modality: Modality, records: Sequence[EncodedRecord], is_whole: bool
) -> Iterator[tuple[Ints, Batch]]:
    """Yield batches of the windows of documents; each document begins without a context."""
    spec = modality.spec
    assert isinstance(spec, Tokens)
    at_once = max(1, TOKENS_AT_ONCE // spec.length)
    owners: list[Ints] = []
    batches: list[Batch] = []
    for number, record in enumerate(records):
        labels = None if record.label is None else np.array([record.label])
        examples = examples_of(modality, [record.row], labels)
        assert isinstance(examples, PackedExamples)
        for batch in examples.scoring(modality, len(record.row) + 1 if is_whole else at_once, None, None):
            if batches and sum(map(len, batches)) + len(batch) > at_once:
                yield np.concatenate(owners), _concatenated(batches)
                owners, batches = [], []
            owners.append(np.full(len(batch), number))
            batches.append(batch)
    if batches:
        yield np.concatenate(owners), _concatenated(batches)


def _concatenated(batches: Sequence[Batch]) -> Batch:
    """Join batches of windows into one. Windows have a mask, and the first of each batch continues none."""
    labels: list[Tensor] = [batch.labels for batch in batches if batch.labels is not None]
    masks: list[Tensor] = [batch.mask for batch in batches if batch.mask is not None]
    units: list[Tensor] = [batch.units for batch in batches if batch.units is not None]
    continues = [batch.continues for batch in batches if batch.continues is not None]
    x, of_classes = torch.cat([batch.x for batch in batches]), torch.cat(labels) if labels else None
    return Batch(x, of_classes, torch.cat(masks), torch.cat(units), torch.cat(continues))
