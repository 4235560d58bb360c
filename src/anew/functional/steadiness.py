"""How much the levels of sounds fluctuate from frame to frame, by how loud they are, and samples that fluctuate no more than data.

Noise makes real levels fluctuate where it is faint. Tones are steady, and silence is still. The noise that a denoiser leaves
fluctuates at all levels alike, so tones flutter and silence has specks.

Legend for shapes: B clips, M bands, T frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

# Frames of the running medians, in turn. The narrowest comes last, so that fluctuations from one frame to the next are those of the data.
WINDOWS = (9, 5, 3)
# Levels from silence, -1, to the loudest, 1, that have a factor each. Chosen.
LEVELS = (-1.0, -0.75, -0.4, 0.0, 0.5)
# Factor of loud levels up to which samples are steadied at all: notes (0.49, 0.57) came closer to data in all figures, drums (0.80) and
# spoken digits (0.85) in some, and were further away in others (docs/log.md, 2026-11-30). Any value from 0.58 to 0.79 decides the same
# for these four.
MAX_FACTOR = 0.7
NUM_LOUD = 2  # the last two of LEVELS are loud ones
# Clips that have a level, and values of that level, from which its fluctuation counts: one loud band of one clip says nothing
# about the others. Chosen.
MIN_CLIPS, MIN_VALUES = 5, 100
CLIPS_AT_ONCE = 16  # whose medians are taken at once: bounds memory
TINY = 1e-6  # least level that is divided by: keeps quotients finite

# The window of a running median, rising levels, and the factor of each. Between levels, factors lie on straight lines. Runs and
# exports keep all three, so that other WINDOWS and LEVELS leave earlier runs as they are.
Stage: TypeAlias = tuple[int, tuple[float, ...], tuple[float, ...]]
Stages: TypeAlias = tuple[Stage, ...]


def fit_stages(samples: Tensor, real: Tensor) -> Stages:
    """Stages, with factors of at most 1, that make levels of `samples` (B, M, T) fluctuate no more than those of `real` (B', M, T).
    There are none where the loud levels of samples fluctuate hardly more, see MAX_FACTOR."""
    first = _fit_stage(samples, real, WINDOWS[0])
    if min(first[2][-NUM_LOUD:]) > MAX_FACTOR:
        return ()
    stages = [first]
    for window in WINDOWS[1:]:
        samples = _damp_fluctuation(samples, *stages[-1])
        stages.append(_fit_stage(samples, real, window))
    return tuple(stages)


def steady(levels: Tensor, stages: Stages) -> Tensor:
    """Levels (B, M, T) in [-1, 1] whose distances from running medians are multiplied by factors; no stages leave them as they are."""
    for stage in stages:
        levels = _damp_fluctuation(levels, *stage)
    return levels


def _fit_stage(samples: Tensor, real: Tensor, window: int) -> Stage:
    ratio = _fluctuation(real, window) / _fluctuation(samples, window).clamp_min(TINY)  # (L,)
    factors = ratio.clamp(max=1.0).nan_to_num(1.0)  # a level that is too rare stays as it is
    return window, LEVELS, tuple(round(float(factor), 4) for factor in factors)


def _damp_fluctuation(levels: Tensor, window: int, knots: tuple[float, ...], factors: tuple[float, ...]) -> Tensor:
    """`steady` for one stage."""
    knot, factor = torch.tensor(knots), torch.tensor(factors)

    def blended(level: Tensor, median: Tensor) -> Tensor:
        right = torch.bucketize(median, knot).clamp(1, len(knot) - 1)
        part = ((median - knot[right - 1]) / (knot[right] - knot[right - 1])).clamp(0.0, 1.0)
        return median + (factor[right - 1] + part * (factor[right] - factor[right - 1])) * (level - median)

    return torch.cat(_with_medians(levels, window, blended))


def _fluctuation(levels: Tensor, window: int) -> Tensor:
    """(L,) mean distance of levels (B, M, T) from their running medians, of those nearest to each of LEVELS; NaN where there are
    fewer than MIN_VALUES, or where fewer than MIN_CLIPS clips have them."""
    edges = torch.tensor([(low + high) / 2.0 for low, high in itertools.pairwise(LEVELS)])

    def summed(level: Tensor, median: Tensor) -> Tensor:
        clip = torch.arange(len(level))[:, None, None]  # (b, 1, 1)
        bin_index = (torch.bucketize(median, edges) + len(LEVELS) * clip).flatten()
        distance = (level - median).abs().flatten().double()
        size = len(LEVELS) * len(level)
        distances = torch.bincount(bin_index, distance, minlength=size).view(-1, len(LEVELS))  # (b, L)
        counts = torch.bincount(bin_index, minlength=size).view(-1, len(LEVELS))  # (b, L)
        return torch.stack([distances.sum(0), counts.sum(0), (counts > 0).sum(0)])  # (3, L)

    sums = torch.stack(_with_medians(levels, window, summed)).sum(0)  # (3, L)
    is_common = (sums[1] >= MIN_VALUES) & (sums[2] >= MIN_CLIPS)  # (L,)
    return torch.where(is_common, sums[0] / sums[1], torch.nan)  # (L,)


def _with_medians(levels: Tensor, window: int, result: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
    """Results of `result` for levels (B, M, T) of a few clips at a time and their running medians over frames."""
    return [result(level, _running_median(level, window)) for level in torch.split(levels, CLIPS_AT_ONCE)]


def _running_median(levels: Tensor, window: int) -> Tensor:
    """(B, M, T) medians of windows about each frame; the first and the last frame go on beyond the ends.

    The smallest and the largest value are dropped in turn, for all frames at once: `median` takes six times as long.
    """
    side, frames = window // 2, levels.shape[2]
    padded = functional.pad(levels, (side, side), mode="replicate")
    values: list[Tensor] = [padded[:, :, step : step + frames] for step in range(window)]
    while len(values) > 1:
        for i in range(len(values) - 1):
            values[i], values[i + 1] = torch.minimum(values[i], values[i + 1]), torch.maximum(values[i], values[i + 1])
        values.pop()
        for i in range(len(values) - 1, 0, -1):
            values[i - 1], values[i] = torch.minimum(values[i - 1], values[i]), torch.maximum(values[i - 1], values[i])
        values.pop(0)
    return values[0]
