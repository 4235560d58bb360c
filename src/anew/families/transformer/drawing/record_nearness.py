"""Whether samples come nearer to training records than held-out records do, if aligned records are drawn from.

Legend for shapes: n samples or records, L tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from anew.core.arrays import Ints
from anew.core.specs import SampleRequest
from anew.estimators.alignment_experts import AlignmentIndex
from anew.families.transformer.config import TransformerSampling
from anew.families.transformer.drawing.sampler import TokenSampler
from anew.families.transformer.parts import TransformerParts

NUM_DRAWN = 32  # samples, which take a second
NUM_HELD_OUT = 64  # records that they are compared with; chosen
MAX_TOKENS = 96  # so many tokens of each record are compared, which bounds the time
# Share of held-out records that are no nearer to the known records than a near sample is; half of the records may be of clusters without
# relatives; chosen.
USUAL_QUANTILE = 0.9
# Share of samples that may be nearer than that: 9 of 32 if 0.1 are expected has a chance of 0.004. Where 0.45 were, the copying test
# found 24% copies (docs/log.md, 2026-11-28).
MAX_NEARER = 0.25


def draws_copies(
    family: TransformerParts, records: AlignmentIndex, held_out: Sequence[Ints], classes: Sequence[int]
) -> bool:
    """Whether far more samples than held-out records are near to a training record.

    Args:
        held_out: Records with begin and end, as in a batch.
        classes: Classes of the held-out records; samples are drawn with the same mix of classes. All are -1 without classes.
    """
    spread = np.linspace(0, len(held_out) - 1, min(NUM_HELD_OUT, len(held_out))).astype(int)
    usual = np.quantile(_nearness(records, [held_out[i] for i in spread]), USUAL_QUANTILE)
    sampling = TransformerSampling(max_tokens=MAX_TOKENS)
    of_samples = np.linspace(0, len(held_out) - 1, NUM_DRAWN).astype(int)
    labels = torch.tensor([classes[i] for i in of_samples]) if family.num_label_tokens else None  # (n,)
    request = SampleRequest(NUM_DRAWN, labels, sampling=sampling)
    *_, draft = TokenSampler(family, request, sampling, [(0, index) for index in range(NUM_DRAWN)])
    begin, end = family.spec.special.get("begin"), family.spec.special.get("end")
    samples = []
    for row in draft.numpy():
        ends = np.flatnonzero(row == end)
        whole = row[: ends[0] + 1] if len(ends) else row
        samples.append(whole if begin is None else np.append(begin, whole))
    return bool((_nearness(records, samples) > usual).mean() > MAX_NEARER)


def _nearness(records: AlignmentIndex, rows: Sequence[Ints]) -> np.ndarray:
    lengths = np.array([min(len(row), MAX_TOKENS) for row in rows])
    padded = np.zeros((len(rows), int(lengths.max())), dtype=np.int64)  # (n, L)
    for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        padded[place, :length] = row[:length]
    return records.nearness(padded, lengths)
