"""How much the levels of sounds fluctuate from frame to frame, by how loud they are, and samples that fluctuate no more than data.

Noise makes real levels fluctuate where it is faint. Tones are steady, and silence is still. What a denoiser leaves fluctuates at
all levels alike, so tones flutter and silence has specks.

Legend for shapes: B clips, M bands, T frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

# Frames of the running medians, in turn. The narrowest comes last, so that fluctuations from one frame to the next are those of the data.
WINDOWS = (9, 5, 3)
# Levels from silence, -1, to the loudest, 1, that have a factor each; between them factors lie on straight lines. Chosen.
LEVELS = (-1.0, -0.75, -0.4, 0.0, 0.5)
# Factor of loud levels up to which samples are steadied at all: notes (.49, .57) came closer to data in all figures, drums (.80) and
# spoken digits (.85) in some, and were further away in others (docs/log.md, 2026-11-30).
MAX_FACTOR = 0.7
NUM_LOUD = 2  # of LEVELS
CLIPS_AT_ONCE = 16  # whose medians are taken at once: bounds memory
TINY = 1e-6  # of a level

Factors = tuple[tuple[float, ...], ...]  # for each of WINDOWS, one for each of LEVELS


def fit_factors(samples: Tensor, real: Tensor) -> Factors:
    """Factors of at most 1 with which the levels of `samples` (B, M, T) fluctuate no more than those of `real`, at each of LEVELS.
    There are none where loud levels of samples hardly fluctuate more, as those of drums and speech."""
    factors: Factors = ()
    for window in WINDOWS:
        ratio = _fluctuation(real, window) / _fluctuation(samples, window).clamp_min(TINY)
        by_level = ratio.clamp(max=1.0).nan_to_num(1.0)  # what is not there needs no factor
        factors = (*factors, tuple(round(float(value), 4) for value in by_level))
        if min(factors[0][-NUM_LOUD:]) > MAX_FACTOR:
            return ()
        samples = _steadier(samples, window, factors[-1])
    return factors


def steady(levels: Tensor, factors: Factors) -> Tensor:
    """Levels (B, M, T) in [-1, 1] whose distances from running medians are multiplied by factors; none leave levels as they are."""
    for window, by_level in zip(WINDOWS[: len(factors)], factors, strict=True):
        levels = _steadier(levels, window, by_level)
    return levels


def _steadier(levels: Tensor, window: int, by_level: tuple[float, ...]) -> Tensor:
    """`steady` for one running median."""
    scale = torch.tensor(by_level)
    places = torch.tensor(LEVELS)

    def blended(level: Tensor, median: Tensor) -> Tensor:
        right = torch.bucketize(median, places).clamp(1, len(LEVELS) - 1)
        part = ((median - places[right - 1]) / (places[right] - places[right - 1])).clamp(0.0, 1.0)
        factor = scale[right - 1] + part * (scale[right] - scale[right - 1])
        return median + factor * (level - median)

    return torch.cat(_with_medians(levels, window, blended))


def _fluctuation(levels: Tensor, window: int) -> Tensor:
    """(L,) mean distance of levels (B, M, T) from their running medians, of those nearest to each of LEVELS; NaN where there are none."""
    edges = torch.tensor([(low + high) / 2.0 for low, high in itertools.pairwise(LEVELS)])

    def summed(level: Tensor, median: Tensor) -> Tensor:
        place = torch.bucketize(median.flatten(), edges)
        distance = (level - median).abs().flatten().double()
        weights = (distance, torch.ones_like(distance))
        return torch.stack([torch.bincount(place, w, minlength=len(LEVELS)) for w in weights])  # (2, L)

    sums = torch.stack(_with_medians(levels, window, summed)).sum(0)  # (2, L)
    return sums[0] / sums[1]


def _with_medians(levels: Tensor, window: int, result: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
    """What `result` makes of a few clips' levels (B, M, T) at once and their running medians over frames."""
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
