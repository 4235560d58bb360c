"""Levels of the bands of signals, and a filter by which samples have those of clips.

What a denoiser leaves is about as strong at all frequencies, and about the same in all samples. Where clips are fainter, or differ in
how faint they are, samples are told from them by that alone. So each band of a sample is made as much louder or softer as gives samples
the mean and the deviation of the level that clips have in it. Samples keep their order: one with more than usual stays so.

Signals are mirrored at their ends, so a filter sees no jump there. It turns no phase.

Legend for shapes: B signals, C channels, N values, F = N + 1 frequencies of mirrored signals, from 0 to half the rate, K bands.
"""

from __future__ import annotations

import itertools
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

# Bands of the spectrum, the wider the higher. Chosen: gains stay smooth, so a filter reaches a few periods far.
BANDS = 32
NARROWEST = 4  # frequencies of the lowest band; chosen
MAX_GAIN_DB = 20.0  # of a band of a sample, up or down: what is further off, no filter mends; chosen
# Errors of a mean or deviation that are taken for chance. Where clips that were matched to themselves kept less, they were told from
# themselves, as all bands of some signals vary together (docs/log.md, 2026-11-30).
CHANCE_ERRORS = 2.0
MIN_SIGNALS = 8  # with fewer, deviations are those of single signals; chosen
TINY_DB = 0.3  # added to deviations: those of the level of steady tones are all but 0
FAINTEST = 1e-12  # of the power of a signal; keeps logarithms finite
TINY = 1e-30  # keeps divisions finite

Edges: TypeAlias = tuple[int, ...]  # (K + 1,) first of the F frequencies of each band, and the one after the last
Rows: TypeAlias = tuple[tuple[float, ...], ...]
# How levels of bands of samples become those of clips, in decibels: level + shift + (factor - 1) (level - mean).
# After the edges, each (C, K): means, of the levels of samples, relative to the power of the whole signal; shifts, from there to the means
# of clips; factors, deviations of clips divided by those of samples.
BandLevels: TypeAlias = tuple[Edges, Rows, Rows, Rows]


def fit_band_levels(samples: Tensor, clips: Tensor) -> BandLevels | None:
    """What gives samples (B, C, N) the levels of clips (B', C, N), as far as they differ by more than chance; None if they do not, or
    are fewer than MIN_SIGNALS."""
    samples, clips = (x[x.flatten(1).any(1)] for x in (samples, clips))  # silence has no levels
    if min(len(samples), len(clips)) < MIN_SIGNALS:
        return None
    level, clip_level = levels_of(samples), levels_of(clips)  # (B, C, K), (B', C, K)
    mean, deviation = level.mean(0), level.std(0, correction=0) + TINY_DB  # each (C, K)
    clip_deviation = clip_level.std(0, correction=0) + TINY_DB
    error = (deviation.square() / len(level) + clip_deviation.square() / len(clip_level)).sqrt()
    shift = _beyond_chance(clip_level.mean(0) - mean, error)
    # Of the logarithm of a deviation, under normal levels
    ratio_error = torch.tensor(0.5 / len(level) + 0.5 / len(clip_level)).sqrt()
    factor = _beyond_chance((clip_deviation / deviation).log(), ratio_error).exp()
    is_same = not shift.any() and bool((factor == 1.0).all())
    return None if is_same else (_band_edges(samples.shape[2]), _rows(mean), _rows(shift), _rows(factor))


def match_band_levels(x: Tensor, band_levels: BandLevels) -> Tensor:
    """Signals (B, C, N) with the levels of clips."""
    edges, *rows = band_levels
    mean, shift, factor = (torch.tensor(row, dtype=torch.float64) for row in rows)  # each (C, K)
    spectrum = _spectrum(x)  # (B, C, F)
    gain = shift + (factor - 1.0) * (_levels(spectrum, edges) - mean)  # (B, C, K)
    decibels = _at_frequencies(gain.clamp(-MAX_GAIN_DB, MAX_GAIN_DB), edges)  # (B, C, F)
    matched: Tensor = torch.fft.irfft(spectrum * 10.0 ** (decibels / 20.0), 2 * x.shape[2])[..., : x.shape[2]]
    return matched.to(x.dtype)


def _band_edges(length: int) -> Edges:
    """The edges of the bands of signals of so many values."""
    edges = np.geomspace(min(NARROWEST, length + 1), length + 1, BANDS + 1).round().astype(int)
    return (0, *np.unique(edges)[1:].tolist())


def levels_of(x: Tensor) -> Tensor:
    """(B, C, K) decibels of the bands of signals (B, C, N), relative to the power of all channels."""
    return _levels(_spectrum(x), _band_edges(x.shape[2]))


def _spectrum(x: Tensor) -> Tensor:
    """(B, C, F) of signals (B, C, N), each followed by itself backwards."""
    spectrum: Tensor = torch.fft.rfft(torch.cat([x, x.flip(-1)], -1).double())
    return spectrum


def _levels(spectrum: Tensor, edges: Edges) -> Tensor:
    power = spectrum.abs().square()
    power = power / power.sum((1, 2), keepdim=True).clamp_min(TINY)
    means = [power[..., low:high].mean(2) for low, high in itertools.pairwise(edges)]
    levels: Tensor = 10.0 * (torch.stack(means, 2) + FAINTEST).log10()
    return levels


def _at_frequencies(gain: Tensor, edges: Edges) -> Tensor:
    """(B, C, F) of (B, C, K): straight lines between the middles of bands."""
    middles = [(low + high - 1) / 2.0 for low, high in itertools.pairwise(edges)]
    rows = [np.interp(np.arange(edges[-1]), middles, row) for row in gain.flatten(0, 1).numpy()]
    return torch.from_numpy(np.stack(rows)).reshape(*gain.shape[:2], -1)


def _beyond_chance(difference: Tensor, error: Tensor) -> Tensor:
    """Differences less what errors of their estimates explain, each by its positive-part James-Stein factor."""
    chance = (CHANCE_ERRORS * error).square() / difference.square().clamp_min(TINY)
    return difference * (1.0 - chance).clamp_min(0.0)


def _rows(x: Tensor) -> Rows:
    return tuple(tuple(row) for row in x.double().numpy().round(3).tolist())
