"""Distances of texts by their longest verbatim match, with a suffix array; distances of short records by edits.

A suffix array lists all suffixes of all texts in order, so the longest match of a suffix is with one of its two nearest
neighbours in that order. Texts are joined by a byte that UTF-8 never holds, so no match crosses from text to text.
"""

from __future__ import annotations

import copy
import functools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from anew.core.arrays import Integers
from anew.core.threads import available_threads, map_in_threads
from anew.estimators.sequence_clusters import SequenceClusters
from anew.evaluation.memorization.copying_test import Array, Distance, Indices
from anew.functional.text_hashes import CodePoints, Hashes, code_points, window_hashes

MIN_MATCH = 8  # characters of a passage in common that is shown; chosen: more than a common word
SEPARATOR = b"\xff"  # a byte that UTF-8 never holds
PAIRS_AT_ONCE = 4_000_000  # pairs of records that a thread compares at once: 16 MB of distances, a second or two
# Distance within which the nearest record is searched first, which saves time. 1,300 variants of 238 residues: 1.14 -> 0.28 s;
# unrelated records: 0.31 -> 0.33 s.
FIRST_LIMIT = 0.1
# Characters in a machine word of the algorithm: for records no longer than this, a first search does not pay
MACHINE_WORD = 64
# Letters of the pieces by which an index finds candidates, and how many these are; chosen: of 400 residues with a fifth of them
# edited, 160 pieces of four stay
PIECES, CANDIDATES = (4, 6, 8), 16
# Share of its pieces that a record has in common with any other up to which an index pays, and the records from which on; chosen:
# .6% of proteins, with four letters, and 4 to 40% of log lines and relatives
MAX_SHARED_BY_CHANCE, MIN_INDEXED, MAX_SAMPLED = 0.03, 50, 500
RECORDS_AT_ONCE = 256  # records that are compared before the bound on edits is lowered; chosen
EDIT_WORK = 100_000_000_000  # pairs of characters that a search for the nearest record may compare: seconds on one core
# A passage in common counts from twice the median of those of real passages on, and from a quarter of a passage at the latest. A
# chain of letters that has passages as long as real text has takes them all from its training text (docs/log.md, 2026-11-30).
MIN_OF_MEDIAN, MIN_OF_PASSAGE = 2.0, 0.25
# A longer run of one character counts as eight of it: a line of dashes is no passage. Eight was chosen.
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
        self._group = np.unique(groups, return_inverse=True)[1].astype(np.int32)
        if not len(joined):
            self._order = self._lcp = self._text = self._remaining = np.zeros(0, dtype=np.int32)
            return
        self._order = divsufsort(joined)  # positions in the order of their suffixes
        lcp = kasai(joined, self._order)  # characters that a suffix shares with the next one
        self._lcp = np.concatenate([np.zeros(1, np.int32), lcp[:-1]]).astype(np.int32)  # shared with the one before
        starts = np.concatenate([[0], np.cumsum(sizes + 1)])
        text = np.repeat(np.arange(len(texts), dtype=np.int32), sizes + 1)
        # Bytes up to the end of the text.
        remaining = (starts[1:][text] - 1 - np.arange(len(joined))).astype(np.int32)
        self._text, self._remaining = text[self._order], remaining[self._order]  # of each suffix, in their order

    def limit_of(self, real: Array) -> float:
        if not len(real):
            return np.inf
        length = min(MIN_OF_MEDIAN * float(np.median(1.0 / real)), MIN_OF_PASSAGE * self._median_size)
        return 1.0 / max(length, 1.0)

    def with_groups(self, groups: Integers) -> PassageDistance:
        regrouped = copy.copy(self)
        regrouped._group = np.unique(groups, return_inverse=True)[1].astype(np.int32)
        return regrouped

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        item, length = self.longest(queries, pool)
        with np.errstate(divide="ignore"):
            return item, 1.0 / length

    def longest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        """The text of the pool that shares the longest passage with each query, and its length in bytes, both (m,)."""
        role = np.zeros(len(self._group), dtype=np.uint8)  # bit 1: a query, bit 2: of the pool
        role[queries] |= 1
        role[pool] |= 2
        # Suffixes of queries and of the pool.
        chosen = np.flatnonzero((role[self._text] > 0) & (self._remaining > 0))  # (s,)
        roles = role[self._text[chosen]]
        if not (roles & 1).any() or not (roles & 2).any():
            return np.full(len(queries), -1, dtype=np.intp), np.zeros(len(queries))
        text = self._text[chosen]
        lcp = np.minimum.reduceat(self._lcp[: chosen[-1] + 1], np.concatenate([[0], chosen[:-1] + 1]))
        suffixes = _Suffixes(text, self._group[text], in_pool=(roles & 2) > 0, is_query=(roles & 1) > 0)
        query_suffixes = np.flatnonzero(suffixes.is_query)
        length_before, before = suffixes.match_before(lcp)
        length_after, after = suffixes.reverse().match_before(np.concatenate([lcp[:1] * 0, lcp[:0:-1]]))
        length_after, after = length_after[::-1], after[::-1]
        after = np.where(after >= 0, len(chosen) - 1 - after, -1)
        length = np.minimum(np.maximum(length_before, length_after), self._remaining[chosen][query_suffixes])
        match = np.where(length_before >= length_after, before, after)
        return self._longest_per_text(queries, text, query_suffixes, length, match)

    def _longest_per_text(
        self, queries: Indices, text: Numbers, query_suffixes: Indices, length: Numbers, match: Indices
    ) -> tuple[Indices, Array]:
        """The longest match of each query; query_suffixes, length, match: one entry for each suffix of a query."""
        n = len(query_suffixes)
        best = np.full(len(self._group), -1, dtype=np.int64)
        code = length.astype(np.int64) * n + np.arange(n)  # length first, then which suffix it is
        np.maximum.at(best, text[query_suffixes], code)
        suffix, size = best[queries] % n, best[queries] // n
        no_match = (best[queries] < 0) | (size <= 0)
        item = text[match[suffix]]
        return np.where(no_match, -1, item).astype(np.intp), np.where(no_match, 0, size).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Suffixes:
    """Suffixes in sorted order (s,): the text of each, its group, whether it is in the pool, and whether it is a query."""

    text: Numbers
    group: Numbers
    in_pool: NDArray[np.bool_]
    is_query: NDArray[np.bool_]

    def reverse(self) -> _Suffixes:
        return _Suffixes(self.text[::-1], self.group[::-1], self.in_pool[::-1], self.is_query[::-1])

    def match_before(self, lcp: Numbers) -> tuple[Numbers, Indices]:
        """Match each query suffix (a,) with the last suffix before it that is in the pool and of another group.

        Args:
            lcp: (s,) characters that each suffix shares with the one just before.

        Returns:
            The length of the match, and the index of that suffix (-1 if there is none), both (a,).
        """
        n_before = np.cumsum(self.in_pool, dtype=np.int32) - self.in_pool  # (s,) pool suffixes strictly before
        shared = _running_minimum(lcp, n_before)  # (s,) with the last pool suffix before
        pool = np.flatnonzero(self.in_pool)  # (p,)
        group = self.group[pool]
        changes = np.ones(len(pool), dtype=bool)
        changes[1:] = group[1:] != group[:-1]
        run = np.cumsum(changes, dtype=np.int32)  # (p,) runs of pool suffixes of one group
        shared_with_other = _running_minimum(shared[pool], run)  # (p,) with the last pool suffix of another group
        last_of_other = np.flatnonzero(changes)[run - 1] - 1  # (p,) which of them that is

        query = np.flatnonzero(self.is_query)  # (a,)
        last = n_before[query] - 1  # (a,) the last pool suffix before, -1: none
        same_group = (last >= 0) & (group[last] == self.group[query])
        length = np.where(same_group, np.minimum(shared[query], shared_with_other[last]), shared[query])
        match = np.where(same_group, last_of_other[last], last)
        return np.where(match < 0, 0, length).astype(np.int32), np.where(match < 0, -1, pool[match])


def _running_minimum(values: Numbers, segment: Numbers) -> Numbers:
    """The smallest value so far within each segment; segments are numbered in rising order."""
    offset = segment.astype(np.int64) << 32  # puts a later segment below all of an earlier one
    return np.asarray(np.minimum.accumulate(values - offset) + offset).astype(np.int32)


class EditDistance(Distance):
    """Fewest insertions, deletions and substitutions between two records, divided by the longer length (0 to 1).

    Long records that hardly share pieces by chance, such as proteins, are compared only with those that share the most pieces with
    them. Copies and relatives are among these; where a record shares none, all are equally far.
    """

    name = "edit distance"
    at_once = 256  # so that the progress of a search is seen; chosen

    def __init__(self, records: Sequence[str], groups: Integers) -> None:
        self._records, self._group = list(records), np.asarray(groups)
        self.resolution = 1.0 / max(float(np.median([len(record) for record in self._records] or [1])), 1.0)
        self._index = _index_of_pieces(self._records)

    def with_groups(self, groups: Integers) -> EditDistance:
        regrouped = copy.copy(self)
        regrouped._group = np.asarray(groups)
        return regrouped

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        if self._index is not None and len(pool) >= MIN_INDEXED:
            return self._nearest_of_candidates(self._index, queries, pool)
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        rows = np.arange(len(queries))
        long = max((len(self._records[i]) for i in pool), default=0) > MACHINE_WORD
        for limit in (FIRST_LIMIT, 1.0) if long else (1.0,):
            threads = available_threads()
            size = max(min(PAIRS_AT_ONCE // max(len(pool), 1), -(-len(rows) // threads)), 1)
            parts = [rows[start : start + size] for start in range(0, len(rows), size)]
            search = functools.partial(self._nearest_within, limit, pool)
            for part, nearest in zip(
                parts, map_in_threads(search, [queries[part] for part in parts], threads), strict=True
            ):
                item[part], distance[part] = nearest
            rows = rows[item[rows] < 0]
        return item, distance

    def _nearest_within(self, limit: float, pool: Indices, queries: Indices) -> tuple[Indices, Array]:
        """The nearest item of the pool within `limit`, else -1 and inf; a smaller limit is faster."""
        table = process.cdist(
            [self._records[i] for i in queries],
            [self._records[i] for i in pool],
            scorer=Levenshtein.normalized_distance,
            score_cutoff=limit,
            dtype=np.float32,
            workers=1,  # threads of its own wait for ever where one cannot be started
        )  # (q, p), 1 where it is more than the limit
        table[self._group[queries][:, None] == self._group[pool][None]] = np.inf
        best = table.argmin(axis=1)
        distance = table[np.arange(len(table)), best].astype(np.float64)
        is_near = distance <= limit
        return np.where(is_near, pool[best], -1), np.where(is_near, distance, np.inf)

    def _nearest_of_candidates(self, index: SequenceClusters, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        """The nearest of the items of the pool that share the most pieces with each query; without one, the first item, at 1."""
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        in_pool = np.zeros(len(self._records), dtype=bool)
        in_pool[pool] = True
        for row, query in enumerate(queries):
            is_allowed = in_pool & (self._group != self._group[query])
            record = self._records[query]
            for i in index.most_alike(int(query), CANDIDATES, is_allowed).tolist():
                edits = Levenshtein.normalized_distance(record, self._records[i], score_cutoff=min(distance[row], 1.0))
                if edits < distance[row]:
                    item[row], distance[row] = i, edits
            if item[row] < 0 and is_allowed.any():
                item[row], distance[row] = is_allowed.argmax(), 1.0
        return item, distance


def _index_of_pieces(records: Sequence[str]) -> SequenceClusters | None:
    """An index of the pieces of records; None where comparing all of them is faster."""
    size = rare_piece_size(records)
    return None if size is None else SequenceClusters(records, 1.0, size)


def rare_piece_size(records: Sequence[str]) -> int | None:
    """The size of the shortest pieces that long records hardly share by chance; None for few or other records."""
    if len(records) < MIN_INDEXED or np.median([len(record) for record in records]) <= 2 * MACHINE_WORD:
        return None
    sampled = records[:: max(len(records) // MAX_SAMPLED, 1)]
    shares = {size: SequenceClusters(sampled, 1.0, size).shared_by_chance for size in PIECES}
    return next((size for size, share in shares.items() if share <= MAX_SHARED_BY_CHANCE), None)


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

    Of passages of equal length it is the first in the text, at its first place in the training text.

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
