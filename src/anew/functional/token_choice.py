"""From probabilities to a token: temperature, top-k, top-p, min-p, and a draw by the inverse distribution function."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from anew.core.arrays import Floats, Ints

# Least temperature that divides logarithms: with a lower one they could leave the range of fp32, so the most probable token is taken.
MIN_TEMPERATURE = 1e-6


def filter_probabilities(
    probabilities: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> Tensor:
    """Probabilities sharpened and cut. The cuts look at the sharpened distribution; the most probable token always stays.

    Args:
        probabilities: (n, V), rows sum to 1.
        temperature: p^(1/T), so 0 stays 0; one of 0, or below MIN_TEMPERATURE, keeps the most probable alone.
        top_k: Keep the k most probable, and those as probable as the k-th; 0 keeps all.
        top_p: Keep the fewest whose mass reaches top_p (arXiv 1904.09751).
        min_p: Keep those with at least min_p of the top probability (arXiv 2407.01082).

    Returns:
        (n, V), rows sum to 1.
    """
    if (temperature, top_k, top_p, min_p) == (1.0, 0, 1.0, 0.0):
        return probabilities
    if temperature < MIN_TEMPERATURE:
        best = probabilities.argmax(-1)
        return torch.nn.functional.one_hot(best, probabilities.shape[-1]).to(probabilities.dtype)
    if temperature != 1.0:
        # Through logs and a shared peak, since p^(1/T) of small numbers underflows.
        probabilities = (probabilities.log() / temperature).softmax(-1)
    if 0 < top_k < probabilities.shape[-1]:
        kth = probabilities.topk(top_k, -1).values[..., -1:]
        probabilities = probabilities.where(probabilities >= kth, 0.0)
    if min_p > 0.0:
        probabilities = probabilities.where(probabilities >= min_p * probabilities.amax(-1, keepdim=True), 0.0)
    if top_p < 1.0:
        probabilities = _nucleus(probabilities / probabilities.sum(-1, keepdim=True), top_p)
    return probabilities / probabilities.sum(-1, keepdim=True)


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    ordered, order = probabilities.sort(-1, descending=True)
    mass_before = ordered.cumsum(-1) - ordered
    nucleus = torch.where(mass_before < max(top_p, 1e-9), ordered, 0.0)
    return torch.zeros_like(probabilities).scatter(-1, order, nucleus)


def sample_tokens(weights: Floats, uniform: Floats) -> Ints:
    """(n,) token ids: in each row of weights (n, V), zero or more, the first whose cumulated share exceeds the uniform number, (n,) in
    [0, 1)."""
    cumulative = weights.cumsum(1)  # (n, V)
    # Scaled by the last sum, not 1, and never past the last token with any mass: rounding would find one without.
    if len(cumulative) == 1:
        row = cumulative[0]
        index, last = row.searchsorted(uniform * row[-1], "right"), row.searchsorted(row[-1:], "left")
    else:
        total = cumulative[:, -1:]
        index, last = (cumulative <= uniform[:, None] * total).sum(1), (cumulative < total).sum(1)
    tokens: Ints = np.minimum(index, last)
    return tokens


def above_min_p(weights: Floats, min_p: float) -> Floats:
    """(n, V) weights, 0 for tokens below min_p of the top one of their row."""
    truncated: Floats = np.where(weights >= min_p * weights.max(1, keepdims=True), weights, 0.0)
    return truncated
