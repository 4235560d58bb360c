"""Finite scalar quantisation: a few numbers, each rounded to one of a few levels, are one code (FSQ, arXiv 2309.15505)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from anew.core.machine.device import move

# Through a sigmoid of this steepness, normal numbers fall into each level about equally often (iFSQ, arXiv 2601.17124).
STEEPNESS = 1.6


def bound(x: Tensor) -> Tensor:
    """Any numbers -> (-1, 1), about evenly spread where they were standard normal."""
    return 2.0 * torch.sigmoid(STEEPNESS * x) - 1.0


def quantize(x: Tensor, levels: Sequence[int]) -> Tensor:
    """The nearest of each channel's levels, 2 or more, which lie evenly from -1 to 1, for x (B, len(levels), ...) in [-1, 1].
    Gradients pass as if nothing had been rounded."""
    half_range = _per_channel([(n - 1) / 2 for n in levels], x)
    quantized = ((x + 1.0) * half_range).round() / half_range - 1.0
    return x + (quantized - x).detach()


def values_to_codes(x: Tensor, levels: Sequence[int]) -> Tensor:
    """Quantized values (B, len(levels), ...) -> codes (B, ...) int64 in [0, prod(levels)); the first channel counts fastest."""
    half_range = _per_channel([(n - 1) / 2 for n in levels], x)
    indices = ((x.float() + 1.0) * half_range).round().long()
    strides = [math.prod(levels[:i]) for i in range(len(levels))]
    return (indices * _per_channel(strides, x).long()).sum(1)


def codes_to_values(codes: Tensor, levels: Sequence[int]) -> Tensor:
    """Codes (B, ...) -> quantized values (B, len(levels), ...) fp32: the inverse of `values_to_codes`."""
    channels = []
    remainder = codes.long()
    for n in levels:
        channels.append((remainder % n).float() * (2.0 / (n - 1)) - 1.0)
        remainder = remainder // n
    return torch.stack(channels, 1)


def _per_channel(row: Sequence[float], x: Tensor) -> Tensor:
    """One number for each channel of x (B, C, ...), as (C, 1, ...)."""
    return move(torch.tensor(row, dtype=torch.float32), x.device).view(-1, *[1] * (x.ndim - 2))
