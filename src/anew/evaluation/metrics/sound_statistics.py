"""What is heard first in sound: pulses at the rate of frames, and silence.

Legend for shapes: n clips, N samples of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.item_statistics import ItemStatistic, statistic_spec

ENVELOPE_RATE = 2_000  # Hz of the envelope: four times the fastest pulses
LAGS = (0.004, 0.034)  # seconds between pulses: the hop of common spectrograms is 5 to 32 ms
HIGH_BAND = 2_000.0  # Hz from which pulses are looked for: below, voices and strings pulse by themselves
QUIET_DB = 40.0  # below the loudest frame, from which a frame counts as silent
FRAME = 0.01  # seconds of a frame that may be silent


def pulses(items: Sequence[Numbers] | Numbers, rate: int) -> Array:
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


def silence(items: Sequence[Numbers] | Numbers, rate: int) -> Array:
    """(n,) share of frames that are QUIET_DB below the loudest frame of their clip (N,)."""
    width = max(round(FRAME * rate), 1)
    x = np.stack([np.asarray(item, dtype=np.float64) for item in items])
    frames = max(x.shape[1] // width, 1)
    power = np.square(x[:, : frames * width]).reshape(len(x), frames, -1).mean(axis=2)
    return np.asarray((power <= power.max(axis=1, keepdims=True) * 10.0 ** (-QUIET_DB / 10.0)).mean(axis=1))


def sound_statistics(rate: int) -> tuple[ItemStatistic, ...]:
    """The statistics of clips at a rate in Hz."""
    return (
        ItemStatistic(
            statistic_spec("pulses", "Buzzing", "pulses (buzzing)"),
            lambda items: pulses(items, rate),
            f"largest autocorrelation of the envelope above 2 kHz at lags of {LAGS[0] * 1e3:.0f} to {LAGS[1] * 1e3:.0f} ms",
        ),
        ItemStatistic(
            statistic_spec("silence_share", "Silence", "share of silence"),
            lambda items: silence(items, rate),
            f"share of 10 ms frames that are {QUIET_DB:.0f} dB below the loudest",
        ),
    )
