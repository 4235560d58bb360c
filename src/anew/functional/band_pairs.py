"""Neighbouring bands of spectrograms as one row of a grid, so that a network spends the time of half as many rows on them.

Legend for shapes: B clips, M bands, R rows (M / 2), T frames. Maps are the level and, of stereo sound, balance and coherence.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Size of the difference of two bands beside their mean: noise hides a smaller one longer, so that samples get the coarse shape
# first, and the loss counts it less. Of 0.25 and 0.5, 0.5 made notes harder to tell from real ones (docs/log.md, 2026-11-30).
DETAIL = 0.5


def pair_bands(maps: Tensor) -> Tensor:
    """Maps (B, 1 or 3, M, T) in [-1, 1] as (B, 2 or 4, R, T): means of pairs of bands, and as the second channel DETAIL times half
    the difference of their levels. Balance and coherence are smooth, and their means suffice."""
    low, high = maps[:, :, 0::2], maps[:, :, 1::2]  # (B, 1 or 3, R, T)
    mean = (low + high) / 2.0
    difference = (low[:, :1] - high[:, :1]) * (DETAIL / 2.0)  # (B, 1, R, T)
    return torch.cat([mean[:, :1], difference, mean[:, 1:]], 1)


def unpair_bands(grids: Tensor) -> Tensor:
    """The maps (B, 1 or 3, M, T) of grids (B, 2 or 4, R, T), in [-1, 1].

    Near silence the mean leaves little room for a difference. Without this limit, what is left of noise in the differences of samples
    becomes specks."""
    mean = torch.cat([grids[:, :1], grids[:, 2:]], 1).clamp(-1.0, 1.0)  # (B, 1 or 3, R, T)
    room = 1.0 - mean[:, :1].abs()  # (B, 1, R, T)
    half = torch.zeros_like(mean)
    half[:, :1] = torch.minimum(torch.maximum(grids[:, 1:2] / DETAIL, -room), room)
    return torch.stack([mean + half, mean - half], 3).flatten(2, 3)  # (B, 1 or 3, M, T)
