"""The colours that images have exactly: flat colours, and a palette of few colours in all.

Legend for shapes: n images, C channels, H rows, W columns, N pixels, P colours. Values are levels from 0 to 255.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers, Numbers

MIN_FLAT_SHARE = 0.01  # a colour of at least this share of all pixels counts as flat; chosen
MAX_FLAT_COLOURS = 16  # most flat colours: each takes a pass over all pixels
MAX_REACH = 64.0  # farthest distance in levels from which pixels are pulled to a flat colour: a quarter of the scale
MIN_REACH = 2.0  # common colours closer than twice this count as one, since each would pull pixels of the other
MAX_COLOURS = 1024  # most colours of a palette: the time to find the nearest one grows with their number
MAX_GREYS = 64  # most greys of a palette: with more, rounding to a level does the same
FEW_COLOURS = 256  # so few colours in all are a palette: a paletted file has no more
PIXELS_PER_COLOUR = 16  # with fewer pixels for each of them, there are few colours because there are few pixels; chosen
FIRST_IMAGES = 16  # if these have too many colours for a palette already, no others are searched
# Least share of the pixels of one half of the images whose colours the other half has, too; the same of FEW_COLOURS, of which the rare
# ones may be in one half alone. Clips of two random colours each had 384 in 768 frames, and held-out ones none of these (docs/log.md,
# 2026-12-03).
MIN_KNOWN_SHARE, MIN_KNOWN_SHARE_OF_FEW = 0.998, 0.9


def colours_of(real: Numbers) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The different colours (P, C), and how many pixels have each (P,)."""
    present, counts = np.unique(codes(real), return_counts=True)
    channels = [(present >> (8 * channel)) & 255 for channel in range(real.shape[1])]
    return np.stack(channels, axis=1).astype(np.uint8), counts


def codes(x: Numbers) -> NDArray[np.int64]:
    """The colour of each pixel as one number, (N,)."""
    pixels = np.moveaxis(np.rint(x).astype(np.int64), 1, -1).reshape(-1, x.shape[1])  # (N, C)
    return np.asarray(pixels @ (256 ** np.arange(pixels.shape[1], dtype=np.int64)), dtype=np.int64)


def flat_colours(colours: NDArray[np.uint8], counts: NDArray[np.int64]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield the colours that many pixels have, the most common first, and how far each reaches.

    Neighbouring levels, such as 252 to 254 in white strokes, count as one, the most common of them; the curve keeps their spread.
    """
    order = np.argsort(-counts, kind="stable")[:MAX_FLAT_COLOURS]
    common: list[Numbers] = []
    for colour in colours[order[counts[order] >= MIN_FLAT_SHARE * counts.sum()]].astype(np.float32):
        if all(np.sqrt(((colour - other) ** 2).sum()) >= 2.0 * MIN_REACH for other in common):
            common.append(colour)
    for index, colour in enumerate(common):
        others = np.asarray([*common[:index], *common[index + 1 :]]).reshape(-1, len(colour))  # (P - 1, C)
        distance = np.sqrt(((others - colour) ** 2).sum(1))
        yield tuple(map(int, colour)), round(min([MAX_REACH, *(distance / 2.0).tolist()]), 2)


def palette_of(real: Numbers, owners: Integers | None = None) -> NDArray[np.uint8] | None:
    """The palette (P, C) of images (n, C, H, W), which are levels from 0 to 255; None if they have none.

    A palette has few colours, and both halves of the images have the same ones, but for a few where many pixels have each.

    owners: (n,) number of the clip that each image is a frame of; None if each is an item of its own.
    """
    max_colours = MAX_GREYS if real.shape[1] == 1 else MAX_COLOURS
    if len(real) < 2 or min(real.shape[2:]) < 2 or len(np.unique(codes(real[:FIRST_IMAGES]))) > max_colours:
        return None
    colours, counts = colours_of(real)
    if len(colours) > max_colours:
        return None
    are_common = len(colours) <= FEW_COLOURS and counts.sum() >= PIXELS_PER_COLOUR * len(colours)
    # Frames of one clip have the same colours anyway
    halves_of = np.arange(len(real)) if owners is None or len(np.unique(owners)) < 2 else np.asarray(owners)
    halves = [codes(real[halves_of % 2 == half]) for half in (0, 1)]
    if not all(map(len, halves)):
        return None
    shares = [float(np.isin(a, np.unique(b)).mean()) for a, b in (halves, halves[::-1])]
    return colours if min(shares) >= (MIN_KNOWN_SHARE_OF_FEW if are_common else MIN_KNOWN_SHARE) else None


def palette_note(
    images: Numbers, plural: str, files_have_palettes: bool = False, owners: Integers | None = None
) -> list[str]:
    """A sentence on the palette of images (n, C, H, W), in a list; [] if neither they nor their files have one.

    Args:
        images: Some images, as levels from 0 to 255, in the size in which they are learned.
        plural: Noun for them.
        files_have_palettes: Whether the files that they were read from have palettes.
        owners: See `palette_of`.
    """
    palette = palette_of(images, owners)
    if palette is not None:
        colours = "levels of grey" if images.shape[1] == 1 else "colours"
        count = f"{len(palette):,} {colours} in the {len(images):,} {plural} looked at"
        return [f"The data has a palette ({count}), and samples will have no other {colours}."]
    if not files_have_palettes:
        return []
    return [
        f"The files have palettes, but the {plural}, as they are learned, share none: samples will have no palette."
    ]
