"""A distance that remembers its results: a memorization test searches for the same items several times, in parts of one pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers
from anew.core.processes.shared_work import SharedWork
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.evaluation.memorization.item_groups import are_alone, group_numbers

SearchProgress: TypeAlias = Callable[[str, int, int], None]  # what is searched, queries that are found, all queries


def no_progress(task: str, count: int, total: int) -> None:
    """A SearchProgress that nobody sees."""


class CachedDistance(Distance):
    """A distance that remembers the nearest item in a pool, which is also the nearest in every part of the pool that holds it.

    The pools given to `nearest` are parts of that pool. With other groups, items that are alone in their group in both cases
    are looked up in the first distance, since they are compared with all others either way.
    """

    def __init__(
        self,
        inner: Distance,
        groups: Integers,
        pool: Indices,
        *,
        first: CachedDistance | None = None,
        progress: SearchProgress = no_progress,
        work: SharedWork | None = None,
        contents: Callable[[], bytes] = bytes,
    ) -> None:
        """
        Args:
            inner: The distance of the items.
            groups: The group of each item.
            pool: Sorted indices of the items that others are compared with.
            first: The same distance with other groups.
            progress: Called before each search and, in one of many queries, whenever some of them are found.
            work: Shares the queries of a search among processes.
            contents: A digest of all items, by which processes notice that theirs are not the same.
        """
        self.name, self.resolution, self.at_once = inner.name, inner.resolution, inner.at_once
        self.scale = inner.scale
        self._progress, self._work = progress, SharedWork() if work is None else work
        self._inner, self._pool, self._first, self._contents = inner, pool, first, contents
        # Queries of which the nearest item is known, rising: few of the items are ever asked for
        self._known = np.zeros(0, dtype=np.intp)
        self._item, self._distance = np.zeros(0, dtype=np.intp), np.zeros(0)
        self._num_items = len(groups)
        self._is_alone = are_alone(group_numbers(groups))
        self._has_ended = False

    def limit_of(self, real: Array) -> float:
        return self._inner.limit_of(real)

    def with_groups(self, groups: Integers) -> Self:
        inner = self._inner.with_groups(groups)
        return type(self)(
            inner,
            groups,
            self._pool,
            first=self,
            progress=self._progress,
            work=self._work,
            contents=self._contents,
        )

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        if self._first is None:
            return self._own_nearest(queries, pool)
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        is_shared = self._is_alone[queries] & self._first._is_alone[queries]
        for rows, nearest in ((is_shared, self._first.nearest), (~is_shared, self._own_nearest)):
            if rows.any():
                item[rows], distance[rows] = nearest(queries[rows], pool)
        return item, distance

    def _own_nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        unknown = np.setdiff1d(queries, self._known)
        if len(unknown):  # search the whole pool: most parts hold the result, which then serves all of them
            self._search_pool(unknown)
        row = np.searchsorted(self._known, queries)
        item, distance = self._item[row], self._distance[row]
        in_pool = np.zeros(self._num_items + 1, dtype=bool)
        # The last one: without a neighbour in the whole pool there is none in a part
        in_pool[pool] = in_pool[-1] = True
        elsewhere = np.flatnonzero(~in_pool[item])
        if len(elsewhere):
            item[elsewhere], distance[elsewhere] = self._searched(queries[elsewhere], pool, lambda count: None)
        return item, distance

    def _search_pool(self, queries: Indices) -> None:
        """Find the nearest items of queries that are not known yet, in rising order."""
        has_samples = queries[-1] >= len(self._pool)
        task = "finding the nearest real items" if has_samples else "comparing real items with each other"
        self._progress(task, 0, len(queries))

        num_found = 0

        def advance(count: int) -> None:
            nonlocal num_found
            if 0 < self.at_once < len(queries):
                num_found = min(count * self.at_once, len(queries))
                self._progress(task, num_found, len(queries))

        def tell(share: float) -> None:
            num_queries = min(self.at_once, len(queries) - num_found)
            self._progress(task, max(num_found + int(share * num_queries), 1), len(queries))

        self._inner.tell = tell
        try:
            item, distance = self._searched(queries, self._pool, advance)
        finally:
            # It refers to this distance, which would then live until Python looks for cycles, with a gigabyte of records
            del self._inner.tell
        known = np.concatenate([self._known, queries])
        order = np.argsort(known)
        self._known = known[order]
        self._item = np.concatenate([self._item, item])[order]
        self._distance = np.concatenate([self._distance, distance])[order]

    def _searched(self, queries: Indices, pool: Indices, advance: Callable[[int], None]) -> tuple[Indices, Array]:
        """The nearest items of queries, of which there are some. advance: see `SharedWork.map`.

        Raises:
            RuntimeError: The search has ended.
        """
        if self._has_ended:
            raise RuntimeError("the search has ended; only the nearest items of earlier queries are known")
        size = self.at_once or len(queries)
        blocks = [queries[start : start + size] for start in range(0, len(queries), size)]
        results = self._work.map(
            lambda rows: self._inner.nearest(rows, pool),
            blocks,
            lambda: (self._contents(), queries.tobytes(), pool.tobytes()),
            advance,
        )
        item, distance = zip(*results, strict=True)
        return np.concatenate(item), np.concatenate(distance)

    def end_search(self) -> None:
        """Let go of what searches hold. The nearest items of earlier queries stay known."""
        self._inner.end_search()
        self._has_ended = True

    def within(self, queries: Indices, pool: Indices, without: Indices) -> Array:
        return self._inner.within(queries, pool, without)

    def are_same(self, queries: Indices, items: Indices) -> NDArray[np.bool_]:
        return self._inner.are_same(queries, items)
