"""Exact nearest items in a pool that memory holds only a block at a time, with a block of the queries."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Integers
from anew.core.sequences import places_of, taken
from anew.data.types import ItemT
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.evaluation.memorization.item_groups import group_numbers
from anew.evaluation.memorization.item_type import ItemType

# Memory for what a memorization test computes of real items: with 0.7 GB of a process that has trained, a run without a budget stays under
# 2 GB; chosen
WORKING_BYTES = 1152 * 2**20
# Queries are compared with a block of so many times fewer real items: what is computed of a block is computed again for each part of
# the queries. Chosen
QUERIES_TO_BLOCK = 3
MIN_BLOCK = 500  # real items of a block, however large they are; chosen
# Random items that are in every block, and one of each kind, so that all have the same distances; chosen
NUM_ANCHORS = 100


class BlockwiseDistance(Distance, Generic[ItemT]):
    """One of the distances of a type of items. The values of an item must not depend on other items."""

    def __init__(
        self,
        item_type: ItemType[ItemT],
        number: int,
        items: Sequence[ItemT],
        groups: Integers,
        anchors: Indices,
    ) -> None:
        """
        Args:
            item_type: The type.
            number: Which of its distances this is.
            items: All items, which may be made when they are asked for.
            groups: (n,) of any integers.
            anchors: Some items, that say which distances there are.
        """
        self._item_type, self._number, self._items, self._anchors = item_type, number, items, anchors
        self.set_groups(groups)
        self._places = places_of(items)
        examples = taken(items, anchors)
        own = item_type.distances(examples, np.arange(len(examples)))[number]
        self.name, self.resolution, self.scale = own.name, own.resolution, own.scale
        self._examples, self._limit_of = examples, own.limit_of
        size = float(np.mean([item_type.working_bytes(item) for item in examples]))
        self._block = max(int(WORKING_BYTES / size / (1 + QUERIES_TO_BLOCK)), MIN_BLOCK)
        self.at_once = QUERIES_TO_BLOCK * self._block

    def limit_of(self, real: Array) -> float:
        return self._limit_of(real)

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        in_order = pool[np.argsort(self._places[pool], kind="stable")]  # neighbours in storage are made together
        for first in range(0, len(queries), self.at_once):
            rows = slice(first, first + self.at_once)
            query_items = taken(self._items, queries[rows])
            for start in range(0, len(pool), self._block):
                block = np.sort(in_order[start : start + self._block])
                block_item, block_distance = self._search(query_items, queries[rows], block, distance[rows])
                # Of equally near items the first is taken, as in a search of all at once
                is_nearer = (block_distance < distance[rows]) | (
                    (block_distance == distance[rows]) & (block_item < item[rows])
                )
                item[rows] = np.where(is_nearer, block_item, item[rows])
                distance[rows] = np.where(is_nearer, block_distance, distance[rows])
                self.tell(
                    (first + len(query_items) * min(start / len(pool) + self._block / len(pool), 1.0)) / len(queries)
                )
        return item, distance

    def within(self, queries: Indices, pool: Indices, without: Indices) -> Array:
        distance = np.full(len(queries), np.inf)
        in_order = pool[np.argsort(self._places[pool], kind="stable")]
        at_once = max(self.at_once // 2, 1)  # each query is there twice, once in the group that is left out
        for first in range(0, len(queries), at_once):
            rows = slice(first, first + at_once)
            query_items = taken(self._items, queries[rows])
            places = np.arange(len(query_items))
            for start in range(0, len(pool), self._block):
                block = in_order[start : start + self._block]
                items = [*taken(self._items, block), *query_items, *query_items]
                inner = self._distance_of(items, np.concatenate([block, queries[rows], without[rows]]))
                own, left_out = len(block) + places, len(block) + len(query_items) + places
                distance[rows] = np.minimum(distance[rows], inner.within(own, np.arange(len(block)), left_out))
        return distance

    def _search(
        self, items: Sequence[ItemT], queries: Indices, block: Indices, farthest: Array
    ) -> tuple[Indices, Array]:
        """The nearest items of a block. items: those of the queries; farthest: see `Distance`."""
        inner = self._distance_of([*taken(self._items, block), *items], np.concatenate([block, queries]))
        inner.farthest = farthest
        place, distance = inner.nearest(len(block) + np.arange(len(queries)), np.arange(len(block)))
        return np.where(place < 0, -1, block[place]), distance

    def _distance_of(self, items: Sequence[ItemT], numbers: Indices) -> Distance:
        """The distance of a few items. numbers: theirs among all."""
        groups = np.concatenate([self._group[numbers], self._group[self._anchors]])
        return self._item_type.distances([*items, *self._examples], groups)[self._number]

    def are_same(self, queries: Indices, items: Indices) -> NDArray[np.bool_]:
        parts = [np.zeros(0, dtype=np.bool_)]
        for first in range(0, len(queries), self._block):
            rows = slice(first, first + self._block)
            numbers = np.concatenate([queries[rows], items[rows]])
            inner, count = self._distance_of(taken(self._items, numbers), numbers), len(numbers) // 2
            parts.append(inner.are_same(np.arange(count), count + np.arange(count)))
        return np.concatenate(parts)


def distances_of(item_type: ItemType[ItemT], items: Sequence[ItemT], groups: Integers) -> list[Distance]:
    """The distances of items of a type: block by block where memory does not hold what is computed of all."""
    if not item_type.is_blockwise or not len(items):
        return item_type.distances(items, groups)
    anchors = np.sort(np.random.default_rng(0).permutation(len(items))[:NUM_ANCHORS])
    size = float(np.mean([item_type.working_bytes(item) for item in taken(items, anchors)]))
    if len(items) * size <= WORKING_BYTES:
        return item_type.distances(items, groups)
    anchors = np.union1d(anchors, _first_of_each_kind(item_type, items))
    examples = taken(items, anchors)
    count = len(item_type.distances(examples, np.arange(len(examples))))
    numbers = group_numbers(groups)
    return [BlockwiseDistance(item_type, number, items, numbers, anchors) for number in range(count)]


def _first_of_each_kind(item_type: ItemType[ItemT], items: Sequence[ItemT]) -> Indices:
    """(k,) numbers of the first item of each kind."""
    first: dict[Hashable, int] = {}
    if item_type.kind is not None:
        for number, item in enumerate(items):
            first.setdefault(item_type.kind(item), number)
    return np.array(list(first.values()), dtype=np.intp)
