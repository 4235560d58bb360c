"""The nearest image under small shifts and a mirror, by pixels and in an embedding: exact search in bounded memory.

All rows are turned into few numbers by an orthonormal projection, to which the length of what it leaves out is added as
one more number. Distances there are never larger than the real ones, and nearly as large: what is not under the best
real distance so far by that bound needs no second look.

Legend for shapes: n items, q queries, v variants of a query, d values of an item, b bounding values, p pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from anew.core.random import generator
from anew.evaluation.memorization.statistics import Array, Distance, Indices

SIDE = 32  # larger images are shrunk to it: a copy is one in small too
LEVELS = 8.0  # of 255: a contrast under which an image counts as flat
BOUND, LEAST, MOST = 6, 64, 256  # values of an item to one of the bound, at least and at most so many
QUERIES, TILE, POOL = 256, 256, 2048  # of the search: a tile of bounds stays in a processor's cache
FILTERS, WINDOW, CELLS = 32, 5, 4  # of the embedding
CHUNK = 512
MANY = 32  # rows of a tile where more than one column of so many is a candidate are multiplied out


class PixelDistance(Distance):
    """Euclidean distance of images with brightness and contrast taken out, the least over shifts by a pixel and a
    mirror of the query; the root mean square of the difference, where 1 is a standard deviation of the image."""

    name = "pixels"

    def __init__(
        self, images: Sequence[NDArray[Any]], groups: NDArray[Any], shift: int = 1, mirror: bool = True
    ) -> None:
        """images: (H, W) or (H, W, C) uint8 of one shape; groups: (n,) of any integers."""
        self._images = standardised(images)  # (n, C, h, w)
        self._shift, self._mirror = shift, mirror
        self._search = Search(self._images.flatten(1), np.asarray(groups))

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        def variants(rows: Indices) -> Tensor:
            return shifted(self._images[torch.from_numpy(rows)], self._shift, self._mirror).flatten(2)

        item, distance = self._search.nearest(queries, pool, variants)
        return item, distance / np.sqrt(self._images[0].numel())


class ClipDistance(Distance):
    """Distance of clips: the least of `PixelDistance` between a frame of one and a frame of the other."""

    name = "frames"

    def __init__(self, clips: Sequence[NDArray[Any]], groups: NDArray[Any], frames: int = 3) -> None:
        """clips: (T, H, W) or (T, H, W, C) uint8 of any length; frames: of each that are compared, evenly spread."""
        self._frames = frames
        spread = [clip[np.linspace(0, len(clip) - 1, frames).round().astype(int)] for clip in clips]
        self._inner = PixelDistance(np.concatenate(spread), np.repeat(np.asarray(groups), frames))  # type: ignore[arg-type]

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        within = np.arange(self._frames)
        asked, known = ((rows[:, None] * self._frames + within).ravel() for rows in (queries, pool))
        item, distance = self._inner.nearest(asked, known)
        distance = distance.reshape(len(queries), -1)
        rows, best = np.arange(len(queries)), distance.argmin(axis=1)
        item = item.reshape(len(queries), -1)[rows, best]
        return np.asarray(np.where(item < 0, -1, item // self._frames)), np.asarray(distance[rows, best])


class EmbeddingDistance(Distance):
    """Euclidean distance of random convolutional features averaged over a coarse grid of cells, the less of the query's
    and its mirror image's: small shifts, noise and compression change it little."""

    name = "embedding"

    def __init__(self, images: Sequence[NDArray[Any]], groups: NDArray[Any], mirror: bool = True) -> None:
        self._features = features(standardised(images), mirror)  # (n, v, d)
        self._search = Search(self._features[:, 0], np.asarray(groups))

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        return self._search.nearest(queries, pool, lambda rows: self._features[torch.from_numpy(rows)])


class FeatureDistance(Distance):
    """Euclidean distance of features (n, d) that the caller has."""

    name = "features"

    def __init__(self, rows: NDArray[Any], groups: NDArray[Any]) -> None:
        self._rows = torch.as_tensor(rows, dtype=torch.float32)
        self._search = Search(self._rows, np.asarray(groups))

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        return self._search.nearest(queries, pool, lambda rows: self._rows[torch.from_numpy(rows)][:, None])


def standardised(images: Sequence[NDArray[Any]]) -> Tensor:
    """uint8 images to (n, C, h, w) float32, at most SIDE a side, each of mean 0 and of deviation 1 (flat ones less)."""
    parts = []
    for start in range(0, len(images), CHUNK):
        x = torch.from_numpy(np.stack([np.asarray(i) for i in images[start : start + CHUNK]])).float()
        x = x[:, None] if x.dim() == 3 else x.permute(0, 3, 1, 2)  # (n, C, H, W)
        size = (min(x.shape[2], SIDE), min(x.shape[3], SIDE))
        x = x if size == tuple(x.shape[2:]) else functional.adaptive_avg_pool2d(x, size)
        x = x - x.mean(dim=(1, 2, 3), keepdim=True)
        deviation = x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        parts.append((x / (deviation.square() + LEVELS**2).sqrt()).contiguous())
    return torch.cat(parts)


def shifted(x: Tensor, shift: int, mirror: bool) -> Tensor:
    """All shifts of x (q, C, h, w) by up to `shift` pixels each way, edges repeated, and their mirrors (q, v, C, h, w)."""
    height, width = x.shape[2:]
    wide = functional.pad(x, (shift,) * 4, mode="replicate")
    span = range(2 * shift + 1)
    views = [wide[:, :, top : top + height, left : left + width] for top in span for left in span]
    views += [v.flip(3) for v in views] if mirror else []
    return torch.stack(views, dim=1)


@torch.no_grad()
def features(x: Tensor, mirror: bool = True) -> Tensor:
    """Random convolution, rectifier, means over a grid of cells, of (n, C, h, w) and its mirror: (n, v, d).

    Random convolutional features judge likeness much as trained ones do (arXiv 2208.09218). One level is enough to tell
    copies, and sixty thousand images take seconds.
    """
    channels = x.shape[1]
    weight = torch.empty((FILTERS, channels, WINDOW, WINDOW)).normal_(generator=generator("copies", channels))
    weight = weight / weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    parts = []
    for part in torch.split(x, CHUNK):
        views = torch.cat([part, part.flip(3)]) if mirror else part
        hidden = functional.relu(functional.conv2d(views, weight, padding=WINDOW // 2, stride=2))
        cells = functional.adaptive_avg_pool2d(hidden, CELLS).flatten(1)  # (v n, d)
        parts.append(cells.view(-1, len(part), cells.shape[1]).transpose(0, 1).contiguous())
    return torch.cat(parts)


class Search:
    """Nearest rows by Euclidean distance; a query has several variants, the least of their distances counts."""

    def __init__(self, rows: Tensor, groups: NDArray[Any]) -> None:
        """rows: (n, d) float32; rows of one group are never each other's nearest."""
        self._rows = rows
        self._group = np.unique(groups, return_inverse=True)[1]
        size = int(np.clip(rows.shape[1] // BOUND, LEAST, MOST))
        self._basis = basis(rows, min(size, rows.shape[1] - 1))  # (d, b - 1)

    def nearest(self, queries: Indices, pool: Indices, variants: Callable[[Indices], Tensor]) -> tuple[Indices, Array]:
        """variants: gives (q, v, d) of queries' indices."""
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        if not len(pool):
            return item, distance
        bounds = self._pool(pool)
        for start in range(0, len(queries), QUERIES):
            rows = slice(start, start + QUERIES)
            item[rows], distance[rows] = self._block(queries[rows], pool, bounds, variants(queries[rows]))
        return item, distance

    def bounds(self, x: Tensor) -> Tensor:
        """(n, d) to (n, b): distances there are at most those of x."""
        inside = x @ self._basis
        rest = (x.square().sum(dim=1) - inside.square().sum(dim=1)).clamp_min(0.0).sqrt()
        return torch.cat([inside, rest[:, None]], dim=1)

    def _pool(self, pool: Indices) -> Tensor:
        """(b + 1, p): with a query's bounding values and a last 1 it multiplies to half the squared bound, less the
        query's own half square."""
        bounds = torch.cat([self.bounds(self._rows[torch.from_numpy(part)]) for part in _chunks(pool)])
        return torch.cat([-bounds, bounds.square().sum(dim=1, keepdim=True) / 2.0], dim=1).T.contiguous()

    def _block(self, queries: Indices, pool: Indices, bounds: Tensor, views: Tensor) -> tuple[Indices, Array]:
        count, kinds = views.shape[:2]
        flat = views.reshape(count * kinds, -1)  # (q v, d)
        own = self.bounds(flat)
        half = own.square().sum(dim=1) / 2.0
        own = torch.cat([own, torch.ones(len(own), 1)], dim=1)
        # The bound is computed in float32 by a difference of large numbers: what may be lost there is allowed for.
        slack = 1e-5 * (float(half.max()) + float(bounds[-1].max()))
        row, column = self._twins(queries, pool, kinds)
        best = _Best(count, kinds, flat, self._rows, pool)
        first = own.view(count, kinds, -1)[:, 0] @ bounds  # a good start: the nearest by the bound, no variant
        first[torch.from_numpy(row[::kinds] // kinds), torch.from_numpy(column[::kinds])] = float("inf")
        start = first.argmin(dim=1)
        alive = torch.isfinite(first[torch.arange(count), start])
        best.look((torch.arange(count) * kinds)[alive], start[alive])
        for low in range(0, len(pool), POOL):
            part = bounds[:, low : low + POOL]
            inside = np.flatnonzero((column >= low) & (column < low + POOL))
            for top in range(0, len(flat), TILE):
                tile = own[top : top + TILE] @ part  # (rows, columns)
                here = inside[(row[inside] >= top) & (row[inside] < top + TILE)]
                tile[torch.from_numpy(row[here] - top), torch.from_numpy(column[here] - low)] = float("inf")
                limit = best.square[torch.arange(top, top + len(tile)) // kinds] / 2.0 - half[top : top + TILE] + slack
                best.consider(tile, limit, top, low, slack)
        return best.result()

    def _twins(self, queries: Indices, pool: Indices, kinds: int) -> tuple[Indices, Indices]:
        """(row, column) of the table of query variants and pool items of one group; variants of a query in a row."""
        order = np.argsort(self._group[pool], kind="stable")
        known, asked = self._group[pool][order], self._group[queries]
        first, last = np.searchsorted(known, asked), np.searchsorted(known, asked, side="right")
        count = last - first
        query = np.repeat(np.arange(len(queries)), count)
        column = order[np.repeat(first, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)]
        row = query[:, None] * kinds + np.arange(kinds)
        return row.ravel(), np.repeat(column, kinds)


class _Best:
    """The nearest pool item of each query so far, by real distances."""

    def __init__(self, count: int, kinds: int, flat: Tensor, rows: Tensor, pool: Indices) -> None:
        self.kinds = kinds
        self.square = torch.full((count,), float("inf"))
        self.item = torch.full((count,), -1, dtype=torch.int64)
        self._flat, self._rows, self._pool = flat, rows, torch.from_numpy(pool)
        self._chunk: tuple[int, Tensor, Tensor] = (-1, rows[:0], rows[:0])  # the pool's rows that were last multiplied

    def consider(self, tile: Tensor, limit: Tensor, top: int, low: int, slack: float) -> None:
        """Look at what is under its row's limit in a tile of bounds, rows from `top` and pool places from `low`."""
        rows = torch.nonzero(tile.amin(dim=1) < limit)[:, 0]
        if not len(rows):
            return
        under = tile[rows] < limit[rows][:, None]
        many = under.sum(dim=1) * MANY > tile.shape[1]
        if many.any():  # a loose bound, as sharpened images have: all distances by one product are cheaper than pairs
            under[many] &= self._near(rows[many] + top, low, tile.shape[1], slack)
        found = torch.nonzero(under)
        self.look(rows[found[:, 0]] + top, found[:, 1] + low)

    def _near(self, rows: Tensor, low: int, count: int, slack: float) -> Tensor:
        """Which of `count` pool places from `low` may be nearer to these rows than the best so far, (rows, count)."""
        if self._chunk[0] != low:
            part = self._rows[self._pool[low : low + count]]
            self._chunk = (low, part, part.square().sum(dim=1) / 2.0)
        _, part, half = self._chunk
        flat = self._flat[rows]
        table = half - flat @ part.T
        limit = self.square[rows // self.kinds] / 2.0 - flat.square().sum(dim=1) / 2.0
        return table < limit[:, None] + slack

    def look(self, rows: Tensor, columns: Tensor) -> None:
        """Real squared distances of pairs (row of flat, place in the pool); the best of each query is kept."""
        for row, column in zip(torch.split(rows, 4096), torch.split(columns, 4096), strict=True):
            real = self._pool[column]
            square = (self._flat[row] - self._rows[real]).square().sum(dim=1)
            query = row // self.kinds
            least = self.square.scatter_reduce(0, query, square, "amin")
            better = (square == least[query]) & (square < self.square[query])
            self.item[query[better]] = real[better]
            self.square = least

    def result(self) -> tuple[Indices, Array]:
        return self.item.numpy().astype(np.intp), self.square.double().sqrt().numpy()


def basis(rows: Tensor, size: int) -> Tensor:
    """(d, size) orthonormal columns that hold most of the variance of rows (n, d), by power iteration.

    Any orthonormal columns give a valid bound; these give a tight one.
    """
    few = rows[:: max(len(rows) // 2000, 1)]
    few = few - few.mean(dim=0)
    span = torch.empty(rows.shape[1], size).normal_(generator=generator("basis", rows.shape[1]))
    for _ in range(4):
        span = torch.linalg.qr(few.T @ (few @ span))[0]
    return span


def _chunks(indices: Indices) -> list[Indices]:
    return [indices[i : i + 8192] for i in range(0, len(indices), 8192)]
