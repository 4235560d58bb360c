"""Matching of the background of samples to that of real images: its extent, and no single pixels in it.

Legend for shapes: as in `pixel_steps`, which carries out the steps.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from anew.core.schema import NotNegative, Record
from anew.data.formats.images import pixel_steps
from anew.data.formats.images.plain_areas import Levels

FARTHEST = 512.0  # farther than any colour is from any other: the distance of black and white, with alpha, is 510
HALVINGS = 10  # the threshold of a fringe is halved so often: it is found to half a level
MIN_LESS = 2.0  # standard errors of the samples' mean share of background; chosen

Level = Annotated[int, Field(strict=True, ge=0, le=255)]
Colour = Annotated[tuple[Level, ...], Field(min_length=1, max_length=4)]


class IslandStep(Record):
    """See `pixel_steps.islands`: afterwards as many single pixels lie in the background as in real images, and as many holes."""

    step: Literal["islands"] = "islands"
    dots: NotNegative
    holes: NotNegative
    colour: Colour | None = None
    reach: NotNegative = 0.0

    @classmethod
    def learn(cls, samples: Levels, real: Levels, colour: Colour | None = None, reach: float = 0.0) -> IslandStep:
        depth, real_depth = (pixel_steps.foreground_depth(x, colour, reach) for x in (samples, real))
        dots, holes = (
            _threshold(np.abs(depth), single, float(real_single.mean()))
            for single, real_single in zip(
                pixel_steps.single_pixels(depth), pixel_steps.single_pixels(real_depth), strict=True
            )
        )
        return cls(dots=dots, holes=holes, colour=colour, reach=reach)


class FringeStep(Record):
    """See `pixel_steps.fringe`: afterwards about as many pixels are those of the background as in real images."""

    step: Literal["fringe"] = "fringe"
    strength: NotNegative
    colour: Colour

    @classmethod
    def learn(cls, samples: Levels, real: Levels, colour: Colour, num_frames: int = 0) -> FringeStep | None:
        """None unless samples have less background than real images, by more than chance (see MIN_LESS), and fringes make it up.

        Fringes add edges. If samples have no more of these than real images, faint pixels are thin limbs: None, too.

        Args:
            samples, real: As in `PixelMatching.learn`.
            colour: Colour of the background.
            num_frames: Frames of each clip, if samples are those of clips; else 0.
        """
        shares = _background_shares(samples, colour).reshape(-1, max(num_frames, 1)).mean(axis=1)  # one for each sample
        goal = float(_background_shares(real, colour).mean())
        if goal - shares.mean() <= MIN_LESS * shares.std() / np.sqrt(len(shares)):
            return None

        def share_after(strength: float) -> float:
            return float(_background_shares(pixel_steps.fringe(samples, strength, colour), colour).mean())

        if share_after(FARTHEST) < goal:
            return None
        low, high = 0.0, FARTHEST
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            low, high = (low, middle) if share_after(middle) >= goal else (middle, high)
        strength = min(low, high, key=lambda end: abs(share_after(end) - goal))
        step = cls(strength=round(strength, 2), colour=colour)
        before, after, usual = map(_edge_strength, (samples, pixel_steps.fringe(samples, step.strength, colour), real))
        return step if abs(after - usual) < abs(before - usual) else None


def _edge_strength(x: Levels) -> float:
    """How much neighbouring pixels of images (n, C, H, W) differ, in levels, on average."""
    return float(np.abs(np.diff(x, axis=-1)).mean() + np.abs(np.diff(x, axis=-2)).mean())


def _background_shares(x: Levels, colour: Colour) -> NDArray[np.floating]:
    """The share of the pixels of each image (n, C, H, W) that have the background's colour, (n,)."""
    return np.asarray(pixel_steps.has_colour(x, colour).mean(axis=(1, 2)))


def _threshold(depth: Levels, single: NDArray[np.bool_], real_share: float) -> float:
    """The depth up to which single pixels (n, H, W) are changed so that the others are their share in real images."""
    if not single.any():
        return 0.0
    if real_share == 0.0:
        return FARTHEST
    surplus = 1.0 - real_share / float(single.mean())
    return round(float(np.quantile(depth[single], surplus)) + 0.01, 2) if surplus > 0.0 else 0.0
