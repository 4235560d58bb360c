"""Envelopes of sounds: how much they pulse.

Legend for shapes: n clips, N samples of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Numbers

ENVELOPE_RATE = 2_000  # Hz of the envelope: four times the fastest pulses
LAGS = (0.004, 0.034)  # seconds between pulses: the hop of common spectrograms is 5 to 32 ms
HIGH_BAND = 2_000.0  # Hz from which pulses are looked for: below, voices and strings pulse by themselves


def pulses(items: Sequence[Numbers] | Numbers, rate: int) -> NDArray[np.float64]:
    """(n,) the largest autocorrelation, 0 to 1, of the envelope of the high band of clips (N,) at the lags of LAGS."""
    x = np.stack([np.asarray(item, dtype=np.float64) for item in items])
    spectrum = np.fft.rfft(x)
    edge = min(HIGH_BAND, rate / 4.0)
    spectrum[:, np.fft.rfftfreq(x.shape[1], 1.0 / rate) < edge] = 0.0
    width = max(rate // ENVELOPE_RATE, 1)
    frames = x.shape[1] // width
    high = np.fft.irfft(spectrum, x.shape[1])[:, : frames * width]
    envelope = np.sqrt(np.square(high).reshape(len(x), frames, width).mean(axis=2))  # (n, frames)
    step = width / rate
    smooth = int(np.clip(round(LAGS[1] / step), 1, frames))  # slow changes of loudness are no pulses
    kernel = np.ones(smooth) / smooth
    envelope = envelope - np.stack([np.convolve(row, kernel, "same") for row in envelope])
    power = np.abs(np.fft.rfft(envelope, 2 * frames)) ** 2
    correlation = np.fft.irfft(power, 2 * frames)[:, :frames]
    low, top = round(LAGS[0] / step), min(round(LAGS[1] / step), frames - 1)
    if top <= low:
        return np.zeros(len(x))
    return np.asarray(correlation[:, low : top + 1].max(axis=1) / np.maximum(correlation[:, 0], 1e-12))
