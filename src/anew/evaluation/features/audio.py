"""Inputs of sound metrics: spectrograms, loudness, periodicity; and the distance by which copies of clips are found.

Legend for shapes: n clips, N samples, M bands, T frames. Clips are (N,) or (N, 2); most features are those of the mono mix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.arrays import Integers
from anew.data.formats.sound.audio import Samples, with_channels
from anew.data.formats.sound.clip_levels import loudness as clip_loudness
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.evaluation.memorization.images import SIDE, PixelDistance, working_bytes
from anew.evaluation.memorization.item_type import CoarseType, ItemType
from anew.evaluation.memorization.shifted_grids import ShiftedGridDistance
from anew.functional.pitch import PITCH_HZ
from anew.functional.spectrogram import Frames, mel_bank

# Size of the spectrograms that metrics compare: the same for all runs, so that scores are comparable
BANDS, FRAMES = 64, 64
FLOOR_DB = 70.0  # decibels from the loudest to the quietest value of a spectrogram: quieter sound is hardly heard
WINDOW = 0.032  # shortest window of a spectrogram in seconds: two periods of the lowest pitch
CHUNK = 64  # clips at once: bounds memory
SEARCHED_AT_ONCE = 2_000  # training clips among which the nearest are searched at once: bounds memory
COMPARED_AT_ONCE = 256  # pairs of clips that are compared in full at once, which takes 19 MB
PITCH_WINDOW = 0.04  # seconds of a stretch in which a pitch is searched: two periods of the lowest pitch
NOMINAL_RATE = 16_000  # Hz: the copying test compares shapes of spectrograms only, and knows no rate
# Loud parts of a clip, at any shift in time, are compared in LOUD_BANDS: noise of a hundredth of the peak, which fills silent places,
# leaves them as they are, and quarters of the bands cost a quarter (docs/log.md, 2026-11-30)
LOUD_DB, LOUD_BANDS = 40.0, 16
# Mean difference, in 255ths, of spectrograms of clips that begin together: half a decibel; chosen.
MAX_GREY_DIFFERENCE = 2.0
# Root mean squared difference of two clips, where either is loud, up to which they count as identical. Half the loudness makes 0.02 to 0.11
# decibels, a tenth 0.04 to 0.3, noise of 0.3% of the peak mostly 0.1 to 0.5; sounds of six sets, if not copies of each other, differ by 2
# or more, and short tones a semitone apart mostly by 1.5 or more (docs/log.md, 2026-11-30, short sounds in long clips). Up to 1, a fifth of
# synthetic drums counted that differ by 8% of the peak (docs/log.md, 2026-12-03).
MAX_SAME_DIFFERENCE_DB = 0.5
# Light disturbances of planted copies, hardly heard: noise as a share of the peak, shift as a share of the length.
NOISE, SHIFT = 0.01, 0.02
# A spectrogram takes 0.2 to 0.5 ms, and a comparison, by both distances, 0.6 µs (docs/log.md, 2026-11-30).
QUERY_COST = 800
# Where time is short, spectrograms are compared at a quarter of their bands and frames: a sixth of the time. With an eighth, light
# disturbances are seen half as often.
COARSE_SIDE, COARSE_QUERY_COST = 16, 2_000


def mono(items: Sequence[Samples]) -> NDArray[np.float32]:
    """(n, N) mono mixes of clips of one length."""
    return np.stack([with_channels(np.asarray(item, dtype=np.float32), 1) for item in items])


def spectrograms(items: Sequence[Samples], rate: int) -> Tensor:
    """(n, M, T) decibels below the loudest value of each clip, from -FLOOR_DB to 0."""
    length = len(items[0])
    hop, size = _framing(length, rate)
    frames, bank = Frames(rate, size, hop), mel_bank(rate, size, BANDS)
    parts = []
    for start in range(0, len(items), CHUNK):
        x = torch.from_numpy(mono(items[start : start + CHUNK]))
        x = torch.nn.functional.pad(x, (0, hop * FRAMES - length))
        level = 20.0 * (bank @ frames.stft(x).abs()).clamp_min(1e-7).log10()  # (n, M, T)
        parts.append((level - level.amax((1, 2), keepdim=True)).clamp_min(-FLOOR_DB))
    return torch.cat(parts)


def _framing(length: int, rate: int) -> tuple[int, int]:
    """Samples from a frame of a clip to the next, and of a window."""
    hop = max(1, -(-length // FRAMES))
    return hop, 2 ** int(np.ceil(np.log2(max(WINDOW * rate, 2 * hop, 2 * BANDS))))


def _shifted_distance(grids: Tensor, groups: Integers, length: int, rate: int) -> ShiftedGridDistance:
    """The distance at the best shift. grids: spectrograms of clips of `length` samples."""
    hop, size = _framing(length, rate)
    return ShiftedGridDistance(grids, groups, smeared=-(-size // hop))


def pictures(items: Sequence[Samples], rate: int = NOMINAL_RATE) -> NDArray[np.uint8]:
    """(n, M, T) uint8 spectrograms in grey, low bands below."""
    unit = spectrograms(items, rate).flip(1) / FLOOR_DB + 1.0
    return np.asarray((255.0 * unit).round().numpy(), dtype=np.uint8)


def loudness(items: Sequence[Samples], rate: int) -> NDArray[np.float64]:
    """(n,) decibels (full scale) of the loudest tenth of a second of each."""
    return np.asarray([clip_loudness(item, rate) for item in items])


def periodicity(items: Sequence[Samples], rate: int) -> NDArray[np.float64]:
    """How exactly each clip repeats itself at a pitch, (n,) from 0 (noise) to 1 (a steady tone).

    This is the largest normalised autocorrelation at any lag of PITCH_HZ, averaged over stretches weighted by their energy.
    """
    width = round(PITCH_WINDOW * rate)
    low, high = int(rate / PITCH_HZ[1]), min(int(rate / PITCH_HZ[0]), width - 2)
    lag = torch.arange(low, high)
    parts = []
    for start in range(0, len(items), CHUNK):
        x = torch.from_numpy(mono(items[start : start + CHUNK]))
        x = torch.nn.functional.pad(x, (0, max(0, width - x.shape[1])))
        pieces = x.unfold(1, width, width // 2).double()
        pieces = pieces - pieces.mean(2, keepdim=True)  # (n, T, width)
        spectrum = torch.fft.rfft(pieces, 2 * width).abs().square()
        product = torch.fft.irfft(spectrum, 2 * width)[..., low:high]
        energy = pieces.square().cumsum(2)
        total = energy[..., -1:]
        correlation = product / (energy[..., width - 1 - lag] * (total - energy[..., lag - 1])).clamp_min(1e-12).sqrt()
        weight = total[..., 0]
        parts.append((correlation.amax(2) * weight).sum(1) / weight.sum(1).clamp_min(1e-9))
    return np.asarray(torch.cat(parts).numpy())


class SpectrogramDistance(PixelDistance):
    """Distance of clips by the pixels of their spectrograms."""

    name = "spectrogram"

    def __init__(self, images: NDArray[np.uint8], groups: Integers, shift: int = 1, side: int = SIDE) -> None:
        """images: (n, M, T), see `pictures`; shift, side: see `PixelDistance`."""
        super().__init__(list(images), groups, shift, mirror=False, side=side)
        self._pictures = images

    def are_same(self, queries: Indices, items: Indices) -> NDArray[np.bool_]:
        starts = range(0, len(queries), COMPARED_AT_ONCE)
        blocks = [slice(start, start + COMPARED_AT_ONCE) for start in starts]
        return np.concatenate([np.zeros(0, np.bool_), *(self._are_same(queries[b], items[b]) for b in blocks)])

    def _are_same(self, queries: Indices, items: Indices) -> NDArray[np.bool_]:
        first, second = loud_parts(self._pictures[queries]), loud_parts(self._pictures[items])  # (m, M, T)
        # Silence, which all short sounds share, must not make them alike.
        num_loud = ((first > 0.0) | (second > 0.0)).sum(dim=(1, 2))  # (m,), at least 1: the loudest
        squared = (first - second).square().sum(dim=(1, 2)) / num_loud  # (m,)
        return np.asarray(squared.sqrt().numpy() * LOUD_DB <= MAX_SAME_DIFFERENCE_DB)


def loud_parts(images: NDArray[np.uint8]) -> Tensor:
    """(n, M, T) of spectrograms in grey (n, M, T): 1 for the loudest value of a clip, 0 for LOUD_DB less or more than that."""
    level = torch.from_numpy(images).float() * (FLOOR_DB / 255.0) - FLOOR_DB
    return (level / LOUD_DB + 1.0).clamp_min(0.0)


def nearest_clips(items: Sequence[Samples], training: Sequence[Samples], rate: int) -> tuple[Indices, Array]:
    """The index of the nearest training clip of each item, and the root mean squared difference of their loud parts in decibels, (n,)."""
    own, n = loud_parts(pictures(items, rate)), len(items)
    index, distance = np.zeros(n, dtype=np.intp), np.full(n, np.inf)
    for start in range(0, len(training), SEARCHED_AT_ONCE):
        grids = torch.cat([own, loud_parts(pictures(training[start : start + SEARCHED_AT_ONCE], rate))])
        shifted = _shifted_distance(grids, np.arange(len(grids)), len(items[0]), rate)
        nearest, value = shifted.nearest(np.arange(n), np.arange(n, len(grids)))
        index = np.where(value < distance, nearest - n + start, index)
        distance = np.minimum(distance, value)
    return index, distance * LOUD_DB


def begin_together(clip: Samples, other: Samples) -> bool:
    """Whether two clips, which are the same but perhaps for loudness and a shift in time, sound at the same time."""
    first, second = pictures([clip, other]).astype(np.float32)
    return bool(np.abs(first - second).mean() < MAX_GREY_DIFFERENCE)


def _distances(items: Sequence[Samples], groups: Integers) -> list[Distance]:
    images = pictures(items)
    bands = torch.nn.functional.avg_pool2d(loud_parts(images), (BANDS // LOUD_BANDS, 1))
    return [SpectrogramDistance(images, groups), _shifted_distance(bands, groups, len(items[0]), NOMINAL_RATE)]


def _coarse_distances(items: Sequence[Samples], groups: Integers) -> list[Distance]:
    return [SpectrogramDistance(pictures(items), groups, shift=0, side=COARSE_SIDE)]


def shifted(item: Samples, rng: np.random.Generator) -> Samples:
    """Shift a clip (N,) or (N, 2) a little, as one channel (N,)."""
    x = with_channels(np.asarray(item, dtype=np.float32), 1)
    max_shift = max(1, round(SHIFT * len(x)))
    return np.roll(x, int(rng.integers(-max_shift, max_shift + 1)))


def noisy(item: Samples, rng: np.random.Generator) -> Samples:
    """Add noise to a clip (N,) or (N, 2), as one channel (N,)."""
    x = with_channels(np.asarray(item, dtype=np.float32), 1)
    noise = rng.normal(0.0, NOISE * float(np.abs(x).max()), len(x))
    return (x + noise).astype(np.float32)


def tilted(item: Samples, rng: np.random.Generator) -> Samples:
    """Change the levels of high and low tones of a clip (N,) or (N, 2), as one channel (N,)."""
    x = with_channels(np.asarray(item, dtype=np.float32), 1)
    spectrum = np.fft.rfft(x)
    tilt = np.linspace(1.0, float(rng.uniform(0.5, 2.0)), len(spectrum))
    return np.fft.irfft(spectrum * tilt, len(x)).astype(np.float32)


CLIPS = ItemType(
    "clips",
    _distances,
    (shifted, noisy, tilted),
    "The test sees sounds that are the same, louder or softer, resampled, up to a tenth of a clip earlier or later, or a little faster "
    "(2%). It does not see those that were played backwards, or at another pitch or tempo (5% or more), or that lack their loudest part.",
    query_cost=QUERY_COST,
    coarse=CoarseType(
        _coarse_distances,
        (noisy,),
        COARSE_QUERY_COST,
        "In the time given, spectrograms were compared in 16 bands and 16 stretches of time. The test sees sounds that are the same, "
        "louder or softer, or a little noisier. Others, such as those that begin earlier or later, may be missed.",
    ),
    likeness=", perhaps at another loudness or sample rate, or with faint noise",
    is_blockwise=True,
    # A copy of the sound is made for its spectrogram.
    working_bytes=lambda item: 2 * item.nbytes + working_bytes(np.zeros((BANDS, FRAMES), np.uint8)),
)
