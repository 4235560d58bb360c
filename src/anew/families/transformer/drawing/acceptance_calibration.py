"""How probable held-out records and samples are under the model, to which `RecordAcceptance` is fitted.

Legend for shapes: B rows of a batch, L targets of a row, n samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from anew.core.arrays import Bools, Doubles
from anew.core.specs import Batch, SampleRequest
from anew.families.base import RequestOf
from anew.families.transformer.config import TransformerSampling
from anew.families.transformer.drawing.record_sampler import RecordSampler
from anew.families.transformer.parts import TransformerParts
from anew.families.transformer.token_mixer import LogitsOf

# Samples of a round. One tells .58 from one half, all rounds tell .55; one alone left it to chance whether anything was fitted to names of
# packages, of whose words 50% were known then, and else 37% (docs/log.md, 2026-12-03). Chosen.
NUM_DRAWN, MAX_ROUNDS = 64, 4
MIN_HELD_OUT = 40  # records below which the tail is not known; chosen
MAX_HELD_OUT = 256  # which take as long as few samples, since all their tokens are read at once; chosen
ROWS_AT_ONCE = 32  # held-out records, after which the caller may stop; chosen
SEED = 2**31 - 2  # of the first round, those of others are below it: not one that users are likely to take


class HeldOutRecords:
    """Batches of held-out records, of which the first ones are kept while others read them.

    Args:
        batches: Those that are read.
        begin_id: With which records begin that are read forwards; None where all are.
    """

    def __init__(self, batches: Iterable[Batch], begin_id: int | None, end_id: int | None) -> None:
        self._batches, self._begin_id, self._end_id = batches, begin_id, end_id
        self.kept: list[Batch] = []
        self.num_kept = 0

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            if self.num_kept < MAX_HELD_OUT:
                self._keep(batch)
            yield batch

    def _keep(self, batch: Batch) -> None:
        for first in range(0, len(batch), ROWS_AT_ONCE):
            part = batch.rows(first, min(first + ROWS_AT_ONCE, len(batch)))
            is_whole = self.are_whole(part)
            if is_whole.any() and self.num_kept < MAX_HELD_OUT:
                self.kept.append(part)
                self.num_kept += int(is_whole.sum())

    def are_whole(self, batch: Batch) -> Bools:
        """(B,) whether rows are records from their beginning to their end, read forwards."""
        ids = batch.x.cpu().numpy()
        counted = np.ones(ids[:, 1:].shape, dtype=bool) if batch.mask is None else batch.mask.cpu().numpy() > 0
        has_end = ((ids[:, 1:] == self._end_id) & counted).any(1)
        is_whole: Bools = has_end if self._begin_id is None else has_end & (ids[:, 0] == self._begin_id)
        return is_whole


def calibrate_acceptance(
    family: TransformerParts, records: HeldOutRecords, logits_of: LogitsOf, request_of: RequestOf
) -> Iterator[int]:
    """Score held-out records, draw samples, and accept improbable ones so seldom that there are no more of them.

    Args:
        records: Those that were kept.
        logits_of: The network's.
        request_of: See `Family.calibrate_drawing`.

    Yields:
        Records that were scored, then tokens of each sample drawn; the caller may stop, and then the rounds that were finished count.
    """
    mixer = family.token_mixer
    if mixer is None or records.num_kept < MIN_HELD_OUT:
        return
    held_out: list[Doubles] = []
    for batch in records.kept:
        with torch.inference_mode():
            log_probs = (
                mixer.log_probs_by_side(batch, logits_of)["together"].cpu().double().view(len(batch), -1).numpy()
            )
        counted = np.ones_like(log_probs) if batch.mask is None else batch.mask.cpu().numpy()
        bits = -(log_probs * counted).sum(1) / counted.sum(1).clip(1) / math.log(2.0)  # (B,) per token
        held_out.append(bits[records.are_whole(batch)])
        yield len(held_out)
    drawn: list[Doubles] = []
    is_clear = False
    while len(drawn) < MAX_ROUNDS and not is_clear:
        seed = SEED - len(drawn)
        sampler = _sampler_of(family, request_of(NUM_DRAWN, seed), seed)
        for draft in sampler:
            yield draft.shape[1]
        drawn.append(sampler.bits_per_token)
        is_clear = family.acceptance.fit(np.concatenate(held_out), np.concatenate(drawn))


def _sampler_of(family: TransformerParts, request: SampleRequest, seed: int) -> RecordSampler:
    sampling, keys = request.sampling_as(TransformerSampling), request.sample_keys(seed)
    return RecordSampler(family, request, sampling, keys, counts_bits=True, accepts_all=True)
