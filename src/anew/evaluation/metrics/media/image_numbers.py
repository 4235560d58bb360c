"""Numbers of images for classifiers: how plain, striped and rough areas are, which way brightness rises and falls, and which fine detail
repeats every few pixels.

Single numbers such as the mean pixel noise miss that a kind of image is lacking: a mix of plain and mottled images is, on
average, as noisy as slightly mottled ones. Numbers of areas do not change with detail that is too faint to be seen (docs/log.md:
"Plain and textured areas").

An image and its mirror image have the same spectra, colours and sharpness, and nearly the same features, which do not say which way is up.
Numbers of slopes and of repeats are not (docs/log.md: "Mirrored pictures and faint patterns").

Legend for shapes: n images, H rows, W columns, p planes, d numbers, s stride.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array
from anew.evaluation.metrics.media.image_statistics import STRIDES, Images, fine_detail, grey, mean_tile

# Roughness, in levels of 0 to 255, that pixels are counted beyond: grain of less than the first cannot be seen. Differences of
# channels are larger where they are seen.
LIGHT, COLOUR = (6.0, 12.0, 24.0, 48.0), (12.0, 24.0, 48.0, 96.0)
# Share of pixels that does not matter: without it, a single rough pixel would count like a rough area
FLOOR_SHARE = 0.01
MAX_PIXELS = 4096  # pixels of an image whose neighbours are read, evenly spread; chosen: bounds time
SCALES = (1, 2, 4)  # pixels whose mean is one value; chosen: light shows in coarse slopes, outlines in fine ones
MAX_SIDE = 64  # pixels: larger images are read in larger squares, and their faint patterns in a part of twice this; bounds time
IMAGES_AT_ONCE = 64  # images: bounds memory
FLAT = 2.5  # levels of 0 to 255 up to which a slope counts as flat: it has hardly a direction
# Levels that fine detail is cut at, so that a faint pattern in plain areas is not lost among edges: seams of four levels in emoji
# were told in 72% of pairs without it, in 88% cut at 2 levels and in 82% at 6.
EDGE = 4.0


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


def _in_chunks(numbers: Callable[[Array], Array]) -> Callable[[Images], Array]:
    """The numbers (n, d) of images, given those of their brightness (n, H, W) in levels."""

    def of_images(images: Images) -> Array:
        chunks = [images[i : i + IMAGES_AT_ONCE] for i in range(0, len(images), IMAGES_AT_ONCE)]
        return np.concatenate([numbers(255.0 * grey(chunk)) for chunk in chunks])

    return of_images


@_in_chunks
def slope_numbers(x: Array) -> Array:
    """(n, d) of uint8 images (H, W) or (H, W, C): skewness and balance of the differences of neighbours along rows, columns and both
    diagonals, and which way they run."""
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


@_in_chunks
def repeat_numbers(x: Array) -> Array:
    """(n, s * s) mean tile of the fine detail of images, cut at EDGE: what repeats every 8 pixels, in levels of 0 to 255.

    Small images have a stride of 4 or 2.
    """
    fine = np.clip(fine_detail(x[:, : 2 * MAX_SIDE, : 2 * MAX_SIDE]), -EDGE, EDGE)
    stride = max((s for s in STRIDES if min(fine.shape[1:]) >= 2 * s), default=0)
    return mean_tile(fine, stride).reshape(len(fine), -1) if stride else np.zeros((len(fine), 1))
