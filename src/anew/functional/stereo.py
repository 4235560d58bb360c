"""Stereo as one sound and where it stands: balance and coherence of the channels by band, and the way back (parametric stereo:
Breebaart, van de Par, Kohlrausch and Schuijers 2005).

Legend for shapes: B clips, N samples, F frequencies, M mel bands, T frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from anew.functional.spectrogram import Frames, power

MAX_IMAGE = 0.5  # largest value of a stereo image: it varies less than the level does, which is heard first
MAX_BALANCE_DB = 20.0  # level difference of the channels that become MAX_IMAGE: one of them is hardly heard then
# The part that makes channels differ lags by so much: neither an echo nor a tone (Lauridsen 1954)
DELAY_SECONDS = 0.012
SMOOTHED = (3, 5)  # bands and frames that a mean is over: of fewer, any two channels are coherent
SILENT_POWER_SHARE = 1e-7  # power, as a share of a clip's loudest, below which channels count as alike (-70 dB)


def stereo_image(left: Tensor, right: Tensor, bank: Tensor) -> Tensor:
    """(B, 2, M, T) in [-.5, 0.5] of spectra (B, F, T): how much louder the left channel is, and how alike both are: 0.5 the same,
    0 unrelated, -.5 the same with opposite signs."""
    powers = [_smooth(bank @ power(spectrum)) for spectrum in (left, right)]
    shared = _smooth(bank @ (left.real * right.real + left.imag * right.imag))
    floor = SILENT_POWER_SHARE * (powers[0] + powers[1]).amax((1, 2), keepdim=True).clamp_min(1e-20)
    first, second = (channel + floor for channel in powers)
    balance = (10.0 * MAX_IMAGE / MAX_BALANCE_DB) * (first / second).log10()
    coherence = ((shared + floor) / (first * second).sqrt()).clamp(-1.0, 1.0)
    return torch.stack([balance.clamp(-MAX_IMAGE, MAX_IMAGE), MAX_IMAGE - coherence.arccos() / math.pi], 1)


def _smooth(power: Tensor) -> Tensor:
    margins = (SMOOTHED[0] // 2, SMOOTHED[1] // 2)
    return functional.avg_pool2d(power[:, None], SMOOTHED, 1, margins, count_include_pad=False)[:, 0]


def to_stereo(sound: Tensor, image: Tensor, frames: Frames, bank: Tensor) -> Tensor:
    """(B, N, 2) of a sound (B, N) and its stereo image (B, 2, M, T): both channels are the sound, each at its level; what makes them
    differ is the sound a little later, with opposite signs."""
    length = sound.shape[1]
    lag = min(round(DELAY_SECONDS * frames.rate), length - 1)
    delayed = functional.pad(sound, (lag, 0))[:, :length]
    spread = (bank / bank.sum(0, keepdim=True).clamp_min(1e-12)).T  # (F, M)
    image = image.clamp(-MAX_IMAGE, MAX_IMAGE)
    balance, difference = spread @ image[:, 0], spread @ (MAX_IMAGE - image[:, 1])  # (B, F, T)
    angle = (math.pi / 2.0) * difference
    middle, side = frames.stft(sound) * angle.cos(), frames.stft(delayed) * angle.sin()
    ratio = 10.0 ** (balance * (MAX_BALANCE_DB / (10.0 * MAX_IMAGE)))  # ratio of the powers
    left = (2.0 * ratio / (1.0 + ratio)).sqrt() * (middle + side)
    right = (2.0 / (1.0 + ratio)).sqrt() * (middle - side)
    return torch.stack([frames.istft(left, length), frames.istft(right, length)], 2)
