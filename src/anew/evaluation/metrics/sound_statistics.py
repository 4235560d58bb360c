"""Sound statistics that people notice first: pulses at the frame rate, silence, and how wide stereo is.

Legend for shapes: n clips, N samples of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.item_statistics import ItemStatistic, statistic_spec
from anew.evaluation.score import MetricSpec, Tolerance
from anew.functional.envelope import LAGS

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


PULSE_DISTANCE = MetricSpec(
    "pulse_distance",
    "Buzzing",
    "How much more, or less, the high tones of samples go up and down at a steady rate than real ones do (0 = the same).",
    tolerance=Tolerance(
        "closeness",
        0.1,
        0.3,
        "high tones buzz unlike real ones (by {value:.2f}; real data: {real:.2f})",
        agreement="high tones buzz as real ones do (within {value:.2f}; real data: {real:.2f})",
    ),
)
PULSE_SOURCE = (
    "largest difference of the mean autocorrelation of envelopes above 2 kHz, at any lag of "
    f"{LAGS[0] * 1e3:.0f} to {LAGS[1] * 1e3:.0f} ms"
)
SILENCE_SHARE = statistic_spec("silence_share", "Silence", "share of silence")


def silence_statistic(rate: int) -> ItemStatistic:
    """The silence of clips at a rate in Hz."""
    return ItemStatistic(
        SILENCE_SHARE,
        lambda items: silence(items, rate),
        f"share of 10 ms frames that are {QUIET_DB:.0f} dB below the loudest",
    )
