"""Loudness of clips, which is learned separately from clips that are all scaled to one peak, so that samples are as loud as the
data.

The level of a sample follows from its spectrogram by few numbers, so that every program that has them gives it the same level.
Legend for shapes: n clips, N samples, M bands, T frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from anew.core.schema import Real, Record
from anew.data.formats.sound import audio

if TYPE_CHECKING:
    from torch import Tensor

# The mean power of the loudest stretch of this length is a clip's loudness: shorter sounds are not heard at full loudness.
LOUDEST_SECONDS = 0.1
SILENCE_DB = -100.0  # loudness of silence
FULL_SCALE = 1.0  # largest value in a file
# Weight of the ridge penalty for each clip: among 0.001 to 1, the best or nearly so on three datasets (docs/log.md).
RIDGE = 0.1
KNOTS = 17  # quantiles at which two distributions are matched: few enough for 96 samples
APART = 1e-6  # least distance of two knots, so that the curve is a function

Array = NDArray[np.float64]


def loudness(x: audio.Samples, rate: int) -> float:
    """The level in decibels (full scale) of the loudest LOUDEST_SECONDS of the mono mix of a clip (N,) or (N, 2)."""
    width = max(1, min(len(x), int(LOUDEST_SECONDS * rate)))
    mono = audio.with_channels(x, 1)
    power = np.concatenate([[0.0], np.cumsum(np.square(mono, dtype=np.float64))])
    loudest = float((power[width:] - power[:-width]).max()) / width
    return float(10.0 * np.log10(max(loudest, 10.0 ** (SILENCE_DB / 10.0))))


class ClipLevels(Record):
    """Predicts the level of a clip in decibels, relative to the common peak, from its spectrogram.

    It is a weighted sum of the bands, and then a curve that gives all clips together the distribution of levels of real ones.

    Attributes:
        weights: (2 M,) weights of the mean of each band over time, and of its largest value.
        sums: Sums at which the curve has a knot, ascending.
        decibels: Level at each knot.
        loudness: Median loudness of real clips at the common peak.
        surplus: Decibels by which the median of samples at the common peak is softer.
    """

    weights: Annotated[list[Real], Field(min_length=2, max_length=2**13)]
    sums: Annotated[list[Real], Field(min_length=2, max_length=2**10)]
    decibels: Annotated[list[Real], Field(min_length=2, max_length=2**10)]
    loudness: Real
    surplus: Real = 0.0

    @model_validator(mode="after")
    def _fits(self) -> ClipLevels:
        if len(self.sums) != len(self.decibels) or any(np.diff(self.sums) <= 0.0):
            raise ValueError("sums must ascend, with one level for each")
        return self

    @classmethod
    def learn(cls, grids: Tensor, levels: Array, loudest: Array) -> ClipLevels:
        """Fit levels by ridge regression on clips.

        Args:
            grids: (n, M, T) spectrograms of clips at the common peak.
            levels: (n,) decibels by which each was above or below that peak.
            loudest: (n,) loudness of each at that peak.
        """
        x = _bands(grids)
        centre, spread = x.mean(0), np.maximum(x.std(0), 1e-3)
        unit = (x - centre) / spread
        penalty = RIDGE * len(x) * np.eye(unit.shape[1])
        weights = np.linalg.solve(unit.T @ unit + penalty, unit.T @ (levels - levels.mean())) / spread
        decibels = [float(level) for level in np.quantile(levels, _shares())]
        return cls(
            weights=weights.tolist(), sums=_knots(x @ weights), decibels=decibels, loudness=float(np.median(loudest))
        )

    def matched_to(self, grids: Tensor, loudest: Array) -> ClipLevels:
        """The levels adapted to samples (n, M, T) instead of real clips. loudest: (n,) their loudness at the common peak."""
        changes = {"sums": _knots(self._sums(grids)), "surplus": self.loudness - float(np.median(loudest))}
        return self.model_copy(update=changes)

    def __call__(self, grids: Tensor) -> Array:
        """The levels (n,) in decibels of spectrograms (n, M, T)."""
        return np.asarray(np.interp(self._sums(grids), self.sums, self.decibels) + self.surplus)

    def for_export(self) -> dict[str, list[float]]:
        """The numbers that a program needs to give samples their levels: weights, sums, decibels."""
        decibels = [level + self.surplus for level in self.decibels]
        return {"weights": self.weights, "sums": self.sums, "decibels": decibels}

    def _sums(self, grids: Tensor) -> Array:
        return np.asarray(_bands(grids) @ np.asarray(self.weights))


def _bands(grids: Tensor) -> Array:
    """(n, 2 M) mean and largest value of each band."""
    values = grids.double().numpy()
    return np.concatenate([values.mean(2), values.max(2)], axis=1)


def _shares() -> Array:
    return np.linspace(0.0, 1.0, KNOTS)


def _knots(sums: Array) -> list[float]:
    quantiles = np.quantile(sums, _shares()) + APART * np.arange(KNOTS)
    return [float(knot) for knot in quantiles]
