"""Clips as they are stored: in 16 bits, either as they are, or scaled to a common peak with the level of each as a last sample.

Legend for shapes: n clips, N samples. Clips are (N,) of mono and (N, 2) of stereo sound.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers
from anew.data.formats.sound import audio
from anew.data.formats.sound.audio_grid import STORED_SCALE
from anew.data.formats.sound.clip_levels import FULL_SCALE

PEAK = 0.95  # the common peak
LEVEL_STEP = 0.01  # step of stored levels in decibels

Rows = NDArray[np.int16]


def stored(x: audio.Samples) -> Rows:
    """A clip in 16 bits, as it is."""
    return np.asarray(np.rint(np.clip(x, -1.0, 1.0) * STORED_SCALE), dtype=np.int16)


def with_level(x: audio.Samples) -> Rows:
    """A clip scaled to PEAK, and then its own level relative to PEAK in steps, (N + 1,) or (N + 1, 2)."""
    clip = stored(audio.scale_to_peak(x, PEAK))
    peak = np.clip(float(np.abs(x).max()), audio.SILENT, FULL_SCALE)  # decoders go beyond what files can hold
    return np.concatenate([clip, np.full_like(clip[:1], round(20.0 * math.log10(peak / PEAK) / LEVEL_STEP))])


def split_levels(rows: Numbers, have_levels: bool) -> tuple[Numbers, NDArray[np.float64]]:
    """Split stored rows into clips, and the level (n,) of each relative to PEAK in decibels; zeros if rows have no levels."""
    if not have_levels:
        return rows, np.zeros(len(rows))
    return rows[:, :-1], np.asarray(rows[:, -1].reshape(len(rows), -1)[:, 0] * LEVEL_STEP)


def waveforms(rows: Numbers, have_levels: bool) -> list[audio.Samples]:
    """The clips of stored rows, each at its own level."""
    clips, levels = split_levels(rows, have_levels)
    gains = (10.0 ** (levels / 20.0) / STORED_SCALE).astype(np.float32)  # (n,)
    return [np.asarray(clip, np.float32) * gain for clip, gain in zip(clips, gains, strict=True)]
