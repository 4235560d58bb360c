"""The nearest image under small shifts and a mirror, by pixels and in an embedding: exact search in bounded memory.

Rows are projected onto few orthonormal directions; the norm of the residual is added as one more value. Distances between
projections are lower bounds of the exact ones, and tight: an item whose bound is above the best exact distance so far needs
no exact distance.

Legend for shapes: n items, q queries, v variants of a query, d values of an item, b bounding values, p pool.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from anew.core.arrays import Integers, Numbers
from anew.core.random import generator
from anew.evaluation.memorization.copying_test import Array, Distance, Indices

SIDE = 32  # pixels; larger images are shrunk to it: a copy is still a copy when both are shrunk
FLAT_DEVIATION = 8.0  # grey levels of 255: images of less contrast are not stretched to full contrast
VALUES_PER_BOUND, LEAST_BOUNDS, MOST_BOUNDS = 6, 64, 256  # projected values: a sixth of an item's, within these limits
QUERIES, TILE, POOL = 256, 256, 2048  # rows and columns of the search: a tile of bounds stays in a processor's cache
FILTERS, WINDOW, CELLS = 32, 5, 4  # of the embedding: as few as still tell copies after noise and compression
CHUNK = 512  # images at once: bounds memory
LOOSE_SHARE = 32  # rows in which more than one item in 32 is a candidate get all exact distances by one product
PAIRS_AT_ONCE, ROWS_AT_ONCE = 512, 8192  # exact distances and projections at once: bound memory; pairs stay in a cache


class PixelDistance(Distance):
    """Euclidean distance of images with brightness and contrast taken out, the least over shifts by a pixel and a
    mirror of the query; the root mean square of the difference, where 1 is a standard deviation of the image."""

    name = "pixels"

    def __init__(self, images: Sequence[Numbers], groups: Integers, shift: int = 1, mirror: bool = True) -> None:
        """images: (H, W) or (H, W, C) uint8 of one shape; groups: (n,) of any integers."""
        self._images = standardise(images)  # (n, C, h, w)
        self._shift, self._mirror = shift, mirror
        self._search = Search(self._images.flatten(1), np.asarray(groups))

    def with_groups(self, groups: Integers) -> PixelDistance:
        regrouped = copy.copy(self)
        regrouped._search = self._search.with_groups(groups)
        return regrouped

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        def variants(rows: Indices) -> Tensor:
            return shift_variants(self._images[torch.from_numpy(rows)], self._shift, self._mirror).flatten(2)

        item, distance = self._search.nearest(queries, pool, variants)
        return item, distance / np.sqrt(self._images[0].numel())


class ClipDistance(Distance):
    """Distance of clips: the least of `PixelDistance` between a frame of one and a frame of the other."""

    name = "frames"

    def __init__(self, clips: Sequence[Numbers], groups: Integers, frames: int = 3) -> None:
        """clips: (T, H, W) or (T, H, W, C) uint8 of any length; frames: of each that are compared, evenly spread."""
        self._frames = frames
        spread = [clip[np.linspace(0, len(clip) - 1, frames).round().astype(int)] for clip in clips]
        self._inner = PixelDistance(np.concatenate(spread), np.repeat(np.asarray(groups), frames))  # type: ignore[arg-type]

    def with_groups(self, groups: Integers) -> ClipDistance:
        regrouped = copy.copy(self)
        regrouped._inner = self._inner.with_groups(np.repeat(np.asarray(groups), self._frames))
        return regrouped

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        frame = np.arange(self._frames)
        query_frames, pool_frames = ((rows[:, None] * self._frames + frame).ravel() for rows in (queries, pool))
        item, distance = self._inner.nearest(query_frames, pool_frames)
        distance = distance.reshape(len(queries), -1)
        rows, best = np.arange(len(queries)), distance.argmin(axis=1)
        item = item.reshape(len(queries), -1)[rows, best]
        return np.asarray(np.where(item < 0, -1, item // self._frames)), np.asarray(distance[rows, best])


class EmbeddingDistance(Distance):
    """Euclidean distance of random convolutional features averaged over a coarse grid of cells, the less of the query's
    and its mirror image's: small shifts, noise and compression change it little."""

    name = "embedding"

    def __init__(self, images: Sequence[Numbers], groups: Integers, mirror: bool = True) -> None:
        self._features = features(standardise(images), mirror)  # (n, v, d)
        self._search = Search(self._features[:, 0], np.asarray(groups))

    def with_groups(self, groups: Integers) -> EmbeddingDistance:
        regrouped = copy.copy(self)
        regrouped._search = self._search.with_groups(groups)
        return regrouped

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        return self._search.nearest(queries, pool, lambda rows: self._features[torch.from_numpy(rows)])


def standardise(images: Sequence[Numbers]) -> Tensor:
    """uint8 images to (n, C, h, w) float32, at most SIDE a side, each of mean 0 and of deviation 1 (flat ones less)."""
    parts = []
    for start in range(0, len(images), CHUNK):
        x = torch.from_numpy(np.stack([np.asarray(i) for i in images[start : start + CHUNK]])).float()
        x = x[:, None] if x.dim() == 3 else x.permute(0, 3, 1, 2)  # (n, C, H, W)
        size = (min(x.shape[2], SIDE), min(x.shape[3], SIDE))
        if size != tuple(x.shape[2:]):
            x = functional.adaptive_avg_pool2d(x, size)
        x = x - x.mean(dim=(1, 2, 3), keepdim=True)
        deviation = x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        parts.append((x / (deviation.square() + FLAT_DEVIATION**2).sqrt()).contiguous())
    return torch.cat(parts)


def shift_variants(x: Tensor, shift: int, mirror: bool) -> Tensor:
    """All shifts of x (q, C, h, w) by up to `shift` pixels each way, edges repeated, and their mirrors (q, v, C, h, w)."""
    height, width = x.shape[2:]
    wide = functional.pad(x, (shift,) * 4, mode="replicate")
    span = range(2 * shift + 1)
    views = [wide[:, :, down : down + height, right : right + width] for down in span for right in span]
    views += [v.flip(3) for v in views] if mirror else []
    return torch.stack(views, dim=1)


@torch.no_grad()
def features(x: Tensor, mirror: bool = True) -> Tensor:
    """Random convolution, ReLU, average pooling to a grid of cells.

    Random convolutional features judge likeness much as trained ones do (arXiv 2208.09218). One level is enough to tell
    copies, and sixty thousand images take seconds.

    Args:
        x: (n, C, h, w) standardised images.
        mirror: Whether to add the features of the mirror image.

    Returns:
        (n, v, d), v = 2 with the mirror image, else 1.
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

    def __init__(self, rows: Tensor, groups: Integers) -> None:
        """rows: (n, d) float32; rows of one group are never each other's nearest."""
        self._rows = rows
        self._group = np.unique(groups, return_inverse=True)[1]
        size = int(np.clip(rows.shape[1] // VALUES_PER_BOUND, LEAST_BOUNDS, MOST_BOUNDS))
        self._basis = basis(rows, min(size, rows.shape[1] - 1))  # (d, b - 1)

    def with_groups(self, groups: Integers) -> Search:
        """The search over the same rows in other groups. groups: (n,) of any integers."""
        regrouped = copy.copy(self)
        regrouped._group = np.unique(groups, return_inverse=True)[1]
        return regrouped

    def nearest(self, queries: Indices, pool: Indices, variants: Callable[[Indices], Tensor]) -> tuple[Indices, Array]:
        """The nearest row of the pool to each query, and its distance, both (q,).

        Args:
            queries: (q,) indices of rows.
            pool: (p,) indices of rows.
            variants: Gives the variants (q, v, d) of queries by their indices.
        """
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        if not len(pool):
            return item, distance
        bounds = self._pool(pool)
        for start in range(0, len(queries), QUERIES):
            rows = slice(start, start + QUERIES)
            item[rows], distance[rows] = self._block(queries[rows], pool, bounds, variants(queries[rows]))
        return item, distance

    def bounds(self, x: Tensor) -> Tensor:
        """Project x (n, d) to (n, b); distances there are at most those of x."""
        projected = x @ self._basis
        square = torch.linalg.vector_norm(x, dim=1).square()
        residual = (square - projected.square().sum(dim=1)).clamp_min(0.0).sqrt()
        return torch.cat([projected, residual[:, None]], dim=1)

    def _pool(self, pool: Indices) -> Tensor:
        """(b + 1, p): with a query's bounding values and a last 1 it multiplies to half the squared bound, less the
        query's own half square."""
        bounds = torch.cat([self.bounds(self._rows[torch.from_numpy(part)]) for part in _chunks(pool)])
        return torch.cat([-bounds, bounds.square().sum(dim=1, keepdim=True) / 2.0], dim=1).T.contiguous()

    def _block(self, queries: Indices, pool: Indices, bounds: Tensor, views: Tensor) -> tuple[Indices, Array]:
        """The nearest of some queries. bounds: (b + 1, p) of `_pool`; views: (q, v, d)."""
        n_queries, n_variants = views.shape[:2]
        flat = views.reshape(n_queries * n_variants, -1)  # (q v, d)
        query_bounds = self.bounds(flat)
        half_square = query_bounds.square().sum(dim=1) / 2.0
        query_bounds = torch.cat([query_bounds, torch.ones(len(flat), 1)], dim=1)  # (q v, b + 1)
        # The bound is a difference of large float32 numbers; the slack allows for its rounding.
        slack = 1e-5 * (float(half_square.max()) + float(bounds[-1].max()))
        excluded = self._same_group(queries, pool, n_variants)
        best = _Best(n_queries, n_variants, flat, self._rows, pool)
        self._first_guess(best, query_bounds.view(n_queries, n_variants, -1)[:, 0] @ bounds, excluded)
        for pool_start in range(0, len(pool), POOL):
            pool_bounds = bounds[:, pool_start : pool_start + POOL]
            for row_start in range(0, len(flat), TILE):
                # (rows, columns) half squared bounds, less half_square.
                tile = query_bounds[row_start : row_start + TILE] @ pool_bounds
                excluded.mask(tile, row_start, pool_start)
                best.refine(tile, half_square[row_start : row_start + TILE] - slack, row_start, pool_start, slack)
        return best.result()

    @staticmethod
    def _first_guess(best: _Best, by_bound: Tensor, excluded: _SameGroup) -> None:
        """Start from the nearest by the bound alone, for the first variant of each query. by_bound: (q, p)."""
        first = excluded.rows % best.n_variants == 0
        by_bound[excluded.rows[first] // best.n_variants, excluded.columns[first]] = float("inf")
        guess = by_bound.argmin(dim=1)
        query = torch.arange(len(by_bound))
        exists = torch.isfinite(by_bound[query, guess])
        best.compare(query[exists] * best.n_variants, guess[exists])

    def _same_group(self, queries: Indices, pool: Indices, n_variants: int) -> _SameGroup:
        """Pairs of a query variant and a pool item that are of one group."""
        order = np.argsort(self._group[pool], kind="stable")
        pool_groups, query_groups = self._group[pool][order], self._group[queries]
        first = np.searchsorted(pool_groups, query_groups)
        count = np.searchsorted(pool_groups, query_groups, side="right") - first  # of each query
        query = np.repeat(np.arange(len(queries)), count)
        rank_in_group = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        column = order[np.repeat(first, count) + rank_in_group]
        rows = query[:, None] * n_variants + np.arange(n_variants)
        return _SameGroup(torch.from_numpy(rows.ravel()), torch.from_numpy(np.repeat(column, n_variants)))


@dataclass(frozen=True, slots=True)
class _SameGroup:
    """Pairs (row of query variants, pool place) that are never each other's nearest."""

    rows: Tensor
    columns: Tensor

    def mask(self, tile: Tensor, row_start: int, column_start: int) -> None:
        """Set these pairs to infinity in a tile that begins at this row and column of the whole table."""
        row, column = self.rows - row_start, self.columns - column_start
        inside = (row >= 0) & (row < tile.shape[0]) & (column >= 0) & (column < tile.shape[1])
        tile[row[inside], column[inside]] = float("inf")


class _Best:
    """The nearest pool item of each query so far, by real distances."""

    def __init__(self, n_queries: int, n_variants: int, flat: Tensor, rows: Tensor, pool: Indices) -> None:
        """flat: (q v, d) variants of queries; rows: (n, d) of all items; pool: (p,) indices into them."""
        self.n_variants = n_variants
        self.square = torch.full((n_queries,), float("inf"))
        self.item = torch.full((n_queries,), -1, dtype=torch.int64)
        self._flat, self._rows, self._pool = flat, rows, torch.from_numpy(pool)
        self._chunk: tuple[int, Tensor, Tensor] = (-1, rows[:0], rows[:0])  # the pool's rows that were last multiplied

    def refine(self, tile: Tensor, offset: Tensor, row_start: int, pool_start: int, slack: float) -> None:
        """Compare the candidates of a tile: what is under its row's upper bound may be nearer than the best so far.

        Args:
            tile: (rows, columns) half squared bounds of row variants and pool places, less `offset` and slack.
            offset: (rows,) what is to be added, less slack.
            row_start, pool_start: Where the tile begins in the whole table.
            slack: Of rounding, for exact distances by one product.
        """
        rows = self._rows_under(tile.amin(dim=1), torch.arange(len(tile)), offset, row_start)
        if not len(rows):
            return
        # The nearest by the bound first: it lowers what the others must be under.
        self.compare(rows + row_start, tile[rows].argmin(dim=1) + pool_start)
        rows = self._rows_under(tile.amin(dim=1)[rows], rows, offset, row_start)
        candidates = tile[rows] < self._upper_bound(rows, offset, row_start)[:, None]
        is_loose = candidates.sum(dim=1) * LOOSE_SHARE > tile.shape[1]
        if is_loose.any():  # as for sharpened images: all distances by one product are cheaper than pairs
            candidates[is_loose] &= self._may_be_nearer(rows[is_loose] + row_start, pool_start, tile.shape[1], slack)
        row, column = torch.nonzero(candidates).T
        self.compare(rows[row] + row_start, column + pool_start)

    def _upper_bound(self, rows: Tensor, offset: Tensor, row_start: int) -> Tensor:
        """Half squared bounds of a tile's rows, less offset and slack, from which on nothing is nearer than the best so far."""
        return self.square[(rows + row_start) // self.n_variants] / 2.0 - offset[rows]

    def _rows_under(self, least: Tensor, rows: Tensor, offset: Tensor, row_start: int) -> Tensor:
        """Those of a tile's rows whose least bound is under their upper bound."""
        return rows[least < self._upper_bound(rows, offset, row_start)]

    def _may_be_nearer(self, rows: Tensor, pool_start: int, count: int, slack: float) -> Tensor:
        """Those of `count` pool places from `pool_start` that may be nearer to these rows than the best so far, (rows, count)."""
        if self._chunk[0] != pool_start:
            part = self._rows[self._pool[pool_start : pool_start + count]]
            self._chunk = (pool_start, part, part.square().sum(dim=1) / 2.0)
        _, part, half_square = self._chunk
        flat = self._flat[rows]
        distance = half_square - flat @ part.T  # half squared, less the row's own half square
        upper_bound = self.square[rows // self.n_variants] / 2.0 - flat.square().sum(dim=1) / 2.0
        return distance < upper_bound[:, None] + slack

    def compare(self, rows: Tensor, columns: Tensor) -> None:
        """Real squared distances of pairs (row of flat, place in the pool); the best of each query is kept."""
        for row, column in zip(torch.split(rows, PAIRS_AT_ONCE), torch.split(columns, PAIRS_AT_ONCE), strict=True):
            real = self._pool[column]
            square = torch.linalg.vector_norm(self._flat[row].sub_(self._rows[real]), dim=1).square()
            query = row // self.n_variants
            nearest_square = self.square.scatter_reduce(0, query, square, "amin")
            better = (square == nearest_square[query]) & (square < self.square[query])
            self.item[query[better]] = real[better]
            self.square = nearest_square

    def result(self) -> tuple[Indices, Array]:
        return self.item.numpy().astype(np.intp), self.square.double().sqrt().numpy()


def basis(rows: Tensor, size: int) -> Tensor:
    """(d, size) orthonormal columns that hold most of the variance of rows (n, d), by power iteration.

    Any orthonormal columns give a valid bound; these give a tight one.
    """
    sampled = rows[:: max(len(rows) // 2000, 1)]
    sampled = sampled - sampled.mean(dim=0)
    span = torch.empty(rows.shape[1], size).normal_(generator=generator("basis", rows.shape[1]))
    for _ in range(4):
        span = torch.linalg.qr(sampled.T @ (sampled @ span))[0]
    return span


def _chunks(indices: Indices) -> list[Indices]:
    return [indices[i : i + ROWS_AT_ONCE] for i in range(0, len(indices), ROWS_AT_ONCE)]


def nearest_pixels(images: Numbers, training: Numbers) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Index of the nearest training image of each image and the root mean squared difference of their values, both (n,).

    images (n, ...), training (m, ...): uint8 of the same shape.
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
