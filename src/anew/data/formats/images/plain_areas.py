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
ROUNDS = 3  # rounds at each rung: later ones hardly change anything
MAX_GAIN = 1.5  # most by which contrast is restored; chosen: more makes what is left of mottling visible


def plain(x: Levels, apart: Sequence[Curve], low: Curve, high: Curve, rung: int, shares: Curve) -> Levels:
    """Make areas as plain as in real images.

    Pixels become more like those around them that are like them already, then neighbouring regions of similar colours become
    one, and the contrast of the image is restored.

    Args:
        x: Levels (n, C, H, W).
        apart: Curves of the distance of a pixel to those around it, for each of SPACINGS.
        low, high: Curves of the distance of a value to 0 and to 255, within ENDS: means of values are not as pure as these.
        rung: Number of one of RUNGS, after which an image's share of equal neighbours is compared with `shares`.
        shares: A curve from that share to the one that the image gets.
    """
    out = x
    for spacing, curve in zip(SPACINGS, apart, strict=True):
        out = smoothed(out, spacing, curve)
    if x.size:
        out = as_plain(out, rung, shares)
    return pure(restored(out, x), low, high)


def as_plain(x: Levels, rung: int, shares: Curve) -> Levels:
    """Levels whose regions have become one up to the first of RUNGS at which enough neighbours are equal; see `plain`."""
    regions = Regions(x, wholly_opaque(x))
    goal = np.zeros(len(x))
    out = x.copy()
    is_open = np.ones(len(x), dtype=np.bool_)
    steps: list[tuple[Levels, NDArray[np.float64]]] = []  # those that were not compared with the goal yet
    for number, limit in enumerate(RUNGS):
        regions.merge(limit)
        steps.append((regions.levels(), regions.equal_share()))
        if number < rung:
            continue
        if number == rung:
            goal = np.interp(steps[-1][1], *shares)
        for levels, share in steps:
            is_enough = is_open & (share >= goal)
            out[is_enough] = levels[is_enough]
            is_open &= ~is_enough
        if not is_open.any():
            return out
        steps.clear()
        regions.close(~is_open)
    out[is_open] = regions.levels()[is_open]
    return out


def visible(x: Levels) -> NDArray[np.bool_]:
    """Which pixels (n, H, W) have an alpha above 0; without an alpha channel all of them."""
    return np.rint(x[:, 3]) > 0.0 if x.shape[1] == 4 else np.ones((len(x), *x.shape[2:]), dtype=np.bool_)


def wholly_opaque(x: Levels) -> NDArray[np.bool_]:
    """Which pixels (n, H, W) are opaque, or nearly so; without an alpha channel all of them."""
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
        likeness = np.float32(1.0) / (difference / np.float32(ALIKE**2) + np.float32(1.0)) ** 2
        total += likeness * shifted
        weight += likeness
    return np.asarray(total / weight, dtype=np.float32)


def reached_shares(x: Levels) -> NDArray[np.float64]:
    """`equal_share` after each of RUNGS, (rungs, n)."""
    regions = Regions(x, wholly_opaque(x))
    shares = []
    for limit in RUNGS:
        regions.merge(limit)
        shares.append(regions.equal_share())
    return np.stack(shares)


class Regions:
    """Regions of opaque pixels of one colour in images, R of them, in the order of their first pixels.

    Attributes:
        owner: (N,) region of each pixel.
        ends: (2, M) regions that touch, once for each pair of pixels.
        gaps: (M,) squared distances between their mean colours, which are kept up to date where a region grows.
        sums, sizes, image: C lists (R,) of sums of colours, numbers of pixels, and image of the regions.
    """

    def __init__(self, x: Levels, opaque: NDArray[np.bool_]) -> None:
        self._shape = x.shape
        self.sums = [x[:, channel].ravel().astype(np.float64) for channel in range(x.shape[1])]
        self.owner = np.arange(len(self.sums[0]))
        self.sizes = np.ones(len(self.owner))
        self.image = np.arange(len(x)).repeat(x.shape[2] * x.shape[3])
        place = self.owner.reshape(len(x), *x.shape[2:])
        sides = ((place[:, :, :-1], place[:, :, 1:]), (place[:, :-1], place[:, 1:]))
        ends = np.stack([np.concatenate([side[number].ravel() for side in sides]) for number in (0, 1)])
        is_opaque = opaque.ravel()[ends]
        self.ends: Indices = ends[:, is_opaque[0] & is_opaque[1]]
        self._count = np.bincount(self.image[self.ends[0]], minlength=len(x))
        # The other neighbours, which stay as they are: how many are equal, and of how many
        self._others = _equal_and_seen(x)
        self._others[0] -= self._equal_pairs(self.ends)
        self.gaps = self._distances(self.ends)
        same = self.ends[:, self._is_equal(self.ends)]
        self._join(_connected(same, len(self.owner)))

    def merge(self, limit: float) -> None:
        """Join regions that touch and whose mean colours differ by at most `limit` levels, in ROUNDS.

        Each joins the one that is most like it, if that is larger and does not join another at the same time.
        """
        for _ in range(ROUNDS):
            (near,) = np.nonzero(self.gaps <= limit**2)
            if not len(near):
                return
            target = self._most_alike(self.ends[:, near], self.gaps[near])
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

    def close(self, is_closed: NDArray[np.bool_]) -> None:
        """Let regions of these images (n,) join no more. Their `equal_share` has no meaning then."""
        is_open = ~is_closed[self.image[self.ends[0]]]
        self.ends, self.gaps = self.ends[:, is_open], self.gaps[is_open]

    def levels(self) -> Levels:
        """Levels (n, C, H, W) whose pixels have the mean colours of their regions."""
        means = [mean.astype(np.float32)[self.owner].reshape(len(self), *self._shape[2:]) for mean in self._means()]
        return np.stack(means, axis=1)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._others[0])

    def equal_share(self) -> NDArray[np.float64]:
        """`equal_share` of the levels, (n,)."""
        # Colours that are equal when rounded differ by less than one level in each channel
        near = self.ends[:, self.gaps < len(self.sums)]
        inside = self._count - np.bincount(self.image[self.ends[0]], minlength=len(self))
        equal, counted = self._others
        return np.asarray((equal + inside + self._equal_pairs(near)) / np.maximum(counted, 1))

    def _means(self) -> list[NDArray[np.float64]]:
        return [channel / self.sizes for channel in self.sums]

    def _is_equal(self, ends: Indices) -> NDArray[np.bool_]:
        """Which pairs (2, M) of regions have one colour, rounded."""
        equal = np.ones(ends.shape[1], dtype=np.bool_)
        for mean in self._means():
            level = np.rint(mean.astype(np.float32))
            equal &= level[ends[0]] == level[ends[1]]
        return equal

    def _equal_pairs(self, ends: Indices) -> NDArray[np.intp]:
        """How many pairs (2, M) have one colour, in each image (n,)."""
        return np.bincount(self.image[ends[0, self._is_equal(ends)]], minlength=len(self))

    def _distances(self, ends: Indices) -> NDArray[np.float64]:
        """The squared distances between the mean colours of pairs (2, M)."""
        total = np.zeros(ends.shape[1])
        for mean in self._means():
            total += (mean.take(ends[0]) - mean.take(ends[1])) ** 2
        return total

    def _most_alike(self, ends: Indices, gaps: NDArray[np.float64]) -> Indices:
        """(R,) the region of these pairs that each region differs least from, of equals the lowest number; -1 for none."""
        count = len(self.sizes)
        least = np.full(count, np.inf)
        target = np.full(count, count)
        for end in (0, 1):
            np.minimum.at(least, ends[end], gaps)
        for end in (0, 1):
            is_least = gaps == least[ends[end]]
            np.minimum.at(target, ends[end, is_least], ends[1 - end, is_least])
        return np.where(target < count, target, -1)

    def _join(self, to: Indices) -> None:
        """Let each region become a part of another. to: (R,) that other, which stays as it is, or its own number."""
        stays = to == np.arange(len(to))
        if stays.all():
            return
        number = (np.cumsum(stays) - 1)[to]
        count = int(stays.sum())
        grows = np.zeros(count, dtype=np.bool_)
        grows[number[~stays]] = True
        self.sums = [_totals(number, channel, count) for channel in self.sums]
        self.sizes, self.image = _totals(number, self.sizes, count), self.image[stays]
        self.owner = number.take(self.owner)
        ends = number.take(self.ends)
        (border,) = np.nonzero(ends[0] != ends[1])
        self.ends, self.gaps = ends.take(border, axis=1), self.gaps.take(border)
        (changed,) = np.nonzero(grows.take(self.ends).any(axis=0))
        self.gaps[changed] = self._distances(self.ends.take(changed, axis=1))


def _totals(number: Indices, values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """(count,) the sums of the values (R,) that have each number (R,)."""
    return np.asarray(np.bincount(number, values, count), dtype=np.float64)


def _connected(pairs: Indices, count: int) -> Indices:
    """(count,) the lowest number that each number is connected with by pairs (2, M)."""
    lowest = np.arange(count)
    while pairs.size:
        before = lowest.copy()
        least = lowest[pairs].min(axis=0)
        for end in (0, 1):
            np.minimum.at(lowest, lowest[pairs[end]], least)
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
    equal, counted = _equal_and_seen(x)
    return np.asarray(equal / np.maximum(counted, 1))


def _equal_and_seen(x: Levels) -> NDArray[np.intp]:
    """(2, n) how many neighbours have one colour, and of how many that are not both clear."""
    levels = np.rint(x)
    counts = np.zeros((2, len(x)), dtype=np.intp)
    for a, b in ((levels[..., :-1], levels[..., 1:]), (levels[..., :-1, :], levels[..., 1:, :])):
        is_seen = (a[:, 3] > 0) | (b[:, 3] > 0) if x.shape[1] == 4 else np.ones((len(x), *a.shape[2:]), dtype=np.bool_)
        counts[0] += ((a == b).all(axis=1) & is_seen).sum(axis=(1, 2))
        counts[1] += is_seen.sum(axis=(1, 2))
    return counts


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
