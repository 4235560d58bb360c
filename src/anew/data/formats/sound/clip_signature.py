"""Signatures that most copies of a clip share, even if they differ in encoding, level or small details."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anew.data.formats.sound import audio
from anew.data.formats.sound.stored_clips import PEAK

SIGNATURE_RISE = 1.5  # decibels: a difference between neighbours that another encoding of the same clip keeps


def rises(x: audio.Samples) -> bytes:
    """The bits of which neighbours are louder, of bands and of stretches of time, in a clip (N,) or (N, 2)."""
    levels = _coarse_spectrogram(audio.scale_to_peak(audio.with_channels(x, 1), PEAK))
    louder = [(np.diff(levels, axis=axis) > SIGNATURE_RISE).reshape(-1) for axis in (0, 1)]
    return np.packbits(np.concatenate(louder)).tobytes()


def _coarse_spectrogram(x: audio.Samples) -> NDArray[np.float64]:
    """(bands, 16) decibels of 16 stretches of time in bands of half an octave: 12, or 11 of clips so short that the two lowest are one."""
    stretches = np.array_split(x, 16)
    size = max(256, 2 ** int(np.ceil(np.log2(max(map(len, stretches))))))
    padded = np.zeros((16, size), x.dtype)
    for row, stretch in zip(padded, stretches, strict=True):
        row[: len(stretch)] = stretch
    power = np.abs(np.fft.rfft(padded, axis=1)) ** 2  # (16, F)
    bands = np.stack([power[:, low:high].sum(axis=1) for low, high in _band_edges(power.shape[1])])  # (bands, 16)
    return np.asarray(10.0 * np.log10(bands + 1e-6))


@lru_cache(maxsize=8)
def _band_edges(bins: int) -> list[tuple[int, int]]:
    """The first and the last bin, exclusive, of each band of half an octave."""
    return list(itertools.pairwise(np.unique(np.geomspace(2, bins, 13).astype(int)).tolist()))
