"""Which way things move in clips, which way time runs in them, and how fast they move, as numbers for classifiers.

A clip, its mirror image and the clip played backwards have the same amounts and spectra of motion, and nearly the same features, which say
neither which way is up nor what comes first. These numbers are not (docs/log.md: "Clips that move the wrong way").

Legend for shapes: n clips, T frames, S steps from one frame to the next, H rows, W columns, d numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.media.image_numbers import FLAT, shrunk
from anew.evaluation.metrics.media.image_statistics import grey

Clips = Sequence[Numbers] | Numbers

SCALES = (1, 2, 4)  # pixels whose mean is one value: what moves by several pixels a frame shows in coarse ones alone
MAX_SIDE = 32  # pixels: larger clips are read in larger squares, which bounds the time
LAGS = (1, 2, 4)  # frames over which changes are measured: steady motion adds up, trembling does not


def _by_clip(numbers: Callable[[Array], list[float]]) -> Callable[[Clips], Array]:
    """The numbers (n, d) of clips at all scales, given those of their brightness (T, H, W) in levels of 0 to 255."""

    def of_clips(clips: Clips) -> Array:
        return np.array([[value for x in _scaled(clip) for value in numbers(x)] or [0.0] for clip in clips])

    return of_clips


def _scaled(clip: Numbers) -> list[Array]:
    """The brightness (T, H, W) of a clip of two frames at least, at each of SCALES that leaves enough of it."""
    x = 255.0 * grey(clip)
    x = shrunk(x, min(-(-max(x.shape[1:]) // MAX_SIDE), *x.shape[1:]))
    x = np.repeat(x, 2, axis=0) if len(x) == 1 else x
    return [shrunk(x, scale) for scale in SCALES if min(x.shape[1:]) >= 4 * scale]


@_by_clip
def direction_numbers(x: Array) -> list[float]:
    """(n, d) of uint8 clips (T, H, W) or (T, H, W, C): which way the quarters of the picture move, from the normal equations of
    optical flow (Lucas and Kanade 1981), and what changes sign if time runs backwards."""
    middle = (x[1:] + x[:-1]) / 2.0  # (S, H, W)
    change = (x[1:] - x[:-1])[:, 1:-1, 1:-1]
    across, down = _gradient(middle)
    power, slope = np.square(change).mean() + FLAT**2, np.square(across) + np.square(down)
    size = np.sqrt(power * (slope.mean() + FLAT**2))
    numbers = []
    for flow in (-change * across / size, -change * down / size):
        early, late = _halves(flow)
        quarters = [part for half in np.array_split(flow, 2, axis=1) for part in np.array_split(half, 2, axis=2)]
        numbers += [*(float(part.mean()) for part in quarters), float(late.mean() - early.mean())]
    return numbers + _arrow(x, change, middle, slope, float(power))


def _arrow(x: Array, change: Array, middle: Array, slope: Array, power: float) -> list[float]:
    """Numbers that change sign if (T, H, W) is played backwards: whether it brightens slowly and darkens at once, whether bright
    areas grow, and whether motion comes to rest."""
    around = middle[:, :-2, 1:-1] + middle[:, 2:, 1:-1] + middle[:, 1:-1, :-2] + middle[:, 1:-1, 2:]
    bulge = around / 4.0 - middle[:, 1:-1, 1:-1]
    first, second = change[:-1], change[1:]
    in_a_row = float((first * second * (first + second)).mean()) if len(change) > 1 else 0.0
    early, late = (float(part.mean()) for part in _halves(x))
    return [
        float((change**3).mean()) / power**1.5,
        float((change / np.sqrt(change**2 + FLAT**2)).mean()),
        in_a_row / power**1.5,
        float((change * bulge).mean()) / np.sqrt(power * (float(np.square(bulge).mean()) + FLAT**2)),
        (late - early) / (float(x.std()) + FLAT),
        _trend(np.square(change)),
        _trend(slope),
    ]


@_by_clip
def speed_numbers(x: Array) -> list[float]:
    """(n, d) of uint8 clips (T, H, W) or (T, H, W, C): logarithms of speeds in pixels a frame, over LAGS, how much speed varies
    within a clip, and how long it is."""
    across, down = _gradient(x)
    slope = float((np.square(across) + np.square(down)).mean()) + FLAT**2
    changes = [np.square(x[lag:] - x[:-lag]).mean(axis=(1, 2)) for lag in (min(lag, len(x) - 1) for lag in LAGS)]
    steps = changes[0] + FLAT**2
    speeds = [0.5 * np.log((float(change.mean()) + FLAT**2) / slope) for change in changes]
    return [*speeds, float(np.log(steps.max() / steps.min())), float(np.log(len(x)))]


def _gradient(x: Array) -> tuple[Array, Array]:
    """Slopes of (T, H, W) along rows and columns, (T, H - 2, W - 2)."""
    return (x[:, 1:-1, 2:] - x[:, 1:-1, :-2]) / 2.0, (x[:, 2:, 1:-1] - x[:, :-2, 1:-1]) / 2.0


def _halves(values: Array) -> tuple[Array, Array]:
    """The first and the last half of steps; an odd one in the middle is in both."""
    middle = len(values) // 2
    return values[: len(values) - middle], values[middle:]


def _trend(power: Array) -> float:
    """How much larger a power (S, H, W) is in the last half than in the first, as a share of both."""
    early, late = (float(part.mean()) for part in _halves(power))
    return (late - early) / (late + early + FLAT**2)
