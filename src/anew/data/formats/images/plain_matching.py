"""Learns from samples and real images how plain areas are; `plain_areas` carries it out."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from anew.core.arrays import Numbers
from anew.core.schema import NotNegative, Record
from anew.data.formats.images import palettes, plain_areas
from anew.data.formats.images.plain_areas import Levels

# Samples are mottled if their pixels differ from those around them by so many times as much as real ones, and by so many levels
# more, on average; chosen.
MOTTLED, VISIBLE = 1.25, 2.0
# Least shares of plain areas in real images: of all pixels, and of those in areas that are plain but for NOISE levels,
# lie in areas of exactly one colour. Measured (docs/log.md, 2026-11-30): flags, tiles and emoji have 0.04 to 0.30 and 0.30 to
# 0.97; of the former digits have 0.01 and letters 0.017, of the latter photographs and textures at most 0.04.
# MIN_PLAIN up to 0.042, and MIN_EXACT from 0.05 to 0.23, decide the same for all 14 kinds of images.
MIN_PLAIN, MIN_EXACT, NOISE = 0.025, 0.2, 8.0
MIN_BACKGROUND = 0.1  # share of all pixels; chosen
# This step leaves one colour of noise, which is what samples are after a handful of training steps. So it is not learned where more than
# MAX_LOST of the samples would keep less than MIN_KEPT of their contrast, besides as many as there are real images of one colour; chosen.
MAX_LOST, MIN_KEPT = 0.1, 0.5
KNOTS = 129  # quantiles of a curve: one for each 128th of the pixels
Distances = Annotated[tuple[NotNegative, ...], Field(min_length=KNOTS, max_length=KNOTS)]
Curve = tuple[Distances, Distances]
COMPARED = 64  # samples whose regions are compared with real images: bounds the time


def curve(samples: Numbers, real: Numbers, *, num_knots: int = KNOTS) -> Curve:
    """The curve of so many quantiles that gives distances of samples the distribution of real ones."""
    at = np.linspace(0.0, 1.0, num_knots)
    quantiles = [np.quantile(x, at) if x.size else np.zeros(num_knots) for x in (samples, real)]
    before, after = (tuple(np.maximum.accumulate(q).round(2).tolist()) for q in quantiles)
    return before, after


class PlainStep(Record):
    """See `plain_areas.plain`: afterwards areas are as plain, and as many neighbours equal, as in real images."""

    step: Literal["plain"] = "plain"
    apart: Annotated[
        tuple[Curve, ...], Field(min_length=len(plain_areas.SPACINGS), max_length=len(plain_areas.SPACINGS))
    ]
    low: Curve
    high: Curve
    rung: Annotated[int, Field(strict=True, ge=0, lt=len(plain_areas.RUNGS))]
    shares: Curve

    @classmethod
    def learn(cls, samples: Levels, real: Levels) -> PlainStep | None:
        """None where real images (n, C, H, W) have hardly any plain areas, where samples are not mottled in comparison with them, or
        where little would be left of samples."""
        if not has_plain_areas(real):
            return None
        is_visible, is_real_visible = plain_areas.visible(samples), plain_areas.visible(real)
        curves: list[Curve] = []
        x = samples
        for spacing in plain_areas.SPACINGS:
            distance, real_distance = (
                plain_areas.distances(y, plain_areas.surroundings(y, spacing))[mask]
                for y, mask in ((x, is_visible), (real, is_real_visible))
            )
            if not curves and not _is_larger(distance, real_distance):
                return None
            curves.append(curve(distance, real_distance))
            x = plain_areas.smoothed(x, spacing, curves[-1])
        samples, x = samples[:COMPARED], x[:COMPARED]
        real_shares = plain_areas.equal_share(real)
        reached = plain_areas.reached_shares(x)  # (rungs, n)
        rung = int(np.abs(reached.mean(axis=1) - real_shares.mean()).argmin())
        shares = curve(reached[rung], real_shares)
        x = plain_areas.as_plain(x, rung, shares)
        x = plain_areas.restored(x, samples)
        num_lost = np.count_nonzero(_contrast(x) < MIN_KEPT * _contrast(samples))
        if num_lost > (MAX_LOST + np.mean(_contrast(real) < NOISE)) * len(x):
            return None
        low, high = (curve(_near(x, end), _near(real, end)) for end in (0.0, 255.0))
        return cls(apart=tuple(curves), low=low, high=high, rung=rung, shares=shares)


def has_plain_areas(real: Levels) -> bool:
    """Whether enough pixels of images (n, C, H, W) lie in areas of 3 x 3 pixels of one colour; see MIN_PLAIN.

    The background does not count: clear pixels, or those of the most frequent colour if it has MIN_BACKGROUND of them. Digits
    have a plain one, but are not plain themselves.
    """
    if not real.size:
        return False
    levels = np.rint(real)
    is_seen = ~_background(levels)
    spread = np.max(
        [np.abs(shifted - levels).max(axis=1) for shifted in plain_areas.shifts(levels)], axis=0
    )  # (n, H, W)
    size, num_plain, num_near = (np.count_nonzero(is_seen & mask) for mask in (True, spread == 0.0, spread <= NOISE))
    return bool(num_plain >= max(MIN_PLAIN * size, MIN_EXACT * num_near, 1.0))


def _background(levels: Levels) -> NDArray[np.bool_]:
    """Which pixels (n, H, W) of whole levels belong to the background."""
    is_clear = ~plain_areas.visible(levels)
    if is_clear.any():
        return is_clear
    colours, counts = palettes.colours_of(levels)
    colour = colours[counts.argmax()]
    if counts.max() < MIN_BACKGROUND * counts.sum():
        return is_clear
    return np.asarray((levels == colour[None, :, None, None]).all(axis=1))


def _contrast(x: Levels) -> Levels:
    """(n,) standard deviations within images (n, C, H, W), the mean of their channels."""
    return np.asarray(x.std(axis=(2, 3)).mean(axis=1))


def _near(x: Levels, end: float) -> Levels:
    """How far the values of opaque pixels are from an end of the scale, where that is within ENDS."""
    values = np.moveaxis(x[:, :3], 1, -1)[plain_areas.wholly_opaque(x)]  # (N, C)
    deviations = np.abs(values - np.float32(end))
    return np.asarray(deviations[deviations < plain_areas.ENDS])


def _is_larger(apart: Levels, real_apart: Levels) -> bool:
    if not apart.size or not real_apart.size:
        return False
    mean, real_mean = float(apart.mean()), float(real_apart.mean())
    return mean >= max(MOTTLED * real_mean, real_mean + VISIBLE)
