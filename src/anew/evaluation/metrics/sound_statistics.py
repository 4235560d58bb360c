"""Sound statistics that people notice first: pulses at the frame rate, silence, and how wide stereo is.

Legend for shapes: n clips, N samples of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.item_statistics import ItemStatistic, statistic_spec
from anew.functional.envelope import LAGS, pulses

QUIET_DB = 40.0  # decibels below the loudest frame at which a frame counts as silent
FRAME = 0.01  # seconds of a frame: shorter than any pause of speech


def silence(items: Sequence[Numbers] | Numbers, rate: int) -> Array:
    """(n,) share of frames that are QUIET_DB below the loudest frame of their clip (N,)."""
    width = max(round(FRAME * rate), 1)
    x = np.stack([np.asarray(item, dtype=np.float64) for item in items])
    frames = max(x.shape[1] // width, 1)
    power = np.square(x[:, : frames * width]).reshape(len(x), frames, -1).mean(axis=2)
    return np.asarray((power <= power.max(axis=1, keepdims=True) * 10.0 ** (-QUIET_DB / 10.0)).mean(axis=1))


def stereo_width(items: Sequence[Numbers] | Numbers) -> Array:
    """(n,) power of the difference of both channels of clips (N, 2), as a share of the whole: 0 mono, .5 unrelated channels."""
    x = np.stack([np.asarray(item, dtype=np.float64) for item in items])
    difference = np.square(x[:, :, 0] - x[:, :, 1]).sum(axis=1) / 2.0
    return np.asarray(difference / np.maximum(np.square(x).sum(axis=(1, 2)), 1e-12))


STEREO_WIDTH = ItemStatistic(
    statistic_spec("stereo_width", "Stereo width", "stereo width"),
    stereo_width,
    "power of the difference of both channels, as a share of the whole",
)


PULSES = statistic_spec("pulses", "Buzzing", "pulses (buzzing)")
SILENCE = statistic_spec("silence_share", "Silence", "share of silence")


def sound_statistics(rate: int) -> tuple[ItemStatistic, ...]:
    """The statistics of clips at a rate in Hz."""
    return (
        ItemStatistic(
            PULSES,
            lambda items: pulses(items, rate),
            f"largest autocorrelation of the envelope above 2 kHz at lags of {LAGS[0] * 1e3:.0f} to {LAGS[1] * 1e3:.0f} ms",
        ),
        ItemStatistic(
            SILENCE,
            lambda items: silence(items, rate),
            f"share of 10 ms frames that are {QUIET_DB:.0f} dB below the loudest",
        ),
    )
