"""The steps that give samples the values of real pixels; `pixel_matching` learns them. It needs only NumPy: exports copy this file.

Legend for shapes: n images, C channels, H rows, W columns, P colours. Values are levels from 0 to 255, colour multiplied by
alpha. A curve is a pair of K distances each, before and after.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]
Indices = NDArray[np.intp]
Curve = tuple[Sequence[float], Sequence[float]]
S = TypeVar("S", bound=np.generic)

EVEN = 4.0  # neighbours within this squared distance have about the same weight
STRIP = 1 << 14  # pixels whose distances to all colours are computed at once: bounds memory


def matched(x: NDArray[np.number], steps: Sequence[Mapping[str, object]]) -> Levels:
    """Levels (n, C, H, W) after all steps, each given by its name `step` and its numbers."""
    functions: dict[str, Callable[..., Levels]] = {"alpha": alpha, "specks": specks, "flat": flat}
    functions |= {"palette": palette, "margin": margin}
    levels = np.clip(x.astype(np.float32), 0.0, 255.0)
    for step in steps:
        numbers = {name: value for name, value in step.items() if name != "step"}
        levels = functions[str(step["step"])](levels, **numbers)
    return levels


def shrink(distance: Levels, curve: Curve) -> Levels:
    """Distances after a curve, which makes none of them larger."""
    return np.asarray(np.minimum(np.interp(distance, *curve), distance), dtype=np.float32)


def alpha(x: Levels, clear: Curve, opaque: Curve) -> Levels:
    """Move alpha towards clear or opaque; colour keeps its ratio to alpha."""
    before = x[:, 3]  # (n, H, W)
    after = np.where(before < 127.5, shrink(before, clear), 255.0 - shrink(255.0 - before, opaque))
    scale = after / np.maximum(before, 1.0)
    colour = np.minimum(x[:, :3] * scale[:, None], after[:, None])
    return np.concatenate([colour, after[:, None]], axis=1).astype(np.float32)  # (n, 4, H, W)


def specks(x: Levels, sharpness: float, apart: Curve) -> Levels:
    """Move pixels towards the neighbours that are most like them: pixels of edges and lines have such neighbours, specks do not."""
    mean = neighbourhood(x, sharpness)
    distance = distances(x, mean)
    scale = shrink(distance, apart) / np.maximum(distance, 1e-6)
    return np.asarray(mean + (x - mean) * scale[:, None], dtype=np.float32)


def flat(x: Levels, colour: Sequence[int], reach: float, near: Curve) -> Levels:
    """Move pixels that are within `reach` of a colour towards it."""
    middle = as_pixel(colour)
    distance = distances(x, middle)
    scale = np.where(distance < reach, shrink(distance, near) / np.maximum(distance, 1e-6), 1.0)
    return np.asarray(middle + (x - middle) * scale[:, None], dtype=np.float32)


def palette(x: Levels, colours: Sequence[Sequence[int]], lenience: float) -> Levels:
    """Give each pixel the nearest colour. If no neighbour has it, take a neighbour's that is at most `lenience` farther."""
    table = np.asarray(colours, dtype=np.float32)  # (P, C)
    index = nearest(x, table)
    if lenience > 0.0 and min(index.shape[1:]) > 1:
        farther, neighbour_index = nearest_of_neighbours(x, table, index)
        index = np.where(alone(index) & (farther <= lenience), neighbour_index, index)
    return np.ascontiguousarray(np.moveaxis(table[index], -1, 1))


def margin(x: Levels, colour: Sequence[int], sides: Sequence[int]) -> Levels:
    """Give so many pixels from each side (top, right, bottom, left) a colour."""
    top, right, bottom, left = sides
    height, width = x.shape[2:]
    out = np.empty_like(x)
    out[:] = as_pixel(colour)
    inner = (slice(None), slice(None), slice(top, height - bottom), slice(left, width - right))
    out[inner] = x[inner]
    return out


def neighbourhood(x: Levels, sharpness: float) -> Levels:
    """The mean (n, C, H, W) of each pixel's eight neighbours, weighted by squared distance to the power of -sharpness."""
    total, weight = np.zeros_like(x), np.zeros((len(x), 1, *x.shape[2:]), dtype=np.float32)
    for shifted in shifts(x):
        likeness = ((((shifted - x) ** 2).sum(axis=1, keepdims=True) + EVEN) / EVEN) ** -sharpness
        total += likeness * shifted
        weight += likeness
    return np.asarray(total / weight, dtype=np.float32)


def nearest(x: Levels, table: Levels) -> Indices:
    """(n, H, W) numbers of the nearest colours of the table (P, C)."""
    pixels = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])  # (n*H*W, C)
    squares = (table**2).sum(1)
    strips = (pixels[start : start + STRIP] for start in range(0, len(pixels), STRIP))
    index = [np.argmin(squares - 2.0 * (strip @ table.T), axis=1) for strip in strips]
    return np.concatenate(index).reshape(x.shape[0], *x.shape[2:])


def nearest_of_neighbours(x: Levels, table: Levels, index: Indices) -> tuple[Levels, Indices]:
    """How much farther than its own colour the nearest colour of a pixel's neighbours is, and its number, (n, H, W)."""
    target = np.moveaxis(x, 1, -1)  # (n, H, W, C)
    distance_here = np.sqrt(((target - table[index]) ** 2).sum(-1))
    best, choice = np.full(index.shape, np.inf, dtype=np.float32), index
    for shifted in shifts(index):
        distance = np.sqrt(((target - table[shifted]) ** 2).sum(-1))
        choice, best = np.where(distance < best, shifted, choice), np.minimum(distance, best)
    return best - distance_here, choice


def alone(index: Indices) -> NDArray[np.bool_]:
    """Whether no neighbour has the same number, (n, H, W)."""
    is_alone = np.ones(index.shape, dtype=np.bool_)
    for shifted in shifts(index):
        is_alone &= shifted != index
    return is_alone


def shifts(x: NDArray[S]) -> Iterator[NDArray[S]]:
    """Yield the eight neighbours of each pixel of x (..., H, W), mirrored at the borders."""
    height, width = x.shape[-2:]
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(1, 1), (1, 1)], mode="reflect")
    for down, right in product(range(3), range(3)):
        if (down, right) != (1, 1):
            yield padded[..., down : down + height, right : right + width]


def distances(x: Levels, colour: Levels) -> Levels:
    """The Euclidean distance over the channels, (n, H, W)."""
    return np.asarray(np.sqrt(((x - colour) ** 2).sum(axis=1)), dtype=np.float32)


def as_pixel(colour: Sequence[int]) -> Levels:
    """A colour as an array (1, C, 1, 1)."""
    return np.asarray(colour, dtype=np.float32).reshape(1, -1, 1, 1)
