"""The pitch of voices by their spectrogram, and a source of sound that pulses at it, as vocal cords do.

Legend for shapes: B clips, N samples, F frequencies, T frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from anew.functional.spectrogram import TINY, Frames

PITCH_HZ = (60.0, 400.0)  # lowest and highest pitch: the range of voices
RESOLVED_HZ = 1200.0  # up to which a spectrogram in mel bands shows single harmonics
# Autocorrelation at the pitch from which a frame pulses at all, and from which it has no noise; chosen: lower values make
# noises buzz (docs/log.md, 2026-11-28).
VOICED = (0.6, 0.9)
# What is subtracted from the autocorrelation of a pitch for each octave below the highest: a sound also repeats at twice its period.
OCTAVE_COST = 0.05
# Least overlap of the window with itself at a lag, which keeps divisions finite.
MIN_OVERLAP = 0.1


def pitch(magnitude: Tensor, frames: Frames) -> tuple[Tensor, Tensor]:
    """The pitch of each frame, and how periodic the frame is.

    This is the largest autocorrelation of a frame by its power spectrum up to RESOLVED_HZ, corrected for the window (Boersma 1993).

    Args:
        magnitude: (B, F, T).
        frames: How clips are cut into frames.

    Returns:
        (B, T) Hz within PITCH_HZ, and (B, T) the autocorrelation there, up to about 1.
    """
    low, high = _lags(frames)
    bins = math.ceil(RESOLVED_HZ * frames.size / frames.rate)
    power = magnitude[:, :bins].double().square().transpose(1, 2).contiguous()
    correlation = torch.fft.irfft(power, frames.size)[:, :, : high + 2]  # (B, T, lags)
    correlation = correlation / correlation[:, :, :1].clamp_min(TINY**2) / _overlap(frames.size)[: high + 2]
    cost = OCTAVE_COST * (torch.arange(low, high + 1, dtype=torch.float64) / low).log2()
    lag = low + (correlation[:, :, low : high + 1] - cost).argmax(2)  # (B, T)
    before, middle, after = (correlation.gather(2, (lag + step)[:, :, None])[:, :, 0] for step in (-1, 0, 1))
    bend = before - 2.0 * middle + after
    offset = torch.where(bend < -TINY, 0.5 * (before - after) / bend, torch.zeros_like(bend)).clamp(-0.5, 0.5)
    return frames.rate / (lag + offset), middle


def pitched_source(magnitude: Tensor, frames: Frames, noise: Tensor) -> Tensor:
    """(B, N) a source for clips with magnitudes (B, F, T): pulses at their pitch where they are voiced, else noise (B, N).

    Both have a power of one.
    """
    hertz, voicing = (_by_sample(values, frames.hop) for values in pitch(magnitude, frames))  # (B, N)
    share = ((voicing - VOICED[0]) / (VOICED[1] - VOICED[0])).clamp(0.0, 1.0)
    source: Tensor = share.sqrt() * _pulses(hertz / frames.rate) + (1.0 - share).sqrt() * noise
    return source.float()


def _pulses(cycles: Tensor) -> Tensor:
    """(B, N) pulses with a power of one, one for each cycle, from cycles a sample (B, N), below 1.

    A pulse between two samples is shared by both: rounded to one of them, high harmonics would be rough.
    """
    turns = cycles.cumsum(1)
    begins = functional.pad(turns[:, 1:].floor() > turns[:, :-1].floor(), (1, 0))
    heights = begins * (1.5 / cycles).sqrt()  # sharing takes a third of the power
    before = heights * turns.frac() / cycles  # the share of the sample before, by the time since the pulse
    return heights - before + functional.pad(before[:, 1:], (0, 1))


def can_show_pitch(frames: Frames) -> bool:
    """Whether frames are long enough for the lowest pitch, and the rate is high enough for the harmonics."""
    low, high = _lags(frames)
    return low < high == int(frames.rate / PITCH_HZ[0]) and frames.rate >= 2.0 * RESOLVED_HZ


def _lags(frames: Frames) -> tuple[int, int]:
    """The smallest and the largest lag in samples at which a pitch is looked for."""
    return max(2, math.ceil(frames.rate / PITCH_HZ[1])), min(int(frames.rate / PITCH_HZ[0]), frames.size // 2 - 1)


def _overlap(size: int) -> Tensor:
    """(size,) autocorrelation of the window (Hann), from 1 at no lag, at least MIN_OVERLAP."""
    spectrum = torch.fft.rfft(torch.hann_window(size, dtype=torch.float64), 2 * size)
    overlap = torch.fft.irfft(spectrum.abs().square(), 2 * size)[:size]
    return torch.clamp_min(overlap / overlap[0], MIN_OVERLAP)


def _by_sample(values: Tensor, hop: int) -> Tensor:
    """(B, T * hop) of values (B, T) in the middle of each hop, with straight lines between them."""
    length = values.shape[1] * hop
    samples: Tensor = functional.interpolate(values[:, None], size=length, mode="linear", align_corners=False)[:, 0]
    return samples
