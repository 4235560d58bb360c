"""From probabilities to a choice: temperature, top-k, top-p, min-p, and a draw by inverse distribution."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]


def reshape(
    probability: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> Tensor:
    """(n, V) probabilities (rows sum to 1) -> the same, sharpened and cut, each row summing to 1.

    temperature: p^(1/T), 0 keeps the most probable alone. top_k: the k most probable (0: all). top_p: the fewest whose
    mass reaches top_p (arXiv 1904.09751). min_p: those with at least min_p of the top probability (arXiv 2407.01082).
    The cuts look at the sharpened distribution; the most probable token always stays.
    """
    if (temperature, top_k, top_p, min_p) == (1.0, 0, 1.0, 0.0):
        return probability
    if temperature == 0.0:
        return torch.nn.functional.one_hot(probability.argmax(-1), probability.shape[-1]).to(probability.dtype)
    if temperature != 1.0:
        # Through logs and a shared peak, since p^(1/T) of small numbers underflows.
        probability = (probability.clamp_min(1e-38).log() / temperature).softmax(-1)
    if 0 < top_k < probability.shape[-1]:
        least = probability.topk(top_k, -1).values[..., -1:]
        probability = probability.where(probability >= least, 0.0)
    if min_p > 0.0:
        probability = probability.where(probability >= min_p * probability.amax(-1, keepdim=True), 0.0)
    if top_p < 1.0:
        probability = _nucleus(probability / probability.sum(-1, keepdim=True), top_p)
    return probability / probability.sum(-1, keepdim=True)


def _nucleus(probability: Tensor, top_p: float) -> Tensor:
    ordered, place = probability.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    kept = torch.where(before < max(top_p, 1e-9), ordered, 0.0)
    return torch.zeros_like(probability).scatter(-1, place, kept)


def choose(probability: Floats, uniform: Floats) -> NDArray[np.int64]:
    """(n, V) weights above or at zero and (n,) in [0, 1) -> (n,) token ids: the first whose cumulated share exceeds the
    number. Rows need not sum to 1."""
    total = probability.cumsum(1)
    # Scaled by the last sum, not 1, and never past the last token with any mass: rounding would find one without.
    if len(total) == 1:
        row = total[0]
        place, end = row.searchsorted(uniform * row[-1], "right"), row.searchsorted(row[-1:], "left")
    else:
        last = total[:, -1:]
        place, end = (total <= uniform[:, None] * last).sum(1), (total < last).sum(1)
    chosen: NDArray[np.int64] = np.minimum(place, end)
    return chosen
