"""Plain areas of images: what is mottled becomes plain, and edges stay. It needs only NumPy: exports copy this file.

Legend for shapes: n images, C channels, H rows, W columns, N pixels of all images, M pairs of regions. Values are levels from 0 to
255, colour multiplied by alpha. A curve is a pair of lists of distances, before and after. Pixels that are clear or opaque stay
so.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]
Indices = NDArray[np.intp]
Curve = tuple[Sequence[float], Sequence[float]]
S = TypeVar("S", bound=np.generic)

SPACINGS = (1, 2)  # pixels between a pixel and those that it becomes more like, in this order
ALIKE = 64.0  # levels: neighbours that are farther than this in colour count for less than a quarter
# Levels up to which the mean colours of regions that touch may differ for them to become one, in this order
RUNGS = tuple(2.0 * 2.0 ** (step / 2.0) for step in range(13))
OPAQUE = 250.0  # alpha from which a pixel is opaque: samples come near to 255
ENDS = 32.0  # levels from 0 and from 255 within which values are matched to real ones
ROUNDS = 3  # at each rung: later ones hardly change anything
MAX_GAIN = 1.5  # most by which contrast is restored; chosen: more makes what is left of mottling visible


def plain(
    x: Levels, apart: Sequence[Curve], low: Curve, high: Curve, rung: int = -1, shares: Curve | None = None
) -> Levels:
    """Make areas as plain as in real images.

    Pixels become more like those around them that are like them already, then neighbouring regions of similar colours become
    one, and the contrast of the image is restored.

    Args:
        x: Levels (n, C, H, W).
        apart: Curves of the distance of a pixel to those around it, for each of SPACINGS.
        low, high: Curves of the distance of a value to 0 and to 255, within ENDS: means of values are not as pure as these.
        rung: Number of one of RUNGS, after which an image's share of equal neighbours is compared with `shares`.
        shares: A curve from that share to the one that the image gets. None: no regions become one.
    """
    out = x
    for spacing, curve in zip(SPACINGS, apart, strict=True):
        out = smoothed(out, spacing, curve)
    if shares is not None and len(x):
        out = as_plain(out, rung, shares)
    return pure(restored(out, x), low, high)


def as_plain(x: Levels, rung: int, shares: Curve) -> Levels:
    """Levels whose regions have become one up to the first of RUNGS at which enough neighbours are equal; see `plain`."""
    steps = merged(x)
    reached = np.stack([equal_share(step) for step in steps])  # (rungs, n)
    enough = reached >= np.interp(reached[rung], *shares)
    chosen = np.where(enough.any(axis=0), enough.argmax(axis=0), len(RUNGS) - 1)
    return np.stack([steps[number][index] for index, number in enumerate(chosen)])


def visible(x: Levels) -> NDArray[np.bool_]:
    """Which pixels (n, H, W) are not exactly clear: all where there is no alpha."""
    return np.rint(x[:, 3]) > 0.0 if x.shape[1] == 4 else np.ones((len(x), *x.shape[2:]), dtype=np.bool_)


def wholly_opaque(x: Levels) -> NDArray[np.bool_]:
    """Which pixels (n, H, W) are opaque, or nearly so: all where there is no alpha."""
    return x[:, 3] >= OPAQUE if x.shape[1] == 4 else np.ones((len(x), *x.shape[2:]), dtype=np.bool_)


def smoothed(x: Levels, spacing: int, apart: Curve) -> Levels:
    """Levels whose pixels are nearer to `surroundings`, by a curve of distances."""
    mean = surroundings(x, spacing)
    distance = distances(x, mean)
    scale = shrink(distance, apart) / np.maximum(distance, 1e-6)
    out = np.where(visible(x)[:, None], mean + (x - mean) * scale[:, None], x)
    if x.shape[1] < 4:
        return np.asarray(out, dtype=np.float32)
    alpha = np.where(wholly_opaque(x), np.float32(255.0), out[:, 3])[:, None]
    return np.concatenate([np.minimum(out[:, :3], alpha), alpha], axis=1).astype(np.float32)


def surroundings(x: Levels, spacing: int) -> Levels:
    """The mean (n, C, H, W) of eight pixels around each pixel, so far from it, in which those of its colour count most."""
    total, weight = np.zeros_like(x), np.zeros((len(x), 1, *x.shape[2:]), dtype=np.float32)
    for shifted in shifts(x, spacing):
        difference = ((shifted - x) ** 2).sum(axis=1, keepdims=True)
        likeness = (1.0 + difference / np.float32(ALIKE**2)) ** -2.0
        total += likeness * shifted
        weight += likeness
    return np.asarray(total / weight, dtype=np.float32)


def merged(x: Levels) -> list[Levels]:
    """Levels after each of RUNGS, where neighbouring opaque regions whose mean colours differ by no more have become one."""
    regions = Regions(x, wholly_opaque(x))
    steps = []
    for rung in RUNGS:
        regions.merge(rung)
        steps.append(regions.levels())
    return steps


class Regions:
    """Regions of opaque pixels of one colour in images. A region is known by its first pixel.

    Attributes:
        owner: (N,) region of each pixel.
        pairs: (M, 2) regions that touch, once for each pair of pixels.
        sums, sizes: (N, C) and (N,) sums of colours and numbers of pixels of the regions.
    """

    def __init__(self, x: Levels, opaque: NDArray[np.bool_]) -> None:
        self._shape = x.shape
        self.sums = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1]).astype(np.float64)
        self.sizes = np.ones(len(self.sums))
        self.owner = np.arange(len(self.sums))
        place = self.owner.reshape(len(x), *x.shape[2:])
        sides = ((place[:, :, :-1], place[:, :, 1:]), (place[:, :-1], place[:, 1:]))
        pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in sides])
        self.pairs: Indices = pairs[opaque.ravel()[pairs].all(axis=1)]
        colours = np.rint(self.sums)
        same = self.pairs[(colours[self.pairs[:, 0]] == colours[self.pairs[:, 1]]).all(axis=1)]
        self._join(_connected(same, len(self.owner)))

    def merge(self, limit: float) -> None:
        """Join regions that touch and whose mean colours differ by at most `limit` levels, in ROUNDS.

        Each joins the one that is most like it, if that is larger and does not join another at the same time.
        """
        for _ in range(ROUNDS):
            means = self.sums / self.sizes[:, None]
            first, second = self.pairs.T
            difference = ((means[first] - means[second]) ** 2).sum(axis=1)
            is_near = difference <= limit**2
            if not is_near.any():
                return
            target = self._most_alike(self.pairs[is_near], difference[is_near])
            (moving,) = np.nonzero(target >= 0)
            to = target[moving]
            is_larger = (self.sizes[to] > self.sizes[moving]) | ((self.sizes[to] == self.sizes[moving]) & (to < moving))
            moving = moving[is_larger]
            stays = np.ones(len(target), dtype=np.bool_)
            stays[moving] = False
            moving = moving[stays[target[moving]]]
            joined = np.arange(len(target))
            joined[moving] = target[moving]
            self._join(joined)

    def levels(self) -> Levels:
        """Levels (n, C, H, W) whose pixels have the mean colours of their regions."""
        count, channels, height, width = self._shape
        means = self.sums[self.owner] / self.sizes[self.owner, None]
        return np.moveaxis(means.reshape(count, height, width, channels), -1, 1).astype(np.float32)

    def _most_alike(self, pairs: Indices, difference: NDArray[np.float64]) -> Indices:
        """(N,) the region of these pairs that each region differs least from, of equals the lowest number; -1 for none."""
        least = np.full(len(self.owner), np.inf)
        target = np.full(len(self.owner), len(self.owner))
        for column in (0, 1):
            np.minimum.at(least, pairs[:, column], difference)
        for column in (0, 1):
            is_least = difference == least[pairs[:, column]]
            np.minimum.at(target, pairs[is_least, column], pairs[is_least, 1 - column])
        return np.where(target < len(self.owner), target, -1)

    def _join(self, to: Indices) -> None:
        """Let each region become a part of another. to: (N,) that other, which stays as it is, or its own number."""
        (moving,) = np.nonzero(to != np.arange(len(to)))
        np.add.at(self.sums, to[moving], self.sums[moving])
        np.add.at(self.sizes, to[moving], self.sizes[moving])
        self.owner = to[self.owner]
        pairs = to[self.pairs]
        self.pairs = pairs[pairs[:, 0] != pairs[:, 1]]


def _connected(pairs: Indices, count: int) -> Indices:
    """(count,) the lowest number that each number is connected with by pairs (M, 2)."""
    lowest = np.arange(count)
    while len(pairs):
        before = lowest.copy()
        least = lowest[pairs].min(axis=1)
        for column in (0, 1):
            np.minimum.at(lowest, lowest[pairs[:, column]], least)
        while (lowest[lowest] != lowest).any():
            lowest = lowest[lowest]
        if (lowest == before).all():
            break
    return lowest


def restored(x: Levels, before: Levels) -> Levels:
    """Levels whose opaque pixels have as much contrast as before, up to MAX_GAIN times their own."""
    opaque = wholly_opaque(x)
    colours = slice(0, 3)
    count = np.maximum(opaque.sum(axis=(1, 2)), 1)[:, None]  # (n, 1)

    def spread(levels: Levels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The mean of each channel (n, C, 1, 1), and the variance around it of all channels together (n,)."""
        inside = np.where(opaque[:, None], levels[:, colours], 0.0).astype(np.float64)
        mean = (inside.sum(axis=(2, 3)) / count)[..., None, None]
        deviation = np.where(opaque[:, None], levels[:, colours] - mean, 0.0)
        return mean, (deviation**2).sum(axis=(1, 2, 3)) / count[:, 0]

    (mean, variance), (_, variance_before) = spread(x), spread(before)
    gain = np.clip(np.sqrt(variance_before / np.maximum(variance, 1.0)), 1.0, MAX_GAIN)[:, None, None, None]
    out = x.copy()
    out[:, colours] = np.where(
        opaque[:, None], np.clip(mean + (x[:, colours] - mean) * gain, 0.0, 255.0), x[:, colours]
    )
    return out


def pure(x: Levels, low: Curve, high: Curve) -> Levels:
    """Levels whose opaque pixels have as many values near 0 and 255 that are exactly so as real ones; see `plain`."""
    out = x.copy()
    values = out[:, :3]
    values = np.where(values < ENDS, shrink(values, low), values)
    values = np.where(values > 255.0 - ENDS, 255.0 - shrink(255.0 - values, high), values)
    out[:, :3] = np.where(wholly_opaque(x)[:, None], values, x[:, :3])
    return out


def equal_share(x: Levels) -> NDArray[np.float64]:
    """(n,) share of the neighbours, in rows and columns, that have one colour, of all that are not both clear."""
    levels = np.rint(x)
    equal, count = np.zeros(len(x)), np.zeros(len(x))
    for a, b in ((levels[..., :-1], levels[..., 1:]), (levels[..., :-1, :], levels[..., 1:, :])):
        is_seen = (a[:, 3] > 0) | (b[:, 3] > 0) if x.shape[1] == 4 else np.ones((len(x), *a.shape[2:]), dtype=np.bool_)
        equal += ((a == b).all(axis=1) & is_seen).sum(axis=(1, 2))
        count += is_seen.sum(axis=(1, 2))
    return np.asarray(equal / np.maximum(count, 1))


def shrink(distance: Levels, curve: Curve) -> Levels:
    """Distances after a curve, which makes none of them larger."""
    return np.asarray(np.minimum(np.interp(distance, *curve), distance), dtype=np.float32)


def distances(x: Levels, colour: Levels) -> Levels:
    """The Euclidean distance over the channels, (n, H, W)."""
    return np.asarray(np.sqrt(((x - colour) ** 2).sum(axis=1)), dtype=np.float32)


def shifts(x: NDArray[S], spacing: int = 1) -> Iterator[NDArray[S]]:
    """Yield eight pixels around each pixel of x (..., H, W), so many pixels from it, mirrored at the borders.

    In images that are not larger than `spacing`, they are nearer.
    """
    height, width = x.shape[-2:]
    down, across = min(spacing, height - 1), min(spacing, width - 1)
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(down, down), (across, across)], mode="reflect")
    for row, column in product(range(3), range(3)):
        if (row, column) != (1, 1):
            yield padded[..., row * down : row * down + height, column * across : column * across + width]
