"""Which way brightness rises and falls in images, and which fine detail repeats every few pixels, as numbers for a classifier.

Spectra, colours and sharpness are the same of an image and its mirror image, and in features of which nothing says which way is up
they nearly are. These numbers are not (docs/log.md: "Mirrored pictures and faint patterns").

Legend for shapes: n images, H rows, W columns, d numbers, s stride.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.image_statistics import STRIDES, fine_detail, grey, mean_tile

Images = Sequence[Numbers] | Numbers

SCALES = (1, 2, 4)  # pixels whose mean is one value; chosen: light shows in coarse slopes, outlines in fine ones
MAX_SIDE = 64  # pixels: larger images are read in larger squares, and their faint patterns in a part of twice this; bounds time
IMAGES_AT_ONCE = 64  # images: bounds memory
FLAT = 2.5  # levels of 0 to 255 up to which a slope counts as flat: it has hardly a direction
# Levels that fine detail is cut at, so that a faint pattern in plain areas is not lost among edges: seams of four levels in emoji
# were told in 72% of pairs without it, in 88% cut at 2 levels and in 82% at 6.
EDGE = 4.0


def slope_numbers(images: Images) -> Array:
    """(n, d) of uint8 images (H, W) or (H, W, C): skewness and balance of the differences of neighbours along rows, columns and both
    diagonals, and which way they run."""
    return _in_chunks(_slope_numbers, images)


def repeat_numbers(images: Images) -> Array:
    """(n, s * s) mean tile of the fine detail of images, cut at EDGE: what repeats every 8 pixels, in levels of 0 to 255.

    Small images have a stride of 4 or 2.
    """
    return _in_chunks(_repeat_numbers, images)


def _in_chunks(numbers: Callable[[Array], Array], images: Images) -> Array:
    """Numbers (n, d) of the brightness of images in levels."""
    chunks = [images[i : i + IMAGES_AT_ONCE] for i in range(0, len(images), IMAGES_AT_ONCE)]
    return np.concatenate([numbers(255.0 * grey(chunk)) for chunk in chunks])


def _slope_numbers(x: Array) -> Array:
    x = shrunk(x, min(-(-max(x.shape[1:]) // MAX_SIDE), *x.shape[1:]))
    numbers = [row for scale in SCALES if min(x.shape[1:]) >= 4 * scale for row in _slopes(shrunk(x, scale))]
    return np.stack(numbers, axis=1) if numbers else np.zeros((len(x), 1))


def shrunk(x: Array, scale: int) -> Array:
    """Means of squares of `scale` pixels of (n, H, W)."""
    rows, columns = x.shape[1] // scale, x.shape[2] // scale
    squares = x[:, : rows * scale, : columns * scale].reshape(len(x), rows, scale, columns, scale)
    return np.asarray(squares.mean(axis=(2, 4)))


def _slopes(x: Array) -> list[Array]:
    """Numbers (n,) of the slopes of (n, H, W)."""
    across, down = x[:, :, 1:] - x[:, :, :-1], x[:, 1:] - x[:, :-1]
    falling, rising = x[:, 1:, 1:] - x[:, :-1, :-1], x[:, 1:, :-1] - x[:, :-1, 1:]
    numbers, powers = [], []
    for slope in (across, down, falling, rising):
        square = slope * slope
        power = square.mean(axis=(1, 2))
        numbers.append((square * slope).mean(axis=(1, 2)) / (power + FLAT**2) ** 1.5)
        numbers.append((slope / np.sqrt(square + FLAT**2)).mean(axis=(1, 2)))
        powers.append(power)
    pairs = ((powers[0], powers[1]), (powers[2], powers[3]))
    return [*numbers, *((a - b) / (a + b + FLAT**2) for a, b in pairs)]


def _repeat_numbers(x: Array) -> Array:
    fine = np.clip(fine_detail(x[:, : 2 * MAX_SIDE, : 2 * MAX_SIDE]), -EDGE, EDGE)
    stride = max((s for s in STRIDES if min(fine.shape[1:]) >= 2 * s), default=0)
    return mean_tile(fine, stride).reshape(len(fine), -1) if stride else np.zeros((len(fine), 1))
