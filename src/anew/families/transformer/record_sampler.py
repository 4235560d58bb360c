"""Samples whole records that are not among the known ones.

Legend for shapes: n samples, L tokens of the longest, k samples that are drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from anew.core.specs import SampleRequest
from anew.families.transformer.config import TransformerSampling
from anew.families.transformer.known_records import Ints, KnownRecords
from anew.families.transformer.sampler import SampledFamily, TokenSampler

MAX_ATTEMPTS = 8  # a model that still gives a known record is one that copies, which the copying test should see


class RecordSampler:
    """Samples as from `TokenSampler`; those that turn out to be known records are drawn again, up to MAX_ATTEMPTS times.

    Iterate for drafts (n, L): all drafts of `TokenSampler`, then one after each further attempt.
    """

    def __init__(
        self,
        family: SampledFamily,
        request: SampleRequest,
        sampling: TransformerSampling,
        keys: Sequence[tuple[int, int]],
        known: KnownRecords,
    ) -> None:
        self.family, self.request, self.sampling = family, request, sampling
        self.keys, self.known = keys, known

    def __iter__(self) -> Iterator[Tensor]:
        sampler = TokenSampler(self.family, self.request, self.sampling, self.keys)
        draft = torch.zeros((self.request.n, 0), dtype=torch.int64)
        for draft in sampler:
            yield draft
        rows = self.known.among(draft.numpy())
        for attempt in range(1, MAX_ATTEMPTS):
            if not len(rows):
                return
            again = self._drawn_again(rows, attempt)
            draft = with_rows(draft, rows, again, sampler.pad_id)
            yield draft
            rows = rows[self.known.among(again.numpy())]

    def _drawn_again(self, rows: Ints, attempt: int) -> Tensor:
        """(k, L) other samples for these rows (k,)."""
        index, request = torch.from_numpy(rows), self.request
        labels = None if request.labels is None else request.labels[index]
        condition = request.condition
        if condition is not None and condition.x.ndim == 2:
            condition = replace(condition, x=condition.x.expand(request.n, -1)[index])
        part = replace(request, n=len(rows), labels=labels, condition=condition, keys=None)
        keys = [self.keys[row] for row in rows]
        *_, last = TokenSampler(self.family, part, self.sampling, keys, attempt=attempt)
        return last


def with_rows(draft: Tensor, rows: Ints, replacement: Tensor, pad_id: int) -> Tensor:
    """(n, L) a draft with some of its rows (k,) replaced by others (k, L), padded to the longest."""
    length = max(draft.shape[1], replacement.shape[1])
    padded = functional.pad(draft, (0, length - draft.shape[1]), value=pad_id).clone()  # (n, L)
    padded[torch.from_numpy(rows)] = functional.pad(replacement, (0, length - replacement.shape[1]), value=pad_id)
    return padded
