"""Image statistics that people notice first: sharpness, pixel noise, grids, half-transparent pixels, number of colours.

Colours are compared in OKLab (Ottosson 2020), where equal distances look about equal.

Legend for shapes: n images, P pixels of each, H rows, W columns, C channels, s stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from anew.core.arrays import Numbers
from anew.evaluation.metrics.distances import Array, jensen_shannon
from anew.evaluation.metrics.item_statistics import ItemStatistic, statistic_spec
from anew.evaluation.score import Tolerance, bounded_spec

Images = Sequence[Numbers] | Numbers

COLOUR_DISTANCE = bounded_spec(
    "colour_distance",
    "Colours",
    "How far the mix of colours is from that of real images (0 = the same, 1 = no colour in common).",
    Tolerance(
        "closeness",
        small=0.08,
        large=0.35,
        clause="the mix of colours differs (divergence {value:.2f}; real data: {real:.2f})",
        agreement="the mix of colours agrees (divergence {value:.2f}; real data: {real:.2f})",
    ),
)
# Bins of lightness, and of each of the two axes of colour; chosen: few enough for some hundred images
LIGHTNESS, CHROMA = 16, 9
MAX_CHROMA = 0.3  # end of the axes of colour; the largest chroma of screen colours is 0.32
CELLS = LIGHTNESS * CHROMA * CHROMA
# Matrices of the definition of OKLab: linear sRGB to cone responses, and their cube roots to OKLab.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
STRIDES = (2, 4, 8)  # pixels: strides of the upsampling steps of common decoders
# Amplitude, in levels of 0 to 255, below which a pattern cannot be seen. Without this floor, samples with a checkerboard of 2
# levels were told from real images in 92% to 100%.
VISIBLE_AMPLITUDE = 6.0
VISIBLE_CAST = 0.01  # shift of greys in OKLab, about half of what is seen side by side; smaller ones do not count
# Levels of 0 to 255, half of one for each difference: less comes from rounding. Real textures have 0.3, specks that are seen 1.5.
FAINT_COLOUR_NOISE = 1.0
OPAQUE, CLEAR = 250, 5  # alpha from which a pixel counts as opaque, and up to which as clear; allows for rounding
# A value within PURE_LEVELS of white or black counts as pure, and within PALE_LEVELS as nearly so: samples of digits that could
# be told from real ones had strokes of 240 to 247, where real ones have 248 to 255.
PURE_LEVELS, PALE_LEVELS = 8, 32
# A pixel counts as grey by half at this chroma of OKLab, and hardly at twice as much; the most pixels of an image that are read.
GREY_CHROMA, GREY_PIXELS = 0.03, 1024
COLOUR_LEVELS = 32  # levels of a channel when colours are counted: differences below 8 of 255 are hardly seen


def oklab(rgb: Numbers) -> Array:
    """OKLab (..., 3) of sRGB values 0 to 1 (..., 3): lightness 0 to 1, and two axes of colour of about -0.4 to 0.4."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ TO_CONES.T) @ TO_LAB.T)


def colour_counts(images: Sequence[Numbers] | Numbers) -> Array:
    """(n, CELLS) pixels of each colour of uint8 images (H, W) or (H, W, C); what is transparent lies on white."""
    x = np.stack([np.asarray(image) for image in images]).astype(np.float64) / 255.0
    x = x[..., None] if x.ndim == 3 else x
    rgb = x[..., :3] * x[..., 3:] + 1.0 - x[..., 3:] if x.shape[3] == 4 else np.broadcast_to(x, (*x.shape[:3], 3))
    lab = oklab(rgb.reshape(len(x), -1, 3))  # (n, P, 3)
    lightness = np.clip((lab[..., 0] * LIGHTNESS).astype(np.intp), 0, LIGHTNESS - 1)
    a, b = (
        np.clip(((lab[..., axis] / MAX_CHROMA + 1.0) / 2.0 * CHROMA).astype(np.intp), 0, CHROMA - 1) for axis in (1, 2)
    )
    cell = (lightness * CHROMA + a) * CHROMA + b + CELLS * np.arange(len(x))[:, None]
    return np.bincount(cell.ravel(), minlength=len(x) * CELLS).reshape(len(x), CELLS).astype(np.float64)


def colour_distance(a: Numbers, b: Numbers) -> float:
    """Jensen-Shannon divergence in bits of the colours of a (n, CELLS) and b (m, CELLS)."""
    return jensen_shannon(a.sum(axis=0), b.sum(axis=0))


def grey(images: Images) -> Array:
    """(n, H, W) in [0, 1]: mean of the channels of uint8 images (H, W) or (H, W, C), times alpha where there is one."""
    x = np.stack([np.asarray(image) for image in images]).astype(np.float64) / 255.0
    if x.ndim == 4:
        x = x[..., :3].mean(axis=3) * x[..., 3] if x.shape[3] == 4 else x.mean(axis=3)
    return np.asarray(x)


def sharpness(images: Images) -> Array:
    """(n,) mean absolute second difference along rows and columns, in levels of 0 to 255."""
    x = grey(images)
    across, down = np.abs(np.diff(x, 2, axis=2)).mean((1, 2)), np.abs(np.diff(x, 2, axis=1)).mean((1, 2))
    return np.asarray(255.0 * (across + down) / 2.0)


def pixel_noise(images: Images) -> Array:
    """(n,) mean difference of a pixel from the most similar of its four neighbours, in levels of 0 to 255.

    Pixels of edges and fine lines have a similar neighbour, specks have none.
    """
    return _noise(grey(images))


def colour_noise(images: Images) -> Array:
    """(n,) `pixel_noise` of the differences of red and of blue from green, together, of RGB or RGBA images.

    If specks differ only in colour, the mean of the channels is smooth. It is FAINT_COLOUR_NOISE at least.
    """
    x = np.stack([np.asarray(image) for image in images]).astype(np.float64) / 255.0
    alpha = x[..., 3] if x.shape[3] == 4 else 1.0
    red, green, blue = (x[..., channel] * alpha for channel in range(3))
    return np.maximum(_noise(red - green) + _noise(blue - green), FAINT_COLOUR_NOISE)


def _noise(x: Array) -> Array:
    """(n,) mean difference of an inner pixel of (n, H, W) from the most similar of its four neighbours, times 255."""
    middle = x[:, 1:-1, 1:-1]
    neighbours = (x[:, :-2, 1:-1], x[:, 2:, 1:-1], x[:, 1:-1, :-2], x[:, 1:-1, 2:])
    nearest = np.minimum.reduce([np.abs(middle - neighbour) for neighbour in neighbours])
    return np.asarray(255.0 * nearest.mean((1, 2)))


def direction(images: Images) -> Array:
    """(n,) share of the detail of an image that runs across it rather than down: 1 for upright stripes, 0 for level ones."""
    x = grey(images)
    across, down = np.square(np.diff(x, axis=2)).mean((1, 2)), np.square(np.diff(x, axis=1)).mean((1, 2))
    floor = np.square(0.1 * VISIBLE_AMPLITUDE / 255.0)  # detail that is too faint to be seen has no direction
    return np.asarray((across + floor) / (across + down + 2.0 * floor))


def grid_energy(images: Images) -> Array:
    """(n,) largest share of fine detail that repeats at a stride of 2, 4 or 8, as a multiple of what chance gives.

    It finds the checkerboards of transposed convolutions (Odena et al. 2016) and the seams of patches.
    """
    fine = fine_detail(grey(images))
    ratios = [_relative_tile_power(255.0 * fine, s) for s in STRIDES if min(fine.shape[1:]) >= 2 * s]
    return np.max(ratios, axis=0) if ratios else np.ones(len(fine))


def fine_detail(x: Array) -> Array:
    """Differences of the inner pixels of (n, H, W) from the mean of their four neighbours."""
    return x[:, 1:-1, 1:-1] - (x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]) / 4.0


def mean_tile(fine: Array, s: int) -> Array:
    """The mean (n, s, s) of the tiles of fine detail (n, H, W): what repeats at this stride."""
    rows, columns = fine.shape[1] // s, fine.shape[2] // s
    return np.asarray(fine[:, : rows * s, : columns * s].reshape(-1, rows, s, columns, s).mean(axis=(1, 3)))


def _relative_tile_power(fine: Array, s: int) -> Array:
    """(n,) power of the mean s x s tile of fine detail (n, H, W), as a multiple of what independent pixels would give.

    It is 1 for a pattern too faint to be seen.
    """
    rows, columns = fine.shape[1] // s, fine.shape[2] // s
    tile = mean_tile(fine, s)
    power = np.square(tile).mean(axis=(1, 2))
    expected = np.square(fine[:, : rows * s, : columns * s]).mean(axis=(1, 2)) / (rows * columns)
    return np.where(np.abs(tile).max(axis=(1, 2)) < VISIBLE_AMPLITUDE, 1.0, power / np.maximum(expected, 1e-9))


def half_transparent_share(images: Images) -> Array:
    """(n,) share of pixels that are neither clear nor opaque, of images (H, W, 4)."""
    alpha = np.stack([image[..., 3] for image in images])
    return np.asarray(((alpha > CLEAR) & (alpha < OPAQUE)).mean(axis=(1, 2)))


def colours(images: Images) -> Array:
    """(n,) number of different colours of each image, with COLOUR_LEVELS levels in a channel."""
    counts = []
    for image in images:
        level = np.asarray(image).astype(np.int64) * COLOUR_LEVELS // 256
        flat = level.reshape(-1, level.shape[2] if level.ndim == 3 else 1)
        key = flat @ (COLOUR_LEVELS ** np.arange(flat.shape[1], dtype=np.int64))
        counts.append(len(np.unique(key)))
    return np.asarray(counts, dtype=np.float64)


def colour_cast(images: Images, axis: int) -> Array:
    """(n,) mean colour of the greys of RGB or RGBA images in steps of VISIBLE_CAST; 0 where there are none.

    A colour cast shows there: colours of things differ from image to image, greys do not. axis: 1 from green to red, 2 from blue
    to yellow.
    """
    casts = []
    for image in images:
        pixels = np.asarray(image).reshape(-1, image.shape[2]).astype(np.float64) / 255.0
        pixels = pixels[:: -(-len(pixels) // GREY_PIXELS)]
        lab = oklab(pixels[:, :3])
        weights = np.exp2(-((np.hypot(lab[:, 1], lab[:, 2]) / GREY_CHROMA) ** 2))
        weights *= pixels[:, 3] if pixels.shape[1] == 4 else 1.0
        # In black and white no cast can be seen
        weights *= (lab[:, 0] > 0.2) & (lab[:, 0] < 0.98)
        casts.append(float(weights @ lab[:, axis]) / max(float(weights.sum()), 1.0))
    return np.round(np.asarray(casts) / VISIBLE_CAST)


def purity(images: Images, end: float) -> Array:
    """(n,) share of the values near one end of the scale (`end`: 0 or 255) that reach it, in tenths; 0 if none reach it.

    Networks only come near to white and black where real pixels are exactly white or black. In images without any, the share must not
    depend on how many values are near: figures with skin of 240 were told by the number of its pixels.
    """
    shares = []
    for image in images:
        x = np.asarray(image).astype(np.float64)
        if x.ndim == 3 and x.shape[2] == 4:
            x = x[x[..., 3] > CLEAR, :3]
        distance = np.abs(x - end)
        shares.append((distance < PURE_LEVELS).sum() / max((distance < PALE_LEVELS).sum(), 1))
    return np.asarray(np.round(shares, 1), dtype=np.float64)


SHARPNESS = ItemStatistic(
    statistic_spec("sharpness", "Sharpness", "sharpness"),
    sharpness,
    "mean absolute second difference of pixels, 0 to 255",
)
PIXEL_NOISE = ItemStatistic(
    statistic_spec("pixel_noise", "Pixel noise", "pixel noise"),
    pixel_noise,
    "mean difference of a pixel from the most similar of its four neighbours, 0 to 255",
)
COLOUR_NOISE = ItemStatistic(
    statistic_spec("colour_noise", "Colour noise", "colour noise"),
    colour_noise,
    "pixel noise of red against green and of blue against green, together",
)
GRID_ENERGY = ItemStatistic(
    statistic_spec("grid_energy", "Grids and checkerboards", "grid pattern"),
    grid_energy,
    "fine detail that repeats every 2, 4 or 8 pixels, as a multiple of chance",
)
HALF_TRANSPARENT = ItemStatistic(
    statistic_spec("half_transparent", "Half-transparent pixels", "share of half-transparent pixels"),
    half_transparent_share,
    "share of pixels that are neither clear nor opaque",
)
DIRECTION = ItemStatistic(
    statistic_spec("direction", "Direction of detail", "direction of detail"),
    direction,
    "share of the power of differences of neighbouring pixels that is across the image, not down",
)
COLOURS = ItemStatistic(
    statistic_spec("colour_count", "Number of colours", "number of colours"),
    colours,
    f"different colours of an image, of {COLOUR_LEVELS} levels a channel",
)
WHITE, BLACK = (
    ItemStatistic(
        statistic_spec(f"pure_{name}", f"Purity of {name}", f"purity of {name}"),
        partial(purity, end=end),
        f"share of the values at most {PALE_LEVELS} levels from {name} that are at most {PURE_LEVELS} from it, in tenths",
    )
    for name, end in (("white", 255.0), ("black", 0.0))
)
GREEN_RED, BLUE_YELLOW = (
    ItemStatistic(
        statistic_spec(f"{name}_cast", f"Colour cast, {ends}", f"colour cast from {ends}"),
        partial(colour_cast, axis=axis),
        f"mean colour of the greys of an image, from {ends}, in steps of {VISIBLE_CAST} of OKLab",
    )
    for name, ends, axis in (("green_red", "green to red", 1), ("blue_yellow", "blue to yellow", 2))
)
STATISTICS = (SHARPNESS, PIXEL_NOISE, GRID_ENERGY, DIRECTION, COLOURS, WHITE, BLACK)  # images of any kind have these


def image_statistics(channels: int) -> tuple[ItemStatistic, ...]:
    """The statistics of images with so many channels."""
    of_colour = (COLOUR_NOISE, GREEN_RED, BLUE_YELLOW) if channels >= 3 else ()
    return (*STATISTICS, *of_colour, HALF_TRANSPARENT) if channels == 4 else (*STATISTICS, *of_colour)
