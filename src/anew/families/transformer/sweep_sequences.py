"""Token sequences of a sweep, as counts and known records read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from anew.core.specs import Batch

Ints = NDArray[np.int64]


def sequences_of(sweep: Iterable[Batch], max_tokens: int, classes: list[int] | None = None) -> Iterator[Ints]:
    """Token sequences of a sweep's batches, at most `max_tokens` in total. The class of each is appended to `classes`, -1 without."""
    return first_tokens(_sequences(sweep, classes), max_tokens)


def first_tokens(sequences: Iterable[Ints], max_tokens: int) -> Iterator[Ints]:
    """The first sequences, `max_tokens` in total; the last one may be cut."""
    remaining = max_tokens
    for ids in sequences:
        yield ids[:remaining]
        remaining -= len(ids)
        if remaining <= 0:
            return


def _sequences(sweep: Iterable[Batch], classes: list[int] | None) -> Iterator[Ints]:
    for batch in sweep:
        lengths = None if batch.mask is None else batch.mask.sum(1).long().tolist()
        labels = [-1] * len(batch) if batch.labels is None else batch.labels.tolist()
        for i, row in enumerate(batch.x.cpu().numpy()):
            ids = row if lengths is None else row[: int(lengths[i]) + 1]
            if classes is not None:
                classes.append(labels[i])
            yield ids.astype(np.int64)
