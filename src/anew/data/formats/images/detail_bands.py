"""Detail of images: bands from fine to coarse, and how strong each is around every pixel. It needs only NumPy: exports copy this file.

The bands are those of the starlet transform (Starck and Murtagh, Astronomical Image and Data Analysis, 2006, section 2.2): differences of
ever wider blurs. Brightness and colour are told apart in the axes of Ohta, Kanade and Sakai (1980, eq. 4), which are nearly
uncorrelated in photographs.

Legend for shapes: n images, C channels, H rows, W columns, K axes of colour. Values are levels from 0 to 255, colour multiplied by alpha.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]
Curve = tuple[Sequence[float], Sequence[float]]

NUM_BANDS = 3  # of 1, 2 and 4 pixels
BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # a cubic B-spline
# Orthonormal axes of colours (K, 3): brightness, red against blue, green against both
COLOUR_AXES = tuple(
    tuple(value / length for value in axis)
    for axis, length in (((1, 1, 1), 3**0.5), ((1, 0, -1), 2**0.5), ((-1, 2, -1), 6**0.5))
)
# Least and most by which detail changes in a round; chosen: several rounds change it by more, and see what the last one did
MIN_GAIN, MAX_GAIN = 0.5, 1.15
FAINT = 1e-3  # levels: fainter detail has no strength to be compared


def detail(x: Levels, rounds: Sequence[Sequence[Sequence[Curve | None]]]) -> Levels:
    """Make detail as strong as in real images.

    Args:
        x: Levels (n, C, H, W); of four channels the last is alpha, which stays.
        rounds: For each round, band and axis of colour a curve from the strength of detail to the one that it gets; None: it stays.
    """
    out = x
    for curves in rounds:
        out = with_strengths(out, curves)
    return out


def with_strengths(x: Levels, curves: Sequence[Sequence[Curve | None]]) -> Levels:
    """Levels after one round; see `detail`."""
    axes = colour_axes(x)
    changes = np.zeros((len(x), len(axes), *x.shape[2:]), dtype=np.float32)
    for (band, strength), band_curves in zip(strengths(x), curves, strict=True):
        for k, curve in enumerate(band_curves):
            if curve is None:
                continue
            goal = np.interp(strength[:, k], *curve)
            gain = np.clip(goal / np.maximum(strength[:, k], FAINT), MIN_GAIN, MAX_GAIN)
            changes[:, k] += (gain - 1.0) * band[:, k]
    num_colours = axes.shape[1]
    out = x.copy()
    out[:, :num_colours] += np.einsum("nkhw,kc->nchw", changes, axes, dtype=np.float32)
    most = x[:, 3:] if x.shape[1] == 4 else np.float32(255.0)
    out[:, :num_colours] = np.clip(out[:, :num_colours], 0.0, most)
    return out


def strengths(x: Levels) -> Iterator[tuple[Levels, Levels]]:
    """Yield each band of images (n, C, H, W) and how strong it is around each pixel, both (n, K, H, W), from fine to coarse."""
    axes = colour_axes(x)
    colours = np.einsum("nchw,kc->nkhw", x[:, : axes.shape[1]], axes, dtype=np.float32)
    for number in range(NUM_BANDS):
        spacing = 2**number
        blurred = blur(colours, spacing)
        band = colours - blurred
        yield band, np.sqrt(blur(blur(band**2, spacing), spacing))
        colours = blurred


def colour_axes(x: Levels) -> Levels:
    """(K, number of colours) the axes of colour of images (n, C, H, W): of grey ones brightness alone."""
    return np.ones((1, 1), dtype=np.float32) if x.shape[1] < 3 else np.array(COLOUR_AXES, dtype=np.float32)


def blur(x: Levels, spacing: int) -> Levels:
    """x (..., H, W) blurred with a kernel whose values are so many pixels apart, mirrored at the borders."""
    for axis in (x.ndim - 2, x.ndim - 1):
        size = x.shape[axis]
        x = sum(
            (
                np.float32(weight) * x.take(mirrored(size, (number - 2) * spacing), axis)
                for number, weight in enumerate(BLUR)
            ),
            start=np.zeros_like(x),
        )
    return x


def mirrored(size: int, offset: int) -> NDArray[np.intp]:
    """(size,) the places 0 to size - 1 moved by an offset, mirrored at both ends, whose pixels repeat."""
    places = (np.arange(size) + offset) % (2 * size)
    return np.where(places < size, places, 2 * size - 1 - places)
