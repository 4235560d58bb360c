"""Distances of texts by their longest verbatim match, with a suffix array; the nearest training text, for display.

A suffix array lists all suffixes of all texts in order, so the longest match of a suffix is with one of its two nearest
neighbours in that order. Texts are joined by a byte that UTF-8 never holds, so no match crosses from text to text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from anew.core.arrays import Integers
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.evaluation.memorization.item_groups import group_numbers
from anew.functional.text_hashes import CodePoints, Hashes, code_points, window_hashes

MIN_MATCH = 8  # characters of a passage in common that is shown; chosen: more than a common word
SEPARATOR = b"\xff"  # a byte that UTF-8 never holds
SUFFIXES_AT_ONCE = 1_000_000  # suffixes of texts that are searched at once: bounds memory, to some 100 MB
RECORDS_AT_ONCE = 256  # records that are compared before the bound on edits is lowered; chosen
EDIT_WORK = 100_000_000_000  # pairs of characters that a search for the nearest record may compare: seconds on one core
# A passage in common counts from twice the median of those of real passages on, and from a quarter of a passage at the latest. A
# chain of letters that has passages as long as real text has takes them all from its training text (docs/log.md, 2026-11-30).
MIN_OF_MEDIAN, MIN_OF_PASSAGE = 2.0, 0.25
# A run of one character is shortened to eight, since a line of dashes is not a passage; chosen
LONG_RUN = re.compile(r"((.)\2{7})\2+", re.DOTALL)
Numbers = NDArray[np.int32]
Places = NDArray[np.intp]


class PassageDistance(Distance):
    """1 / length in bytes of the longest passage that two texts have word for word in common. Long runs of a character are shortened."""

    name = "longest verbatim passage"

    def __init__(self, texts: Sequence[str], groups: Integers) -> None:
        """groups: (n,) of any integers, negative ones included."""
        from pydivsufsort import divsufsort, kasai

        encoded = [LONG_RUN.sub(r"\1", t).encode("utf-8", "surrogatepass") for t in texts]
        sizes = np.array([len(e) for e in encoded], dtype=np.int64)
        self._median_size = float(np.median(sizes)) if len(sizes) else 0.0
        joined = np.frombuffer(SEPARATOR.join([*encoded, b""]), dtype=np.uint8).copy()
        self._group = group_numbers(groups)
        self._sizes, self._starts = sizes, np.cumsum(sizes + 1) - sizes - 1
        # Positions in the order of their suffixes
        order = divsufsort(joined) if len(joined) else np.zeros(0, dtype=np.int32)
        self._rank = np.empty(len(order), dtype=np.int32)
        self._rank[order] = np.arange(len(order), dtype=np.int32)  # the rank of the suffix at each position
        lcp = np.zeros(len(order) + 1, dtype=np.int32)
        # Characters that a suffix shares with the one before; a last 0
        lcp[1:] = kasai(joined, order) if len(joined) else 0
        lcp[-1] = 0
        text = np.repeat(np.arange(len(texts), dtype=np.int32), sizes + 1)
        text[self._starts + sizes] = -1  # suffixes that begin with a separator
        text = text[order]
        self._sides = _Suffixes(text, lcp), _Suffixes(text[::-1], np.concatenate([lcp[:1], lcp[-2:0:-1], lcp[-1:]]))
        self._pool: tuple[Indices, tuple[_Pool, _Pool]] | None = None  # the largest pool so far

    def limit_of(self, real: Array) -> float:
        if not len(real):
            return np.inf
        length = min(MIN_OF_MEDIAN * float(np.median(1.0 / real)), MIN_OF_PASSAGE * self._median_size)
        return 1.0 / max(length, 1.0)

    def set_groups(self, groups: Integers) -> None:
        self._group, self._pool = group_numbers(groups), None

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        item, length = self.longest(queries, pool)
        with np.errstate(divide="ignore"):
            return item, 1.0 / length

    def longest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        """The text of the pool that shares the longest passage with each query, and its length in bytes, both (m,)."""
        different, where = np.unique(queries, return_inverse=True)
        item, length = np.full(len(different), -1, dtype=np.intp), np.zeros(len(different))
        sides = self._sides_of(pool)
        # Some queries at a time, which bounds memory
        ends = np.searchsorted(
            np.cumsum(self._sizes[different]),
            np.arange(SUFFIXES_AT_ONCE, int(self._sizes[different].sum()) + 1, SUFFIXES_AT_ONCE),
        )
        for part in np.split(np.arange(len(different)), ends):
            if len(part):
                item[part], length[part] = self._longest_of(different[part], sides)
        return item[where], length[where]

    def _sides_of(self, pool: Indices) -> tuple[_Pool, _Pool]:
        """The pool in both orders. The result for the largest pool is cached, since most searches are in it."""
        if self._pool is not None and np.array_equal(self._pool[0], pool):
            return self._pool[1]
        in_pool = np.zeros(len(self._group) + 1, dtype=bool)  # the last one is for separators
        in_pool[pool] = True
        before, after = (side.pool(in_pool, self._group) for side in self._sides)
        if self._pool is None or len(pool) >= len(self._pool[0]):
            self._pool = pool.copy(), (before, after)
        return before, after

    def _longest_of(self, queries: Indices, sides: tuple[_Pool, _Pool]) -> tuple[Indices, Array]:
        """`longest` of different queries. sides: the pool in rising and in falling order of suffixes."""
        sizes = self._sizes[queries]
        query = np.repeat(np.arange(len(queries)), sizes)
        offset = np.arange(len(query)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rank = self._rank[self._starts[queries][query] + offset]
        order = np.argsort(rank)
        rank, query = rank[order], query[order]
        remaining = (sizes[query] - offset[order]).astype(np.int32)  # bytes up to the end of the text
        group = self._group[queries][query]
        length, item = sides[0].match_before(rank, group)
        length_after, after = (
            part[::-1] for part in sides[1].match_before(len(self._rank) - 1 - rank[::-1], group[::-1])
        )
        item = np.where(length >= length_after, item, after)
        length = np.minimum(np.maximum(length, length_after), remaining)
        best = np.zeros(len(queries), dtype=np.int64)
        # Length first, then which suffix
        np.maximum.at(best, query, (length.astype(np.int64) << 32) + np.arange(len(query)))
        size, suffix = best >> 32, best & 0xFFFFFFFF
        return np.where(size > 0, item[suffix] if len(item) else -1, -1).astype(np.intp), size.astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Suffixes:
    """Suffixes in an order (s,): the text of each, -1 for one that begins with a separator, and (s + 1,) characters that it shares
    with the one before, with a last 0."""

    text: Numbers
    shared: Numbers

    def pool(self, in_pool: NDArray[np.bool_], group: Numbers) -> _Pool:
        """The suffixes of the texts of a pool. in_pool, group: of each text; in_pool has a last False."""
        ranks = np.flatnonzero(in_pool[self.text]).astype(np.int32)  # (p,)
        text = self.text[ranks]
        groups = group[text]
        return _Pool(self.shared, ranks, text, groups, np.flatnonzero(groups[1:] != groups[:-1]) + 1)


@dataclass(frozen=True, slots=True)
class _Pool:
    """The suffixes of a pool, in their order (p,).

    Attributes:
        shared: (s + 1,) see `_Suffixes`.
        ranks: Places in the order of all suffixes.
        text, group: The text of each, and its group.
        changes: Places at which the group changes.
    """

    shared: Numbers
    ranks: Numbers
    text: Numbers
    group: Numbers
    changes: Indices

    def match_before(self, rank: Numbers, group: Numbers) -> tuple[Numbers, Numbers]:
        """Match query suffixes (a,) with the last suffix before each that is in the pool and of another group.

        Args:
            rank: Places of the queries in the order of all suffixes, rising.
            group: Their groups.

        Returns:
            The length of each match, and the text that it is in (-1 if there is none), both (a,).
        """
        if not len(self.ranks) or not len(rank):
            return np.zeros(len(rank), dtype=np.int32), np.full(len(rank), -1, dtype=np.int32)
        last = np.searchsorted(self.ranks, rank) - 1  # (a,) the last of the pool before, -1: none
        # The prefix that a suffix shares with the previous query or, if it lies between them, with the last suffix of the pool
        nearer = np.maximum(np.append(-1, rank[:-1]), np.where(last >= 0, self.ranks[last], -1))
        shared = np.minimum.reduceat(self.shared, np.stack([nearer + 1, rank + 1], axis=1).ravel())[::2]
        shared = _running_minimum(shared, last + 1)  # shared with the last text of the pool
        same_group = (last >= 0) & (self.group[last] == group)
        previous, shared_with_previous = self._previous(last[same_group])
        shared[same_group] = np.minimum(shared[same_group], shared_with_previous)
        last[same_group] = previous
        return np.where(last < 0, 0, shared).astype(np.int32), np.where(last < 0, -1, self.text[last])

    def _previous(self, places: Indices) -> tuple[Indices, Numbers]:
        """The last suffix of the pool of another group before those at some places, and what they share; -1 if there is none.

        places: (k,) indices of suffixes of the pool, rising.
        """
        # The run of suffixes of one group in which each place lies
        run = np.searchsorted(self.changes, places, side="right")
        starts = np.append(0, self.changes)[run]
        different, first, where = np.unique(run, return_index=True, return_inverse=True)
        sizes = np.append(places[first[1:] - 1], places[-1:]) - starts[first] + 1  # up to the last place in each run
        offset = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        inside = np.repeat(starts[first], sizes) + offset  # all suffixes of the pool in these runs, up to the places
        before = np.where(inside > 0, self.ranks[inside - 1], -1)
        bounds = np.stack([before + 1, self.ranks[inside] + 1], axis=1).ravel()
        shared = np.minimum.reduceat(self.shared, bounds)[::2] if len(bounds) else np.zeros(0, dtype=np.int32)
        shared = _running_minimum(shared, np.repeat(np.arange(len(different)), sizes))
        return starts - 1, shared[(np.cumsum(sizes) - sizes)[where] + places - starts]


def _running_minimum(values: Numbers, segment: Integers) -> Numbers:
    """The smallest value so far within each segment; segments are numbered in rising order."""
    offset = segment.astype(np.int64) << 32  # puts a later segment below all of an earlier one
    return np.asarray(np.minimum.accumulate(values - offset) + offset).astype(np.int32)


# ---- for display: the nearest training text of a sample ----


def count_covered(text: str, hashes: Hashes, k: int) -> int:
    """Number of characters of the text that lie in a window of k characters whose hash is in `hashes` (sorted)."""
    if len(text) < k or not len(hashes):
        return 0
    windows = window_hashes(code_points(text), k)
    index = np.minimum(np.searchsorted(hashes, windows), len(hashes) - 1)
    hits = np.flatnonzero(hashes[index] == windows)
    change = np.zeros(len(text) + 1, dtype=np.int64)
    np.add.at(change, hits, 1)
    np.add.at(change, hits + k, -1)
    return int((np.cumsum(change) > 0).sum())


@dataclass(frozen=True, slots=True)
class Match:
    """text[start : start + length] == training text[place : place + length]."""

    start: int
    length: int
    place: int


def longest_matches(texts: Sequence[str], training: CodePoints, k: int = MIN_MATCH) -> list[Match | None]:
    """The longest passage of each text that occurs in the training text.

    Among passages of equal length, it is the first in the text, at its first place in the training text.

    Args:
        training: (n,) code points of the training text.
        k: Characters of the shortest passage that counts.

    Returns:
        A match for each text; None where it shares no passage of k characters.
    """
    from pydivsufsort import divsufsort

    rows = [code_points(text) for text in texts]
    if not len(training) or not any(map(len, rows)):
        return [None] * len(texts)
    ids = _join_texts(training, rows)
    order = divsufsort(ids)  # places in the order of what begins there
    start, before, after = _neighbours(order, len(training) + 1)
    owners = np.repeat(np.arange(len(rows)), [len(row) + 1 for row in rows])
    ends = len(training) + np.cumsum([len(row) + 1 for row in rows])
    owner = owners[start - len(training) - 1]
    remaining = ends[owner] - start  # characters of the text from there
    length = np.maximum(
        _common_prefix_lengths(ids, start, before, remaining), _common_prefix_lengths(ids, start, after, remaining)
    )
    matches: list[Match | None] = []
    for number, end in enumerate(ends):
        places = np.flatnonzero(owner == number)
        best = places[np.lexsort((start[places], -length[places]))[0]]
        if length[best] < k:
            matches.append(None)
            continue
        text_start = int(end - len(rows[number]))
        occurrences = _occurrences(ids, order, int(start[best]), int(length[best]))
        place = int(occurrences[occurrences < len(training)].min())
        matches.append(Match(int(start[best]) - text_start, int(length[best]), place))
    return matches


def _join_texts(training: CodePoints, rows: Sequence[CodePoints]) -> Integers:
    """The training text and the others as small integers, 0 after each text, and 1 for characters that no text has."""
    letters = np.unique(np.concatenate(rows))
    dtype = np.min_scalar_type(len(letters) + 1)
    ids = np.ones(int(max(letters.max(), training.max())) + 1, dtype=dtype)
    ids[letters] = np.arange(2, len(letters) + 2)
    end = np.zeros(1, dtype=dtype)
    return np.concatenate([part for row in (training, *rows) for part in (ids[row], end)])


def _neighbours(order: Places, first_text: int) -> tuple[Places, Places, Places]:
    """The positions from `first_text` on, and for each the training positions with the longest common prefix.

    These are the training positions just before and just after it in the order of suffixes; -1 if there is none.
    """
    rank = np.flatnonzero(order >= first_text)
    gaps = np.diff(rank) > 1
    breaks = np.flatnonzero(gaps) + 1
    run = np.append(0, np.cumsum(gaps))
    low, high = rank[np.append(0, breaks)] - 1, rank[np.append(breaks, len(rank)) - 1] + 1
    padded = np.append(order, -1)
    return order[rank], padded[low][run], padded[high][run]


def _common_prefix_lengths(ids: Integers, places: Places, other_places: Places, limits: Places) -> Places:
    """(m,) length of the common prefix that begins at two positions, at most `limits`; 0 without a second position."""
    length = np.zeros(len(places), dtype=np.intp)
    alive = np.flatnonzero((other_places >= 0) & (limits > 0))
    window = np.arange(32)
    while len(alive):
        offset = length[alive, None] + window
        a, b = (np.minimum(start[alive, None] + offset, len(ids) - 1) for start in (places, other_places))
        is_equal = (ids[a] == ids[b]) & (offset < limits[alive, None])
        length[alive] += np.where(is_equal.all(axis=1), len(window), is_equal.argmin(axis=1))
        alive = alive[is_equal.all(axis=1)]
    return length


def _occurrences(ids: Integers, order: Places, start: int, length: int) -> Places:
    """All positions at which these characters occur; they are adjacent in the order of suffixes."""
    passage = ids[start : start + length]

    def side(rank: int) -> int:
        """-1 before all occurrences, 0 at one, 1 after them."""
        characters = ids[order[rank] : order[rank] + length]
        differences = np.flatnonzero(characters != passage[: len(characters)])
        if len(differences):
            return -1 if characters[differences[0]] < passage[differences[0]] else 1
        return 0 if len(characters) == length else -1

    ranks = range(len(order))
    return order[bisect_left(ranks, 0, key=side) : bisect_right(ranks, 0, key=side)]


def nearest_record(text: str, records: Sequence[str]) -> tuple[int, int]:
    """The index of the first record with the fewest edits to a text, and their number; (-1, 0) without records.

    Whole records are compared, those of the most similar length first. There are at least as many edits as the lengths
    differ, so the search ends when this difference exceeds the best so far.
    """
    gaps = np.abs(np.array([len(record) for record in records], dtype=np.int64) - len(text))
    order = np.argsort(gaps, kind="stable")
    best, smallest = -1, 0
    for start in range(0, len(order), RECORDS_AT_ONCE):
        part = order[start : start + RECORDS_AT_ONCE]
        if best >= 0 and gaps[part[0]] > smallest:
            break
        distances = process.cdist(
            [text],
            [records[i] for i in part],
            scorer=Levenshtein.distance,
            score_cutoff=smallest if best >= 0 else None,
            dtype=np.int64,
        )[0]
        nearest, index = int(distances.min()), int(part[distances == distances.min()].min())
        if best < 0 or (nearest, index) < (smallest, best):
            best, smallest = index, nearest
    return best, smallest
