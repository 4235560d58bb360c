"""A fixed convolutional embedding with random weights: features of any Grid, without a download or a training set.

Random convolutional features judge generators much as trained ones do (arXiv 2208.09218), and are the same on every
machine. The activations of each level (convolution, leaky ReLU, then pooling by two) are read out as mean and standard
deviation in a coarse grid of cells; a random orthogonal matrix projects the read-outs to few features. `GridEmbedder` computes them a few
items at a time.

Legend for shapes: n items, C channels, r read-outs, d features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anew.core.arrays import Numbers
from anew.core.machine.threads import available_threads, map_in_threads
from anew.core.processes.shared_work import SharedWork
from anew.core.random import generator
from anew.data.types import ItemT

T = TypeVar("T")

NAME = "random-convolution embedding"
FEATURES = 128  # few enough that a covariance of some hundred items has full rank
# Read-outs of cells without projection, for classifiers: they tell more than the features (docs/log.md); more take longer.
DETAIL = 1024
WIDTHS = (32, 64, 128)  # filters of each level; chosen: doubled where the sides are halved
CELLS = {1: 16, 2: 4, 3: 2}  # cells an axis that a level is read out in, by number of axes
MAX_SIDE = {1: 4096, 2: 64, 3: 32}  # larger sides are shrunk to this first: fine detail is the spectrum's part
CHUNK = 64  # items at once: the first level's maps then stay in a processor's cache


class Embedding:
    """Computes features (n, d) float32 of values (n, C, *sides) in [-1, 1] with one to three axes. Its weights are seeded
    and never trained.

    `fit` takes centre and scale from training items, so that every filter counts alike and distances have a scale. All cells of
    a filter share a scale: with scales of their own, those that hardly vary, such as the black margin of digits or the silence
    after a word, would decide everything, and which ones vary at all depends on a few items (docs/log.md, 2026-11-28).
    """

    def __init__(self, channels: int, num_axes: int) -> None:
        self.num_axes = num_axes
        self._weights: list[tuple[Tensor, Tensor]] = []
        inner = channels
        for level, width in enumerate(WIDTHS):
            rng = generator("embedding", 0, num_axes, level, inner)
            weight = torch.empty((width, inner, *(3,) * num_axes)).normal_(generator=rng)
            # Filters without a mean respond to edges and texture; every second filter keeps its mean, for tone.
            trailing = (1,) * (num_axes + 1)
            edges = weight - weight.flatten(1).mean(1).view(-1, *trailing)
            weight = torch.where((torch.arange(width) % 2 == 0).view(-1, *trailing), weight, edges)
            bias = torch.empty(width).uniform_(-0.2, 0.2, generator=rng)
            self._weights.append((weight * math.sqrt(2.0 / (inner * 3**num_axes)), bias))
            inner = width
        self._cells: dict[tuple[int, ...], Tensor] = {}
        self._centre = torch.zeros(0)
        self._mix = torch.zeros(0)  # (r, d)
        self._offset = torch.zeros(0)
        self._scale = torch.ones(0)
        self._detail = torch.zeros(0, dtype=torch.int64)  # (w,) read-outs of the detail

    @torch.no_grad()
    def fit(self, x: Tensor) -> Embedding:
        """Take centre and scale from training items x (n, C, *sides); a few hundred are enough."""
        chunks = zip(*_of_chunks(self._levels, x), strict=True)
        levels = [torch.cat(chunk) for chunk in chunks]  # (n, filters, cells) each
        read_outs = torch.cat([level.flatten(1) for level in levels], dim=1)  # (n, r)
        self._centre = read_outs.mean(dim=0)
        deviation = torch.cat([_filter_deviation(level) for level in levels])  # (r,)
        # A filter that is the same in every item says nothing, and its scale would be infinite.
        varies = deviation > 1e-4
        size = read_outs.shape[1]
        gaussian = torch.empty(size, min(FEATURES, size)).normal_(generator=generator("mix", 0, size))
        mix = torch.linalg.qr(gaussian)[0] * (math.sqrt(size) / math.sqrt(gaussian.shape[1]))  # (r, d)
        self._mix = mix * (varies / deviation.clamp_min(1e-4))[:, None]
        features = (read_outs - self._centre) @ self._mix
        self._offset = features.mean(dim=0)
        self._scale = 1.0 / features.std(dim=0, correction=0).clamp_min(1e-6)
        self._detail = torch.randperm(size, generator=generator("detail", 0, size))[:DETAIL]
        return self

    def __call__(self, x: Tensor) -> Numbers:
        """Features (n, d) of items (n, C, *sides); call `fit` before."""
        return self.detailed(x)[0]

    @torch.no_grad()
    def detailed(self, x: Tensor) -> tuple[Numbers, Numbers]:
        """Features (n, d) of items (n, C, *sides), and read-outs (n, w) for classifiers.

        The read-outs are DETAIL of those that the features are made from, which say what is where, and those of whole items,
        which say how fine structure looks wherever it is.
        """

        def embed(chunk: Tensor) -> tuple[Tensor, Tensor]:
            levels = self._levels(chunk)
            read_outs = torch.cat([level.flatten(1) for level in levels], dim=1)  # (n, r)
            features = ((read_outs - self._centre) @ self._mix - self._offset) * self._scale  # (n, d)
            return features, torch.cat([read_outs[:, self._detail], *map(_of_whole, levels[::2], levels[1::2])], dim=1)

        features, detail = zip(*_of_chunks(embed, x), strict=True)
        return torch.cat(features).numpy(), torch.cat(detail).numpy()

    @property
    def views(self) -> tuple[int, int]:
        """How many read-outs of the detail are of cells, and of whole items."""
        return len(self._detail), 3 * sum(WIDTHS)

    def _levels(self, x: Tensor) -> list[Tensor]:
        """Means and standard deviations of each level, (n, filters, cells) each."""
        hidden = self._shrink(x)
        parts = []
        for level, (weight, bias) in enumerate(self._weights):
            hidden = functional.leaky_relu(_convolve(hidden, weight, bias), 0.1)  # (n, width, *sides)
            cells = self._pooling(tuple(hidden.shape[2:]))  # (product of sides, cells)
            flat = hidden.flatten(2)
            mean = flat @ cells  # (n, width, cells)
            parts += [mean, (flat.square() @ cells - mean.square()).clamp_min(1e-8).sqrt()]
            if level + 1 < len(self._weights):
                hidden = _halve(hidden)
        return parts

    def _shrink(self, x: Tensor) -> Tensor:
        max_side = MAX_SIDE[self.num_axes]
        size = [min(s, max_side) for s in x.shape[2:]]
        if size == list(x.shape[2:]):
            return x
        if self.num_axes == 3:  # PyTorch has no antialiasing in three dimensions, so cells are averaged
            return functional.adaptive_avg_pool3d(x, (size[0], size[1], size[2]))
        if self.num_axes == 1:
            return functional.interpolate(x.unsqueeze(2), size=(1, *size), mode="bilinear", antialias=True).squeeze(2)
        return functional.interpolate(x, size=size, mode="bilinear", antialias=True)

    def _pooling(self, sides: tuple[int, ...]) -> Tensor:
        """The matrix (product of sides, cells) that averages over cells: faster than adaptive pooling."""
        if sides not in self._cells:
            pooling = torch.ones(1, 1)
            for size in sides:
                count = min(CELLS[self.num_axes], size)
                axis = torch.zeros(size, count)
                for cell in range(count):
                    low, high = cell * size // count, -(-(cell + 1) * size // count)
                    axis[low:high, cell] = 1.0 / (high - low)
                pooling = torch.kron(pooling, axis)
            self._cells[sides] = pooling
        return self._cells[sides]


def _of_chunks(function: Callable[[Tensor], T], x: Tensor) -> Iterator[T]:
    """What a function gives for each chunk of items x (n, ...): several at a time, each on one thread. Threads that share a chunk wait for
    each other after each operation: on busy cores that takes many times as long."""
    chunks = torch.split(x, CHUNK)
    return map_in_threads(torch.no_grad()(function), chunks, min(available_threads(), len(chunks)))


def _of_whole(mean: Tensor, deviation: Tensor) -> Tensor:
    """(n, 3 * filters) mean and standard deviation over whole items, and mean deviation within cells, of (n, filters, cells)."""
    whole = mean.mean(2)
    variance = (deviation.square() + mean.square()).mean(2) - whole.square()
    return torch.cat([whole, variance.clamp_min(1e-8).sqrt(), deviation.mean(2)], dim=1)


def _filter_deviation(level: Tensor) -> Tensor:
    """(filters * cells,) the standard deviation of a level (n, filters, cells), pooled over the cells of each filter."""
    variance = level.var(dim=0, correction=0)  # (filters, cells)
    return variance.mean(dim=1, keepdim=True).sqrt().expand_as(variance).flatten()


def _convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    convolve = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[weight.dim() - 2]
    return convolve(x, weight, bias, padding=1)


def _halve(x: Tensor) -> Tensor:
    pool = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}[x.dim() - 2]
    window = [min(2, side) for side in x.shape[2:]]  # one of 2 does not fit into a clip that has one frame left
    return pool(x, window, window, ceil_mode=True)


class GridEmbedder(Generic[ItemT]):
    """Computes features of items that are values on a grid.

    Args:
        prepare: Turns items into values (n, C, *sides) in [-1, 1].
        train: Items to which centre and scale of the embedding are fitted.
        at_once: Number of items that are prepared together: bounds memory.
        work: Shares the items among processes; None for a single one.
    """

    def __init__(
        self,
        prepare: Callable[[Sequence[ItemT]], Tensor],
        train: Sequence[ItemT],
        at_once: int,
        work: SharedWork | None = None,
    ) -> None:
        self._prepare, self._at_once, self._work = prepare, at_once, SharedWork() if work is None else work
        prepared = prepare(train)
        self._embedding = Embedding(prepared.shape[1], prepared.ndim - 2).fit(prepared)

    def __call__(self, items: Sequence[ItemT]) -> Numbers:
        """Features (n, d) of n items."""
        return self.detailed(items)[0]

    @property
    def views(self) -> tuple[int, ...]:
        """See `Embedding.views`."""
        return self._embedding.views

    def detailed(self, items: Sequence[ItemT]) -> tuple[Numbers, Numbers]:
        """Features (n, d) of n items, and the detail (n, w) that classifiers are given: see `Embedding.detailed`."""
        parts = [items[start : start + self._at_once] for start in range(0, len(items), self._at_once)]
        embedded = self._work.map(
            lambda part: self._embedding.detailed(self._prepare(part)),
            parts,
            lambda: (np.asarray(item).tobytes() for item in items),
        )
        features, detail = zip(*embedded, strict=True)
        return np.concatenate(features), np.concatenate(detail)
