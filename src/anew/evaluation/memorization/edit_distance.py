"""Distances of records by edits."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from anew.core.arrays import Bools, Integers
from anew.core.machine.threads import available_threads, map_in_threads
from anew.estimators.sequence_clusters import SequenceClusters
from anew.evaluation.memorization.copying_test import Array, Distance, Indices

if TYPE_CHECKING:
    from anew.evaluation.edits.record_index import RecordIndex

PAIRS_AT_ONCE = 4_000_000  # pairs of records that a thread compares at once: 16 MB of distances, a second or two
POOL_AT_ONCE = 16_384  # records of a pool that are compared at once; chosen: the nearest so far bounds the next
# Distance within which the nearest record is searched first, which saves time. 1,300 variants of 238 residues: 1.14 -> 0.28 s;
# unrelated records: 0.31 -> 0.33 s.
FIRST_LIMIT = 0.1
# Characters in a machine word of the algorithm: for records no longer than this, a first search does not pay
MACHINE_WORD = 64
# Records from which on those that cannot be the nearest are left out: more than a budget compares, as it takes seconds to load and
# compile. 200 names against 300,000, processor time: 4.0 ms each before, 0.9 now (docs/log.md, 2026-11-30)
MIN_SIGNED = 250_000
# Letters of the pieces by which an index finds candidates, and how many these are; chosen: of 400 residues with a fifth of them
# edited, 160 pieces of four stay
PIECES, CANDIDATES = (4, 6, 8), 16
MAX_MEASURED = 100_000  # records of which the median length is taken: of millions, all take ten seconds
# Share of its pieces that a record has in common with any other up to which an index pays, and the records from which on; chosen:
# 0.6% of proteins, with four letters, and 4 to 40% of log lines and relatives
MAX_SHARED_BY_CHANCE, MIN_INDEXED, MAX_SAMPLED = 0.03, 50, 500


class EditDistance(Distance):
    """Fewest insertions, deletions and substitutions between two records, divided by the longer length (0 to 1).

    Long records that hardly share pieces by chance, such as proteins, are compared only with those that share the most pieces with
    them. Copies and relatives are among these; where a record shares none, all are equally far. Others are compared so if time is
    short. If there are hundreds of thousands of others, those that cannot be the nearest by their characters are left out.
    """

    name = "edit distance"
    at_once = 256  # so that the progress of a search is seen; chosen

    def __init__(self, records: Sequence[str], groups: Integers, indexed: bool = False) -> None:
        """groups: (n,) of any integers; indexed: whether to compare those alone that share the most pieces, whatever records are like."""
        self.set_groups(groups)
        self.resolution = 1.0 / max(median_length(records) if len(records) else 1.0, 1.0)
        size = rare_piece_size(records)
        if size is None and indexed:
            size = _shortest_rare_pieces(records) or PIECES[-1]
        self._signatures: RecordIndex | None = None
        if size is None and len(records) >= MIN_SIGNED:
            from anew.evaluation.edits.record_index import RecordIndex

            self._signatures = RecordIndex(records)
        self._records = records if self._signatures is not None else list(records)
        has_long = self._signatures is None and max(map(len, self._records), default=0) > MACHINE_WORD
        self._limits = (FIRST_LIMIT, 1.0) if has_long else (1.0,)
        self._index = None if size is None else SequenceClusters(self._records, 1.0, size)
        # A pool, which is not kept alive, and which records are in it
        self._allowed: tuple[weakref.ref[Indices], Bools] | None = None

    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        if self._index is not None and len(pool) >= MIN_INDEXED:
            return self._nearest_of_candidates(self._index, queries, pool)
        if self._signatures is not None:
            return self._signatures.nearest(queries, self._are_in(pool), self._group)
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        rows = np.arange(len(queries))
        for limit in self._limits:
            threads = available_threads()
            at_once = PAIRS_AT_ONCE // min(max(len(pool), 1), POOL_AT_ONCE)
            size = max(min(at_once, -(-len(rows) // threads)), 1)
            parts = [rows[start : start + size] for start in range(0, len(rows), size)]
            search = functools.partial(self._nearest_within, limit, pool)
            for part, nearest in zip(
                parts, map_in_threads(search, [queries[part] for part in parts], threads), strict=True
            ):
                item[part], distance[part] = nearest
            rows = rows[item[rows] < 0]
        return item, distance

    def end_search(self) -> None:
        self._signatures = self._allowed = None

    def _are_in(self, pool: Indices) -> Bools:
        """(n,) whether each record is in a pool. The result for the last query is cached, since a search comes in parts."""
        if self._allowed is None or self._allowed[0]() is not pool:
            in_pool = np.zeros(len(self._records), dtype=np.bool_)
            in_pool[pool] = True
            self._allowed = weakref.ref(pool), in_pool
        return self._allowed[1]

    def _nearest_within(self, limit: float, pool: Indices, queries: Indices) -> tuple[Indices, Array]:
        """The nearest item of the pool within `limit`, else -1 and inf; a smaller limit is faster."""
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        records, rows = [self._records[i] for i in queries], np.arange(len(queries))
        for start in range(0, len(pool), POOL_AT_ONCE):
            part = pool[start : start + POOL_AT_ONCE]
            table = process.cdist(
                records,
                [self._records[i] for i in part],
                scorer=Levenshtein.normalized_distance,
                score_cutoff=min(limit, float(distance.max())),
                dtype=np.float32,
                workers=1,  # threads of its own wait for ever where one cannot be started
            )  # (q, p), 1 where it is more than the cutoff
            table[self._group[queries][:, None] == self._group[part][None]] = np.inf
            best = table.argmin(axis=1)
            nearest = table[rows, best].astype(np.float64)
            is_nearer = (nearest <= limit) & (nearest < distance)  # the first of equally near ones stays
            item[is_nearer], distance[is_nearer] = part[best[is_nearer]], nearest[is_nearer]
        return item, distance

    def _nearest_of_candidates(self, index: SequenceClusters, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        """The nearest of the items of the pool that share the most pieces with each query; without one, the first item, at 1."""
        item, distance = np.full(len(queries), -1, dtype=np.intp), np.full(len(queries), np.inf)
        in_pool = self._are_in(pool)
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


def median_length(records: Sequence[str]) -> float:
    """The median number of characters of records; of more than MAX_MEASURED, that of some from everywhere."""
    measured = records[:: max(len(records) // MAX_MEASURED, 1)]
    return float(np.median(np.fromiter(map(len, measured), dtype=np.int32, count=len(measured))))


def rare_piece_size(records: Sequence[str]) -> int | None:
    """The size of the shortest pieces that long records hardly share by chance; None for few or other records."""
    if len(records) < MIN_INDEXED or median_length(records) <= 2 * MACHINE_WORD:
        return None
    return _shortest_rare_pieces(records)


def _shortest_rare_pieces(records: Sequence[str]) -> int | None:
    """The size of the shortest pieces that records hardly share by chance; None if they share them all."""
    sampled = records[:: max(len(records) // MAX_SAMPLED, 1)]
    shares = {size: SequenceClusters(sampled, 1.0, size).shared_by_chance for size in PIECES}
    return next((size for size, share in shares.items() if share <= MAX_SHARED_BY_CHANCE), None)
