"""How plain, striped and rough the areas of images are, compared as a joint distribution over images by a classifier.

Single numbers such as the mean pixel noise miss that a kind of image is lacking: a mix of plain and mottled images is, on
average, as noisy as slightly mottled ones. A classifier of a few numbers notices, and those of this module do not change with detail
that is too faint to be seen (docs/log.md: "Plain and textured areas").

Legend for shapes: n images, H rows, W columns, p planes, d numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array

# Roughness, in levels of 0 to 255, that pixels are counted beyond: grain of less than the first cannot be seen. Differences of
# channels are larger where they are seen.
LIGHT, COLOUR = (6.0, 12.0, 24.0, 48.0), (12.0, 24.0, 48.0, 96.0)
# Share of pixels that does not matter: without it, a single rough pixel would count like a rough area
FLOOR_SHARE = 0.01
MAX_PIXELS = 4096  # pixels of an image whose neighbours are read, evenly spread; chosen: bounds time


def area_numbers(images: Sequence[Numbers] | Numbers) -> Array:
    """(n, d) logarithms of the shares of pixels of uint8 images (H, W) or (H, W, C) that are rough along rows, columns and both."""
    light, colour = _planes(np.stack([np.asarray(image) for image in images]).astype(np.float32))
    parts = [_shares(light, LIGHT)]
    if colour is not None:
        parts.append(_shares(colour, COLOUR))
    return np.log(np.concatenate(parts, axis=1) + FLOOR_SHARE)


def _planes(x: Array) -> tuple[Array, Array | None]:
    """Lightness (n, 1, H, W) and two differences of channels (n, 2, H, W), times alpha; None without colours."""
    if x.ndim == 3:
        return x[:, None], None
    alpha = x[..., 3:] / 255.0 if x.shape[3] == 4 else 1.0
    colours = x[..., :3] * alpha
    light = colours.mean(axis=3)[:, None]
    if x.shape[3] < 3:
        return light, None
    red, green, blue = np.moveaxis(colours, 3, 0)
    return light, np.stack([red - green, (red + green) / 2.0 - blue], axis=1)


def _shares(x: Array, levels: Sequence[float]) -> Array:
    """(n, 3 * levels) shares of the pixels of planes (n, p, H, W) that are rougher than each level in one of these.

    The roughness of a pixel is its difference from the mean of its two neighbours, which shading does not change: along rows,
    along columns, or the lesser of both, so that edges and stripes have little of it.
    """
    height, width = x.shape[2:]
    if min(height, width) < 3:
        return np.zeros((len(x), 3 * len(levels)))
    step = max(int(np.ceil(np.sqrt(height * width / MAX_PIXELS))), 1)
    middle = x[:, :, 1:-1:step, 1:-1:step]
    across = np.abs(middle - (x[:, :, 1:-1:step, :-2:step] + x[:, :, 1:-1:step, 2::step]) / 2.0).max(axis=1)
    down = np.abs(middle - (x[:, :, :-2:step, 1:-1:step] + x[:, :, 2::step, 1:-1:step]) / 2.0).max(axis=1)
    return np.stack(
        [(rough > level).mean(axis=(1, 2)) for rough in (across, down, np.minimum(across, down)) for level in levels],
        axis=1,
    ).astype(np.float64)
