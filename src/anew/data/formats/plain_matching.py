"""Learns from samples and real images how plain areas are; `plain_areas` carries it out."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from anew.core.schema import Record
from anew.data.formats import plain_areas
from anew.data.formats.matching_curves import Curve, curve
from anew.data.formats.plain_areas import Levels

# Samples are mottled if their pixels differ from those around them by so many times as much as real ones, and by so many levels
# more, on average. Measured (docs/log.md, 2026-11-30): flags, icons, emoji and tiles, and photographs, textures and digits.
MOTTLED, VISIBLE = 1.25, 2.0
# Share of equal neighbours from which real images have areas of one colour; below it, they have shades at most. Icons with
# shades have 0.14, photographs 0.02.
MIN_EQUAL = 0.1
COMPARED = 64  # samples whose regions are compared with real images: bounds the time


class PlainStep(Record):
    """See `plain_areas.plain`: afterwards areas are as plain, and as many neighbours equal, as in real images."""

    step: Literal["plain"] = "plain"
    apart: Annotated[
        tuple[Curve, ...], Field(min_length=len(plain_areas.SPACINGS), max_length=len(plain_areas.SPACINGS))
    ]
    low: Curve
    high: Curve
    rung: Annotated[int, Field(strict=True, ge=-1, lt=len(plain_areas.RUNGS))] = -1
    shares: Curve | None = None

    @classmethod
    def learn(cls, samples: Levels, real: Levels) -> PlainStep | None:
        """None where samples are not mottled in comparison with real images (n, C, H, W)."""
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
        rung, shares = -1, None
        if real_shares.mean() >= max(MIN_EQUAL, plain_areas.equal_share(x).mean()):
            reached = np.stack([plain_areas.equal_share(y) for y in plain_areas.merged(x)])  # (rungs, n)
            rung = int(np.abs(reached.mean(axis=1) - real_shares.mean()).argmin())
            shares = curve(reached[rung], real_shares)
            x = plain_areas.as_plain(x, rung, shares)
        x = plain_areas.restored(x, samples)
        low, high = (curve(_near(x, end), _near(real, end)) for end in (0.0, 255.0))
        return cls(apart=tuple(curves), low=low, high=high, rung=rung, shares=shares)


def _near(x: Levels, end: float) -> Levels:
    """How far the values of opaque pixels are from an end of the scale, where that is within ENDS."""
    values = np.moveaxis(x[:, :3], 1, -1)[plain_areas.wholly_opaque(x)]  # (N, C)
    apart = np.abs(values - np.float32(end))
    return np.asarray(apart[apart < plain_areas.ENDS])


def _is_larger(apart: Levels, real_apart: Levels) -> bool:
    if not apart.size or not real_apart.size:
        return False
    mean, real_mean = float(apart.mean()), float(real_apart.mean())
    return mean >= max(MOTTLED * real_mean, real_mean + VISIBLE)
