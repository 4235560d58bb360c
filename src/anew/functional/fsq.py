"""Finite scalar quantisation: a few numbers, each rounded to one of a few levels, are one code (FSQ, arXiv 2309.15505)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

STEEP = 1.6  # of the sigmoid that gives normal numbers about the same share of each level (iFSQ, arXiv 2601.17124)


def squash(x: Tensor) -> Tensor:
    """Any numbers -> (-1, 1), about evenly spread where they were standard normal."""
    return 2.0 * torch.sigmoid(STEEP * x) - 1.0


def rounded(x: Tensor, levels: Sequence[int]) -> Tensor:
    """x (B, len(levels), ...) in [-1, 1] -> the nearest of each channel's levels, which lie evenly from -1 to 1.

    Gradients pass as if nothing had been rounded."""
    half = _shaped([(n - 1) / 2 for n in levels], x)
    found = ((x + 1.0) * half).round() / half - 1.0
    return x + (found - x).detach()


def number(x: Tensor, levels: Sequence[int]) -> Tensor:
    """Rounded values (B, len(levels), ...) -> (B, ...) int64, the code's place among all of them; the first channel counts
    fastest."""
    half = _shaped([(n - 1) / 2 for n in levels], x)
    places = ((x.double() + 1.0) * half).round().long()
    weights = [math.prod(levels[:i]) for i in range(len(levels))]
    return (places * _shaped(weights, x).long()).sum(1)


def values(codes: Tensor, levels: Sequence[int]) -> Tensor:
    """Codes (B, ...) -> rounded values (B, len(levels), ...) fp32: the inverse of `number`."""
    found, rest = [], codes.long()
    for n in levels:
        found.append((rest % n).float() * (2.0 / (n - 1)) - 1.0)
        rest = rest // n
    return torch.stack(found, 1)


def _shaped(row: Sequence[float], x: Tensor) -> Tensor:
    return torch.tensor(row, device=x.device, dtype=torch.float32).view(-1, *[1] * (x.ndim - 2))
