"""Exact search, in bounded memory, for the row nearest to a query that has several variants (shifted, mirrored).

Two lower bounds of a distance save most exact distances. Rows are projected onto orthonormal directions, and the norm of the
residual is added as one more value; distances between such projections are never larger than those of the rows. The *core* is
a projection that is cheap for all variants of a query (`Variants`). The *bounds* are the core projected onto fewer directions,
those of most variance. All pairs are compared by bounds, in matrix products. Pairs that may be nearer than the best so far
are compared by cores, and those that still may be are compared by rows. Speckled queries are about as far from everything, so
many of their pairs are left: their rows are first compared in matrix products, which are not exact, and then only the nearest
of these exactly.

Legend for shapes: n items, q queries, v variants of a query, d values of an item, c of its core, b bounding values, p pool,
k pairs.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from anew.core.arrays import Integers
from anew.core.machine.threads import available_threads, map_in_threads, one_thread
from anew.core.random import generator
from anew.evaluation.memorization.copying_test import Array, Indices

R = TypeVar("R")

# Number of bounds: a sixth of an item's values, within these limits
VALUES_PER_BOUND, MIN_BOUNDS, MAX_BOUNDS = 6, 64, 256
QUERIES, TILE, POOL = 256, 256, 2048  # rows and columns that are searched at once: a tile of bounds stays in a cache
# Queries and items that a thread compares without a look at the clock: about half a second of images with 18 variants; chosen
PAIRS_IN_PART = 4_000_000
LOOSE_SHARE = 32  # if more than one item in 32 is a candidate of a row, all cores are compared in one product
# Pairs that are compared, and rows that are projected, at once: bounds memory, and keeps pairs in a cache.
PAIRS_AT_ONCE, ROWS_AT_ONCE = 512, 8192
MANY_PAIRS = 128  # pairs of a query from which on products of rows are faster; measured: 60 to 200 take the same time
SAMPLED = 2_000  # rows to which the directions of a basis are fitted: more hardly change them


def _in_threads(search: Callable[[slice], R], num_queries: int, num_items: int) -> list[tuple[slice, R]]:
    """The results of a search for parts of the queries. Each part takes one thread, since many small products follow each other, and
    threads that share one wait for each other at each of them (docs/log.md, 2026-12-01)."""
    threads = available_threads()
    size = max(min(PAIRS_IN_PART // num_items, -(-min(num_queries, QUERIES) // threads)), 1)
    parts = [slice(start, start + size) for start in range(0, num_queries, size)]
    with one_thread():
        return list(zip(parts, map_in_threads(search, parts, min(threads, len(parts))), strict=True))


class Variants(ABC):
    """The variants of some queries.

    Attributes:
        count: Number of variants of each query, v.
        plain: Index of the variant that is the item itself.
    """

    count: int
    plain: int = 0

    @abstractmethod
    def core(self) -> Tensor:
        """(q, v, c) projections of all variants, onto the directions of the rows' cores."""

    @abstractmethod
    def squares(self) -> Tensor:
        """(q, v) squared norms of all variants."""

    @abstractmethod
    def take(self, query: Tensor, variant: Tensor) -> Tensor:
        """These variants of these queries as a new tensor (k, d). query, variant: (k,) indices."""


class GivenVariants(Variants):
    """Variants given as a tensor; they are their own cores."""

    def __init__(self, views: Tensor) -> None:
        """views: (q, v, d)."""
        self._views, self.count = views, views.shape[1]

    def core(self) -> Tensor:
        return self._views

    def squares(self) -> Tensor:
        return self._views.square().sum(dim=2)

    def take(self, query: Tensor, variant: Tensor) -> Tensor:
        return self._views[query, variant]


@dataclass(frozen=True, slots=True)
class _SearchedRows:
    """The rows that are searched.

    Attributes:
        values: (n, d) the rows.
        squares: (n,) their squared norms.
        core: (n, c) their cores, with the norm of the residual as a last value if `is_exact` is false.
        is_exact: Whether the cores are the rows themselves, so that their distances are exact.
    """

    values: Tensor
    squares: Tensor
    core: Tensor
    is_exact: bool


class Search:
    """Search for nearest rows by Euclidean distance; the smallest distance of a query's variants counts."""

    def __init__(self, rows: Tensor, groups: Integers, core: Tensor | None = None) -> None:
        """
        Args:
            rows: (n, d) float32.
            groups: (n,) of any integers; rows of one group are never each other's nearest.
            core: (n, c) projections of the rows onto orthonormal directions; None: the rows themselves.
        """
        parts = [slice(i, i + ROWS_AT_ONCE) for i in range(0, len(rows), ROWS_AT_ONCE)]
        squares = torch.cat([rows[part].square().sum(dim=1) for part in parts])
        self._group = np.unique(groups, return_inverse=True)[1]
        core = rows if core is None else core
        self._basis = basis(core, min(num_bounds(rows.shape[1]), core.shape[1] - 1))  # (c, b - 1)
        is_exact = core.shape[1] >= rows.shape[1]
        self._rows = _SearchedRows(rows, squares, core if is_exact else with_residual(core, squares), is_exact)
        self._bounds = torch.cat([with_residual(core[part] @ self._basis, squares[part]) for part in parts])  # (n, b)

    def with_groups(self, groups: Integers) -> Search:
        """A search over the same rows with other groups (n,), any integers."""
        regrouped = copy.copy(self)
        regrouped._group = np.unique(groups, return_inverse=True)[1]
        return regrouped

    @property
    def bounds(self) -> Tensor:
        """(n, b) projections of the rows; distances between them are at most those of the rows."""
        return self._bounds

    def nearest(
        self,
        queries: Indices,
        pool: Indices,
        variants: Callable[[Indices], Variants],
        farthest: Array | None = None,
    ) -> tuple[Indices, Array]:
        """The nearest row of the pool to each query, and its distance, both (q,).

        Args:
            queries: (q,) indices of rows.
            pool: (p,) indices of rows.
            variants: Returns the variants of queries, given their indices.
            farthest: (q,) distances beyond which no row need be found; None: any row is looked for.
        """
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        if not len(pool):
            return item, distance
        pool = pool.astype(np.intp, copy=False)  # PyTorch takes no others as indices everywhere
        bounds = self._bounds[torch.from_numpy(pool)]
        # The product with a query's bounding values and a last 1 is half the squared bound, less half the query's square.
        table = torch.cat([-bounds, bounds.square().sum(dim=1, keepdim=True) / 2.0], dim=1).T.contiguous()  # (b + 1, p)

        def search(rows: slice) -> tuple[Indices, Array]:
            most = np.full(len(queries[rows]), np.inf) if farthest is None else farthest[rows]
            return self._block(queries[rows], pool, table, variants(queries[rows]), most)

        for rows, nearest in _in_threads(search, len(queries), len(pool)):
            item[rows], distance[rows] = nearest
        return item, distance

    def within(self, queries: Indices, pool: Indices, without: Indices) -> Array:
        """The distance (q,) of each query, without variants, to the item of the pool that is nearest by the bounds.

        Items of the query's group and of the group of `without`, (q,), do not count. The distance is inf if none is left.
        """
        distance, pool = np.full(len(queries), np.inf), pool.astype(np.intp, copy=False)
        bounds = self._bounds[torch.from_numpy(pool)]
        half_squares = bounds.square().sum(dim=1) / 2.0

        def bound(block: slice) -> Array:
            rows = torch.from_numpy(queries[block])
            # Half squared, less a constant a row
            table = half_squares - self._bounds[rows] @ bounds.T
            for others in (queries, without):
                self._same_group(others[block], pool, 1).mask(table, 0, 0)
            column = table.argmin(dim=1)
            exists = torch.isfinite(table[torch.arange(len(rows)), column])
            difference = self._rows.values[rows] - self._rows.values[torch.from_numpy(pool)[column]]
            block_distance = torch.linalg.vector_norm(difference, dim=1).double()
            return np.asarray(torch.where(exists, block_distance, float("inf")).numpy())

        for block, bounded in _in_threads(bound, len(queries), len(pool)) if len(pool) else ():
            distance[block] = bounded
        return distance

    def _block(
        self, queries: Indices, pool: Indices, table: Tensor, variants: Variants, farthest: Array
    ) -> tuple[Indices, Array]:
        """Search for the nearest rows of some queries; table: (b + 1, p); farthest: see `nearest`."""
        core, squares = variants.core().flatten(0, 1), variants.squares().flatten()
        bounds = with_residual(core @ self._basis, squares)
        half_square = bounds.square().sum(dim=1) / 2.0
        bounds = torch.cat([bounds, torch.ones(len(bounds), 1)], dim=1)  # (q v, b + 1)
        # The bound is a difference of large float32 numbers; the slack allows for its rounding.
        slack = 1e-5 * (float(half_square.max()) + float(table[-1].max()))
        excluded = self._same_group(queries, pool, variants.count)
        core = core if self._rows.is_exact else with_residual(core, squares)
        best = _NearestSoFar(variants, core, self._rows, pool, slack)
        # Slightly enlarged, so that rounding loses neither a row at this distance nor an identical one
        best.square = torch.from_numpy((farthest * (1.0 + 1e-5) + 1e-6) ** 2).float()
        plain = bounds.view(len(queries), variants.count, -1)[:, variants.plain]
        best.guess(plain @ table, excluded)
        for pool_start in range(0, len(pool), POOL):
            pool_bounds = table[:, pool_start : pool_start + POOL]
            for row_start in range(0, len(bounds), TILE):
                # (rows, columns) half squared bounds, less half_square.
                tile = bounds[row_start : row_start + TILE] @ pool_bounds
                excluded.mask(tile, row_start, pool_start)
                best.refine(tile, half_square[row_start : row_start + TILE] - slack, row_start, pool_start)
        return best.result()

    def _same_group(self, queries: Indices, pool: Indices, num_variants: int) -> _SameGroup:
        """The pairs of a query variant and a pool item that are of one group."""
        order = np.argsort(self._group[pool], kind="stable")
        pool_groups, query_groups = self._group[pool][order], self._group[queries]
        first = np.searchsorted(pool_groups, query_groups)
        count = np.searchsorted(pool_groups, query_groups, side="right") - first  # for each query
        query = np.repeat(np.arange(len(queries)), count)
        rank_in_group = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        column = order[np.repeat(first, count) + rank_in_group]
        rows = query[:, None] * num_variants + np.arange(num_variants)
        return _SameGroup(torch.from_numpy(rows.ravel()), torch.from_numpy(np.repeat(column, num_variants)))


@dataclass(frozen=True, slots=True)
class _SameGroup:
    """Pairs (row of query variants, column of the pool) of one group, which are never each other's nearest."""

    rows: Tensor
    columns: Tensor

    def mask(self, tile: Tensor, row_start: int, column_start: int) -> None:
        """Set these pairs to infinity in a tile that begins at this row and column of the whole table."""
        row, column = self.rows - row_start, self.columns - column_start
        inside = (row >= 0) & (row < tile.shape[0]) & (column >= 0) & (column < tile.shape[1])
        tile[row[inside], column[inside]] = float("inf")


class _NearestSoFar:
    """The nearest pool item of each query so far, by distances of rows.

    Args:
        variants: Variants of the queries.
        core: (q v, c) their cores.
        rows: The rows of all items.
        pool: (p,) indices into these.
        slack: Tolerance for the rounding of half squared bounds.
    """

    def __init__(self, variants: Variants, core: Tensor, rows: _SearchedRows, pool: Indices, slack: float) -> None:
        num_queries = len(core) // variants.count
        self.square = torch.full((num_queries,), float("inf"))
        self.item = torch.full((num_queries,), -1, dtype=torch.int64)
        self._variants, self._core, self._rows = variants, core, rows
        self._pool, self._slack = torch.from_numpy(pool), slack
        self._chunk: tuple[int, Tensor, Tensor] = (-1, core[:0], core[:0])  # the pool's cores that were last multiplied

    def guess(self, by_bound: Tensor, excluded: _SameGroup) -> None:
        """Start from the item that is nearest by the bound, of each query without variants. by_bound: (q, p)."""
        count, plain = self._variants.count, self._variants.plain
        first = excluded.rows % count == plain
        by_bound[excluded.rows[first] // count, excluded.columns[first]] = float("inf")
        guess = by_bound.argmin(dim=1)
        query = torch.arange(len(by_bound))
        exists = torch.isfinite(by_bound[query, guess])
        self.compare(query[exists] * count + plain, guess[exists])

    def refine(self, tile: Tensor, offset: Tensor, row_start: int, pool_start: int) -> None:
        """Compare the candidates of a tile: pairs below the upper bound of their row may be nearer than the best so far.

        Args:
            tile: (rows, columns) half squared bounds of query variants and pool items, less `offset` and slack.
            offset: (rows,) what is to be added, less slack.
            row_start, pool_start: Where the tile begins in the whole table.
        """
        rows = self._rows_under(tile.amin(dim=1), torch.arange(len(tile)), offset, row_start)
        if not len(rows):
            return
        # The nearest by the bound first: it lowers the upper bound of the others.
        self.compare(rows + row_start, tile[rows].argmin(dim=1) + pool_start)
        rows = self._rows_under(tile.amin(dim=1)[rows], rows, offset, row_start)
        candidates = tile[rows] < self._upper_bound(rows, offset, row_start)[:, None]
        is_loose = candidates.sum(dim=1) * LOOSE_SHARE > tile.shape[1]
        # Sharpened images have loose bounds: then one product on all cores is cheaper than pairs
        if is_loose.any():
            candidates[is_loose] &= self._may_be_nearer(rows[is_loose] + row_start, pool_start, tile.shape[1])
        row, column = torch.nonzero(candidates).T
        self.compare(rows[row] + row_start, column + pool_start)

    def _upper_bound(self, rows: Tensor, offset: Tensor, row_start: int) -> Tensor:
        """The half squared bound, less offset and slack, from which on no pair of a row is nearer than the best so far."""
        return self.square[(rows + row_start) // self._variants.count] / 2.0 - offset[rows]

    def _rows_under(self, least: Tensor, rows: Tensor, offset: Tensor, row_start: int) -> Tensor:
        """Those rows of a tile whose least bound is below their upper bound."""
        return rows[least < self._upper_bound(rows, offset, row_start)]

    def _may_be_nearer(self, rows: Tensor, pool_start: int, count: int) -> Tensor:
        """Which of `count` pool items from `pool_start` on may be nearer to these rows than the best so far, (rows, count)."""
        if self._chunk[0] != pool_start:
            part = self._rows.core[self._pool[pool_start : pool_start + count]]
            self._chunk = (pool_start, part, part.square().sum(dim=1) / 2.0)
        _, part, half_square = self._chunk
        core = self._core[rows]
        below = half_square - core @ part.T  # half squared, less the row's own half square
        upper_bound = self.square[rows // self._variants.count] / 2.0 - core.square().sum(dim=1) / 2.0
        return below < upper_bound[:, None] + self._slack

    def compare(self, rows: Tensor, columns: Tensor) -> None:
        """Compare pairs (row of query variants, column of the pool) and keep the best of each query."""
        remaining = []
        for row, column in zip(torch.split(rows, PAIRS_AT_ONCE), torch.split(columns, PAIRS_AT_ONCE), strict=True):
            real, query = self._pool[column], row // self._variants.count
            if self._rows.is_exact:
                self._compare_rows(row, real, query)
                continue
            below = (self._core[row] - self._rows.core[real]).square().sum(dim=1) - 2.0 * self._slack
            least = torch.full_like(self.square, float("inf")).scatter_reduce(0, query, below, "amin")
            # The nearest by the core first, for the same reason as in `refine`.
            first = (below == least[query]) & (below < self.square[query])
            self._compare_rows(row[first], real[first], query[first])
            others = ~first & (below < self.square[query])
            remaining.append((row[others], real[others], below[others]))
        if remaining:
            row, real, below = (torch.cat(parts) for parts in zip(*remaining, strict=True))
            self._compare_remaining(row, real, below)

    def _compare_remaining(self, row: Tensor, real: Tensor, below: Tensor) -> None:
        """Compare pairs by their rows; for queries with many pairs, only those that are nearest by a product."""
        query = row // self._variants.count
        may_be_nearer = below < self.square[query]
        row, real, query = row[may_be_nearer], real[may_be_nearer], query[may_be_nearer]
        counts = torch.bincount(query, minlength=len(self.square))
        has_few_pairs = counts[query] < MANY_PAIRS
        parts = [(row[has_few_pairs], real[has_few_pairs])]
        parts += [
            self._nearest_by_product(row[query == q], real[query == q]) for q in torch.nonzero(counts >= MANY_PAIRS)
        ]
        row, real = (torch.cat(part) for part in zip(*parts, strict=True))
        for row_part, real_part in zip(torch.split(row, PAIRS_AT_ONCE), torch.split(real, PAIRS_AT_ONCE), strict=True):
            self._compare_rows(row_part, real_part, row_part // self._variants.count)

    def _nearest_by_product(self, row: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Those pairs of one query that are nearest, up to the rounding of products."""
        rows, items = torch.unique(row), torch.unique(real)
        views = self._variants.take(rows // self._variants.count, rows % self._variants.count)
        square = (
            views.square().sum(dim=1)[:, None] + self._rows.squares[items] - 2.0 * (views @ self._rows.values[items].T)
        )
        place, column = torch.nonzero(square <= square.min() + 2.0 * self._slack).T
        return rows[place], items[column]

    def _compare_rows(self, row: Tensor, real: Tensor, query: Tensor) -> None:
        if not len(row):
            return
        difference = self._variants.take(query, row % self._variants.count).sub_(self._rows.values[real])
        square = torch.linalg.vector_norm(difference, dim=1).square()
        nearest_square = self.square.scatter_reduce(0, query, square, "amin")
        better = (square == nearest_square[query]) & (square < self.square[query])
        self.item[query[better]] = real[better]
        self.square = nearest_square

    def result(self) -> tuple[Indices, Array]:
        distance = torch.where(self.item < 0, torch.inf, self.square.double().sqrt())
        return self.item.numpy().astype(np.intp), distance.numpy()


def num_bounds(values: int) -> int:
    """How many bounds an item of so many values has."""
    return int(np.clip(values // VALUES_PER_BOUND, MIN_BOUNDS, MAX_BOUNDS))


def with_residual(projected: Tensor, squares: Tensor) -> Tensor:
    """Append the norm of the residual to projections (n, k) of rows onto orthonormal directions, (n, k + 1).

    squares: (n,) squared norms of the rows.
    """
    residual = (squares - projected.square().sum(dim=1)).clamp_min(0.0).sqrt()
    return torch.cat([projected, residual[:, None]], dim=1)


def basis(rows: Tensor, size: int) -> Tensor:
    """Orthonormal columns (d, size) that hold most of the variance of rows (n, d), by power iteration.

    Any orthonormal columns give a valid bound; these give a tight one.
    """
    sampled = rows[:: max(-(-len(rows) // SAMPLED), 1)]
    sampled = sampled - sampled.mean(dim=0)
    span = torch.empty(rows.shape[1], size).normal_(generator=generator("basis", rows.shape[1]))
    for _ in range(4):
        span = torch.linalg.qr(sampled.T @ (sampled @ span))[0]
    return span
