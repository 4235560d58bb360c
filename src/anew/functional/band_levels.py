"""Levels of the bands of signals, and a filter by which samples have those of clips.

The noise that a denoiser leaves is about as strong at all frequencies, and about the same in all samples. If clips are fainter, or differ
in how faint they are, samples are told from them by that alone. Therefore each band of a sample is made louder or softer, so that samples
have the mean and the deviation of the level that clips have in it. Samples keep their order: one with more than usual
stays so.

Signals are mirrored at their ends, so a filter sees no jump there. It turns no phase. Their mean, frequency 0, stays as it is.

Legend for shapes: B signals, C channels, N values, F = N + 1 frequencies of mirrored signals, from 0 to half the rate, K bands.
"""

from __future__ import annotations

import itertools
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

# Bands of the spectrum, the wider the higher: at most so many, of at least so many frequencies, so that gains stay smooth and a filter
# reaches a few periods far. Both chosen
BANDS = 32
NARROWEST = 4
# No band of a sample is raised or lowered by more: no filter mends what is further off; chosen.
MAX_GAIN_DB = 20.0
# Errors of a mean or deviation that are taken for chance. Where clips that were matched to themselves kept less, they were told from
# themselves, as all bands of some signals vary together (docs/log.md, 2026-11-30).
CHANCE_ERRORS = 2.0
# Significance level below which levels are changed: the share of random divisions into samples and clips whose bands together differ as
# much. Chosen
CHANCE_SHARE = 0.01
DIVISIONS = 299  # random ones; chosen: a tenth of a second, and two of them may differ more
MIN_SIGNALS = 8  # with fewer, deviations are those of single signals; chosen
TINY_DB = 0.3  # added to deviations: those of the level of steady tones are all but 0
FAINTEST = 1e-12  # least power of a signal, which keeps logarithms finite
TINY = 1e-30  # keeps divisions finite

Edges: TypeAlias = tuple[int, ...]  # (K + 1,) first of the F frequencies of each band, and the one after the last
Rows: TypeAlias = tuple[tuple[float, ...], ...]
# How levels of bands of samples become those of clips, in decibels: level + shift + (factor - 1) (level - mean).
# Edges, then three arrays (C, K): the mean levels of samples, relative to the power of the whole signal; the shifts from there to the mean
# levels of clips; the factors, which are the deviations of clips divided by those of samples.
BandLevels: TypeAlias = tuple[Edges, Rows, Rows, Rows]


def fit_band_levels(samples: Tensor, clips: Tensor) -> BandLevels | None:
    """The correction that gives samples (B, C, N) the levels of clips (B', C, N), as far as they differ by more than chance; None
    if all bands together do not, or if there are fewer than MIN_SIGNALS."""
    samples, clips = (x[x.flatten(1).any(1)] for x in (samples, clips))  # silence has no levels
    if min(len(samples), len(clips)) < MIN_SIGNALS:
        return None
    level, clip_level = levels_of(samples), levels_of(clips)  # (B, C, K), (B', C, K)
    if not _differ(level[..., 1:], clip_level[..., 1:]):
        return None
    shift, shift_error, log_factor, factor_error = _differences(level, clip_level)
    shift = _beyond_chance(shift, shift_error)  # (C, K)
    factor = _beyond_chance(log_factor, factor_error).exp()  # (C, K)
    shift[:, 0], factor[:, 0] = 0.0, 1.0  # the mean of a signal
    is_same = not shift.any() and bool((factor == 1.0).all())
    return None if is_same else (_band_edges(samples.shape[2]), _rows(level.mean(0)), _rows(shift), _rows(factor))


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
    """The edges of the bands of signals of so many values. The first band is frequency 0 alone."""
    edges = [0, 1]
    for edge in np.geomspace(1, length + 1, BANDS + 1).round().astype(int).tolist():
        if edge - edges[-1] >= NARROWEST:
            edges.append(edge)
    # The highest band takes what is left
    return (*(edges[:-1] if len(edges) > 2 else edges), length + 1)


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


def _differences(level: Tensor, clip_level: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How far the mean level (C, K) of clips (B', C, K) is above that of samples (B, C, K) and its error, and the same of the logarithm
    of the deviation."""
    deviation, clip_deviation = (x.std(0, correction=0) + TINY_DB for x in (level, clip_level))  # each (C, K)
    error = (deviation.square() / len(level) + clip_deviation.square() / len(clip_level)).sqrt()
    # The standard error of a log deviation, if levels are normal
    log_error = torch.tensor(0.5 / len(level) + 0.5 / len(clip_level)).sqrt()
    return clip_level.mean(0) - level.mean(0), error, (clip_deviation / deviation).log(), log_error


def _differ(level: Tensor, clip_level: Tensor) -> bool:
    """Whether levels (B, C, K) differ from those (B', C, K) of clips by more than chance, in means or deviations: a permutation test of
    the sum of squared differences, as bands vary together."""

    def distance(x: Tensor) -> float:
        shift, shift_error, log_factor, factor_error = _differences(x[: len(level)], x[len(level) :])
        return float((shift / shift_error).square().sum() + (log_factor / factor_error).square().sum())

    rng, both = np.random.default_rng(0), torch.cat([level, clip_level])  # (B + B', C, K)
    own = distance(both)
    others = [distance(both[torch.from_numpy(rng.permutation(len(both)))]) for _ in range(DIVISIONS)]
    return (1 + sum(other >= own for other in others)) / (1 + DIVISIONS) <= CHANCE_SHARE


def _beyond_chance(difference: Tensor, error: Tensor) -> Tensor:
    """Differences less what errors of their estimates explain, each by its positive-part James-Stein factor."""
    chance = (CHANCE_ERRORS * error).square() / difference.square().clamp_min(TINY)
    return difference * (1.0 - chance).clamp_min(0.0)


def _rows(x: Tensor) -> Rows:
    return tuple(tuple(row) for row in x.double().numpy().round(3).tolist())
