"""Texts: the longest verbatim match of each with others, by a suffix array; short records: the fewest edits between.

A suffix array lists all suffixes of all texts in order, so the longest match of a suffix is with one of its two nearest
neighbours in that order. Texts are joined by a byte that UTF-8 never holds, so no match crosses from text to text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.memorization.statistics import Array, Distance, Indices

SEPARATOR = b"\xff"
CELLS = 8_000_000  # pairs of records that are compared at once
Numbers = NDArray[np.int32]


class PassageDistance(Distance):
    """1 / the length in bytes of the longest passage of a text that stands word for word in another."""

    name = "longest verbatim passage"

    def __init__(self, texts: Sequence[str], groups: NDArray[Any]) -> None:
        """groups: (n,) of any integers, negative ones included."""
        from pydivsufsort import divsufsort, kasai

        encoded = [t.encode("utf-8", "surrogatepass") for t in texts]
        sizes = np.array([len(e) for e in encoded], dtype=np.int64)
        joined = np.frombuffer(SEPARATOR.join([*encoded, b""]), dtype=np.uint8).copy()
        self._group = np.unique(groups, return_inverse=True)[1].astype(np.int32)
        if not len(joined):
            self._order = self._gap = self._text = self._left = np.zeros(0, dtype=np.int32)
            return
        self._order = divsufsort(joined)  # positions in the order of their suffixes
        gap = kasai(joined, self._order)  # characters that a suffix shares with the next one
        self._gap = np.concatenate([np.zeros(1, np.int32), gap[:-1]]).astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(sizes + 1)])
        text = np.repeat(np.arange(len(texts), dtype=np.int32), sizes + 1)
        left = (starts[1:][text] - 1 - np.arange(len(joined))).astype(np.int32)
        self._text, self._left = text[self._order], left[self._order]  # of each suffix, in their order

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        item, length = self.longest(queries, pool)
        with np.errstate(divide="ignore"):
            return item, 1.0 / length

    def longest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        """The text of the pool that shares the longest passage with each query, and its length in bytes, both (m,)."""
        n = len(self._group)
        role = np.zeros(n, dtype=np.uint8)
        role[queries] |= 1
        role[pool] |= 2
        kept = np.flatnonzero((role[self._text] > 0) & (self._left > 0))
        roles = role[self._text[kept]]
        if not (roles & 1).any() or not (roles & 2).any():
            return np.full(len(queries), -1, dtype=np.intp), np.zeros(len(queries))
        text = self._text[kept]
        gap = np.minimum.reduceat(self._gap[: kept[-1] + 1], np.concatenate([[0], kept[:-1] + 1]))
        suffixes = _Suffixes(text, self._group[text], (roles & 2) > 0, (roles & 1) > 0)
        asked = np.flatnonzero(suffixes.asked)
        before, where = suffixes.before(gap)
        after, there = suffixes.reversed().before(np.concatenate([gap[:1] * 0, gap[:0:-1]]))
        after, there = after[::-1], there[::-1]
        there = np.where(there >= 0, len(kept) - 1 - there, -1)
        length = np.minimum(np.maximum(before, after), self._left[kept][asked])
        found = np.where(before >= after, where, there)
        return self._per_text(queries, text, asked, length, found)

    def _per_text(
        self, queries: Indices, text: Numbers, asked: Indices, length: Numbers, found: Indices
    ) -> tuple[Indices, Array]:
        """The longest of each text's suffixes. asked, length, found: one for each suffix of a query."""
        best = np.full(len(self._group), -1, dtype=np.int64)
        code = length.astype(np.int64) * len(asked) + np.arange(len(asked))  # length first, then which suffix it is
        np.maximum.at(best, text[asked], code)
        chosen = best[queries]
        suffix, size = chosen % len(asked), chosen // len(asked)
        none = (chosen < 0) | (size <= 0)
        item = text[found[suffix]]
        return np.where(none, -1, item).astype(np.intp), np.where(none, 0, size).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Suffixes:
    """Suffixes in their order (s,): their text, its group, whether it is of the pool and whether its match is asked."""

    text: Numbers
    group: Numbers
    pool: NDArray[np.bool_]
    asked: NDArray[np.bool_]

    def reversed(self) -> _Suffixes:
        return _Suffixes(self.text[::-1], self.group[::-1], self.pool[::-1], self.asked[::-1])

    def before(self, gap: Numbers) -> tuple[Numbers, Indices]:
        """For each suffix asked: the length of its match with the last suffix before it that is of the pool and of
        another group, and which that is (-1: none). gap: (s,) characters shared with the suffix just before."""
        seen = np.cumsum(self.pool, dtype=np.int32) - self.pool  # pool suffixes strictly before
        shared = _running_minimum(gap, seen)  # with the last pool suffix before
        real = np.flatnonzero(self.pool)  # (p,)
        group = self.group[real]
        other = np.ones(len(real), dtype=bool)
        other[1:] = group[1:] != group[:-1]
        run = np.cumsum(other, dtype=np.int32)
        chain = _running_minimum(shared[real], run)  # with the last pool suffix of another group, of pool suffixes
        source = np.flatnonzero(other)[run - 1] - 1  # which of them that is

        place = np.flatnonzero(self.asked)
        last = seen[place] - 1  # (asked,) the last pool suffix before, -1: none
        same = (last >= 0) & (group[last] == self.group[place])
        length = np.where(same, np.minimum(shared[place], chain[last]), shared[place])
        where = np.where(same, source[last], last)
        none = where < 0
        return np.where(none, 0, length).astype(np.int32), np.where(none, -1, real[where])


def _running_minimum(values: Numbers, segment: Numbers) -> Numbers:
    """The least value so far within each segment; segments are numbered in rising order."""
    far = np.int64(1) << 32
    step = segment.astype(np.int64) * far
    return np.asarray(np.minimum.accumulate(values - step) + step).astype(np.int32)


class EditDistance(Distance):
    """Fewest insertions, deletions and substitutions between two records, by the length of the longer one (0 to 1)."""

    name = "edit distance"

    def __init__(self, records: Sequence[str], groups: NDArray[Any]) -> None:
        self._records, self._group = list(records), np.asarray(groups)

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        real = [self._records[i] for i in pool]
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        size = max(CELLS // max(len(real), 1), 1)
        for start in range(0, len(queries), size):
            rows = slice(start, start + size)
            asked = [self._records[i] for i in queries[rows]]
            table = cdist(asked, real, scorer=Levenshtein.normalized_distance, dtype=np.float32, workers=-1)
            own = self._group[queries[rows]][:, None] == self._group[pool][None]
            table[own] = np.inf
            best = table.argmin(axis=1)
            value = table[np.arange(len(table)), best].astype(np.float64)
            item[rows] = np.where(np.isfinite(value), pool[best], -1)
            distance[rows] = value
        return item, distance
