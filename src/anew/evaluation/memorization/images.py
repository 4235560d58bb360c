"""Distances of images and clips: by pixels under small shifts and a mirror, and in an embedding.

Legend for shapes: n items, q queries, v variants of a query, d values of an item.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from anew.core.arrays import Integers, Numbers
from anew.core.random import generator
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.evaluation.memorization.search import QUERIES, SAMPLED, GivenVariants, Search, Variants, num_bounds

SIDE = 32  # pixels; larger images are shrunk to it: a copy is still a copy when both are shrunk
# The same where time is short: an eighth of the time, and exact copies of photographs and emoji are seen as well
COARSE_SIDE = 8
COLOURS = 3  # channels that are standardised together; one after them is alpha
CORE_SIDE = 16  # values along a side of an image's core: with 8, cores of sprites hold half as much (docs/log.md)
FLAT_DEVIATION = 8.0  # grey levels of 255: images of less contrast are not stretched to full contrast
# Size of the embedding: the smallest that recognises copies after noise and compression
FILTERS, WINDOW, CELLS = 32, 5, 4
CHUNK = 512  # images at once: bounds memory
OBJECT_BYTES = 1_500  # bytes that an image takes besides its pixels: the array itself, and its keys in sets; measured


class PixelDistance(Distance):
    """Root mean squared difference of images after brightness and contrast are taken out, in standard deviations of an image.

    The smallest difference over shifts of the query by a pixel, and its mirror image, counts.
    """

    name = "pixels"
    at_once = QUERIES

    def __init__(
        self, images: Sequence[Numbers], groups: Integers, shift: int = 1, mirror: bool = True, side: int = SIDE
    ) -> None:
        """
        Args:
            images: (H, W) or (H, W, C) uint8 of one shape.
            groups: (n,) of any integers.
            shift: Pixels by which a query is shifted, at most, each way.
            mirror: Whether the mirror image of a query counts, too.
            side: Pixels of a side that are compared, at most.
        """
        self._images = standardise(images, side)  # (n, C, h, w)
        self._shift, self._mirror = shift, mirror
        self._axes = axes(self._images)
        parts = (ShiftedImages(part, self._axes).core()[:, 0] for part in torch.split(self._images, CHUNK))
        core = joined(parts, len(self._images))
        self._search = Search(self._images.flatten(1), np.asarray(groups), core)

    def set_groups(self, groups: Integers) -> None:
        self._search = self._search.with_groups(groups)

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        def variants(rows: Indices) -> Variants:
            return ShiftedImages(self._images[torch.from_numpy(rows)], self._axes, self._shift, self._mirror)

        size = np.sqrt(self._images[0].numel())
        farthest = None if self.farthest is None else self.farthest * size
        item, distance = self._search.nearest(queries, pool, variants, farthest)
        return item, distance / size

    def within(self, queries: Indices, pool: Indices, without: Indices) -> Array:
        return np.asarray(self._search.within(queries, pool, without) / np.sqrt(self._images[0].numel()))


class WhiteDistance(PixelDistance):
    """`PixelDistance` of images with transparency (H, W, 4) on white: a copy may have lost its transparency."""

    name = "pixels on white"

    def __init__(self, images: Sequence[Numbers], groups: Integers) -> None:
        super().__init__([on_white(image) for image in images], groups)


def on_white(image: Numbers) -> Numbers:
    """An image with transparency, (H, W, 4) uint8, on white, (H, W, 3)."""
    alpha = image[..., 3:].astype(np.float32) / 255.0
    return np.asarray(np.rint(255.0 - (255.0 - image[..., :3]) * alpha), dtype=np.uint8)


class ClipDistance(Distance):
    """Distance of clips: the smallest `PixelDistance` between a frame of one and a frame of the other."""

    name = "frames"
    at_once = QUERIES

    def __init__(
        self, clips: Sequence[Numbers], groups: Integers, frames: int, shift: int = 1, side: int = SIDE
    ) -> None:
        """clips: (T, H, W) or (T, H, W, C) uint8 of any length; frames: number of frames to compare of each, evenly spread; shift,
        side: see `PixelDistance`."""
        self._frames = frames
        spread = [compared_frames(clip, frames) for clip in clips]
        images, owners = np.concatenate(spread), np.repeat(np.asarray(groups), frames)
        self._inner = PixelDistance(images, owners, shift, side=side)  # type: ignore[arg-type]

    def set_groups(self, groups: Integers) -> None:
        self._inner = self._inner.with_groups(np.repeat(np.asarray(groups), self._frames))

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        frame = np.arange(self._frames)
        query_frames, pool_frames = ((rows[:, None] * self._frames + frame).ravel() for rows in (queries, pool))
        item, distance = self._inner.nearest(query_frames, pool_frames)
        distance = distance.reshape(len(queries), -1)
        rows, best = np.arange(len(queries)), distance.argmin(axis=1)
        item = item.reshape(len(queries), -1)[rows, best]
        return np.asarray(np.where(item < 0, -1, item // self._frames)), np.asarray(distance[rows, best])

    def within(self, queries: Indices, pool: Indices, without: Indices) -> Array:
        pool_frames = (pool[:, None] * self._frames + np.arange(self._frames)).ravel()
        return self._inner.within(queries * self._frames, pool_frames, without * self._frames)


def compared_frames(clip: Numbers, count: int) -> Numbers:
    """Frames of a clip (T, H, W) or (T, H, W, C), evenly spread between the first and the last that are not flat.

    A flat frame, as at the beginning of a fade, is like that of any other clip. The nearest one that is not flat is taken for it. Only
    as many frames are looked at as it takes.
    """
    last = len(clip) - 1
    first = next((i for i in range(len(clip)) if not _is_flat(clip[i])), None)
    if first is None:
        return np.asarray(clip[np.linspace(0, last, count).round().astype(int)])
    last = next(i for i in range(last, -1, -1) if not _is_flat(clip[i]))
    spread = first + np.linspace(0, last - first, count).round().astype(int)
    by_nearness = (sorted(range(first, last + 1), key=lambda i: abs(i - middle)) for middle in spread.tolist())
    return np.asarray(clip[[next(i for i in frames if not _is_flat(clip[i])) for frames in by_nearness]])


def _is_flat(frame: Numbers) -> bool:
    """Whether no channel of a frame (H, W) or (H, W, C) has contrast."""
    return bool(frame.std(axis=(0, 1), dtype=np.float32).max() < FLAT_DEVIATION)


class EmbeddingDistance(Distance):
    """Euclidean distance of random convolutional features that are averaged over a coarse grid of cells.

    The smaller of the distances of the query and of its mirror image counts. Small shifts, noise and compression change it
    little.
    """

    name = "embedding"
    at_once = QUERIES

    def __init__(self, images: Sequence[Numbers], groups: Integers) -> None:
        chunks = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
        # The standardised images, which are larger, are never whole in memory.
        self._features = joined((features(standardise(part)) for part in chunks), len(images))  # (n, 2, d)
        self._search = Search(self._features[:, 0], np.asarray(groups))

    def set_groups(self, groups: Integers) -> None:
        self._search = self._search.with_groups(groups)

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        return self._search.nearest(
            queries, pool, lambda rows: GivenVariants(self._features[torch.from_numpy(rows)]), self.farthest
        )

    def within(self, queries: Indices, pool: Indices, without: Indices) -> Array:
        return self._search.within(queries, pool, without)


def working_bytes(image: Numbers, frames: int | None = None) -> int:
    """About how many bytes a test takes for an image like this one, itself included, or for a clip of which `frames` frames are
    compared. Measured: at most a fifth less (docs/log.md, 2026-11-29)."""
    shape = image.shape if frames is None else image.shape[1:]
    channels = shape[2] if len(shape) == 3 else 1
    pixels = channels * min(shape[0], SIDE) * min(shape[1], SIDE)
    core = channels * min(shape[0], CORE_SIDE) * min(shape[1], CORE_SIDE)
    # Cores are copied once, and so are bounds, of the pool and as a table.
    numbers = pixels + 2 * core + 3 * num_bounds(pixels)
    if frames is None:  # an embedding, of the mirror image too; alpha is compared once more, on white
        embedding = FILTERS * CELLS**2
        numbers = numbers * (1 + (channels == 4)) + 2 * embedding + 3 * num_bounds(embedding)
    return int(4 * numbers * (frames or 1) + image.nbytes + OBJECT_BYTES * (frames or 1))


def joined(parts: Iterable[Tensor], count: int) -> Tensor:
    """Tensors one after another, `count` rows in all: as `torch.cat`, but each part is let go of before the next is made."""
    whole: Tensor | None = None
    end = 0
    for part in parts:
        whole = torch.empty(count, *part.shape[1:], dtype=part.dtype) if whole is None else whole
        whole[end : end + len(part)] = part
        end += len(part)
    assert whole is not None, "there is a part"
    return whole


def standardise(images: Sequence[Numbers], side: int = SIDE) -> Tensor:
    """Turn uint8 images into (n, C, h, w) float32, sides at most `side`, of mean 0 and standard deviation 1 (flat ones less).

    Colour and alpha are standardised apart: an image that was darkened keeps its alpha.
    """
    chunks = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
    return joined((_standardise_chunk(chunk, side) for chunk in chunks), len(images))


def _standardise_chunk(images: Sequence[Numbers], side: int) -> Tensor:
    x = torch.from_numpy(np.stack([np.asarray(i) for i in images])).float()
    x = x[:, None] if x.dim() == 3 else x.permute(0, 3, 1, 2)  # (n, C, H, W)
    size = (min(x.shape[2], side), min(x.shape[3], side))
    if size != tuple(x.shape[2:]):
        x = functional.adaptive_avg_pool2d(x, size)
    return torch.cat([_standardised(part) for part in torch.split(x, COLOURS, dim=1)], dim=1)


def _standardised(x: Tensor) -> Tensor:
    """Images (n, C, h, w) with mean 0 and, unless they are flat, standard deviation 1."""
    x = x - x.mean(dim=(1, 2, 3), keepdim=True)
    return x / (x.square().mean(dim=(1, 2, 3), keepdim=True) + FLAT_DEVIATION**2).sqrt()


def axes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal columns (h, r) and (w, s) that hold most of the variation down and across images x (n, C, h, w).

    r and s are at most CORE_SIDE.
    """
    sampled = x[:: max(-(-len(x) // SAMPLED), 1)]
    sampled = (sampled - sampled.mean(dim=0)).flatten(0, 1)
    down, across = (torch.linalg.eigh((part @ part.mT).sum(dim=0))[1].flip(1) for part in (sampled, sampled.mT))
    return down[:, :CORE_SIDE].contiguous(), across[:, :CORE_SIDE].contiguous()


class ShiftedImages(Variants):
    """All shifts of images by up to `shift` pixels each way, with edges repeated, and their mirror images.

    The pixels of a variant are made only when they are needed. Cores, which are projections along rows and columns, take two
    small matrix products for all shifts together.
    """

    def __init__(self, x: Tensor, axes: tuple[Tensor, Tensor], shift: int = 0, mirror: bool = False) -> None:
        """x: (q, C, h, w); axes: see `axes`."""
        self._axes, self._span, self._mirrors = axes, 2 * shift + 1, 1 + mirror
        self.count, self.plain = self._mirrors * self._span**2, shift * self._span + shift
        self._height, self._width = x.shape[2:]
        orientations = torch.cat([x, x.flip(3)]) if mirror else x
        self._wide = (
            functional.pad(orientations, (shift,) * 4, mode="replicate") if shift else orientations
        )  # (m q, C, H, W)

    def core(self) -> Tensor:
        down, across = (self._shifted(axis) for axis in self._axes)
        # (m q, C, shifts across x values across, shifts down x values down)
        core = (self._wide @ across).mT @ down
        span, channels = self._span, self._wide.shape[1]
        core = core.view(self._mirrors, -1, channels, span, self._axes[1].shape[1], span, self._axes[0].shape[1])
        return core.permute(1, 0, 5, 3, 2, 4, 6).flatten(4).flatten(1, 3)

    def squares(self) -> Tensor:
        down, across = (self._shifted(torch.ones(size, 1)) for size in (self._height, self._width))
        squares = (self._wide.square().sum(dim=1) @ across).mT @ down  # (m q, shifts across, shifts down)
        return squares.view(self._mirrors, -1, self._span, self._span).permute(1, 0, 3, 2).flatten(1)

    def take(self, query: Tensor, variant: Tensor) -> Tensor:
        place, across = variant // self._span, variant % self._span
        mirror, down = place // self._span, place % self._span
        # A view: (m q, C, down, across, h, w)
        windows = self._wide.unfold(2, self._height, 1).unfold(3, self._width, 1)
        return windows[mirror * (len(self._wide) // self._mirrors) + query, :, down, across].flatten(1)

    def _shifted(self, axis: Tensor) -> Tensor:
        """Place columns (h, k) at each shift along the wider side, (H, shifts x k)."""
        span = self._span
        return torch.cat([functional.pad(axis, (0, 0, i, span - 1 - i)) for i in range(span)], dim=1)


@torch.no_grad()
def features(x: Tensor) -> Tensor:
    """Compute features of images, and of their mirror images, by a random convolution, ReLU, and average pooling to a grid of cells.

    Random convolutional features judge likeness much as trained ones do (arXiv 2208.09218). One level is enough to recognise
    copies, and takes seconds for sixty thousand images.

    Args:
        x: (n, C, h, w) standardised images.

    Returns:
        (n, 2, d), those of the mirror image last.
    """
    channels = x.shape[1]
    weight = torch.empty((FILTERS, channels, WINDOW, WINDOW)).normal_(generator=generator("copies", channels))
    weight = weight / weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    parts = []
    for part in torch.split(x, CHUNK):
        views = torch.cat([part, part.flip(3)])  # (2 n, C, h, w)
        hidden = functional.relu(functional.conv2d(views, weight, padding=WINDOW // 2, stride=2))
        cells = functional.adaptive_avg_pool2d(hidden, CELLS).flatten(1)  # (2 n, d)
        parts.append(cells.view(-1, len(part), cells.shape[1]).transpose(0, 1).contiguous())
    return torch.cat(parts)


def nearest_pixels(images: Numbers, training: Numbers) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The index of the nearest training image of each image, and the root mean squared difference, both (n,).

    Args:
        images: (n, ...) uint8.
        training: (m, ...) uint8 of the same shape.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    nearest_value = np.full(len(flat), np.inf)
    index = np.zeros(len(flat), dtype=np.intp)
    for start in range(0, len(training), CHUNK):
        part = training[start : start + CHUNK].reshape(-1, flat.shape[1]).astype(np.float32)
        square = (flat * flat).sum(1)[:, None] + (part * part).sum(1)[None] - 2.0 * (flat @ part.T)
        nearest = square.argmin(axis=1)
        value = square[np.arange(len(flat)), nearest]
        index = np.where(value < nearest_value, nearest + start, index)
        nearest_value = np.minimum(value, nearest_value)
    exact = ((flat - training[index].reshape(len(flat), -1).astype(np.float32)) ** 2).mean(axis=1)
    return index, np.sqrt(exact.astype(np.float64))
