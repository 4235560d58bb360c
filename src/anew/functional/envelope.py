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
    """How much clips pulse at each rate: the autocorrelation of the envelope of their high band.

    Args:
        items: n clips (N,) of one length.
        rate: Hz.

    Returns:
        (n, lags) of -1 to 1, at the lags of LAGS; (n, 1) zeros where clips are shorter than those.
    """
    x = np.stack([np.asarray(item, dtype=np.float64) for item in items])
    spectrum = np.fft.rfft(x)
    edge = min(HIGH_BAND, rate / 4.0)
    spectrum[:, np.fft.rfftfreq(x.shape[1], 1.0 / rate) < edge] = 0.0
    width = max(rate // ENVELOPE_RATE, 1)
    frames = x.shape[1] // width
    high = np.fft.irfft(spectrum, x.shape[1])[:, : frames * width]
    envelope = np.sqrt(np.square(high).reshape(len(x), frames, width).mean(axis=2))  # (n, frames)
    step = width / rate
    smooth = int(np.clip(round(LAGS[1] / step), 1, frames))  # slow changes of loudness are not pulses
    kernel = np.ones(smooth) / smooth
    envelope = envelope - np.stack([np.convolve(row, kernel, "same") for row in envelope])
    power = np.abs(np.fft.rfft(envelope, 2 * frames)) ** 2
    correlation = np.fft.irfft(power, 2 * frames)[:, :frames]
    low, top = round(LAGS[0] / step), min(round(LAGS[1] / step), frames - 1)
    if top <= low:
        return np.zeros((len(x), 1))
    return np.asarray(correlation[:, low : top + 1] / np.maximum(correlation[:, :1], 1e-12))


def pulse_distance(a: Numbers, b: Numbers) -> float:
    """The largest difference, at any lag, of the mean `pulses` of two sets, a (n, lags) and b (m, lags).

    Pulses that all clips of a set share stay in the mean, such as those of the frames that sounds were assembled from; the pitch of
    voices averages out."""
    return float(np.abs(a.mean(axis=0) - b.mean(axis=0)).max())
