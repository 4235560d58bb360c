"""Relatives among sequences: clusters by single linkage over shared k-mers, found only as far as they are needed.

Two sequences are relatives if they share at least `threshold` of the smaller one's set of K-mers. A held-out part by
clusters needs the whole clusters of its own members alone, so clusters are grown one at a time from a starting sequence,
and growth stops where a cluster is too large to be held out: it stays in train.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

K = 5
TABLE = 1 << 26  # numbers of a table of k-mers: 5 letters of 5 bits and more
PAIRS = 1 << 22  # of a k-mer and a sequence that has it, looked up at once
Indices = NDArray[np.int64]


class SequenceClusters:
    """n sequences of letters. threshold: shared k-mers over the smaller set, above 0."""

    def __init__(self, sequences: Sequence[str], threshold: float, k: int = K) -> None:
        self.threshold, self.n, self.k = threshold, len(sequences), k
        owner, kmer = kmers(sequences, k)
        different, columns = _numbered(kmer)
        self.sizes = np.bincount(owner, minlength=self.n)  # (n,) different k-mers
        self._columns = columns  # the k-mers of the first sequence, then those of the second, ...
        self._rows = np.concatenate([[0], np.cumsum(self.sizes)])  # (n + 1,) where each sequence's begin
        by_kmer = columns.astype(np.int64) << 32 | owner
        by_kmer.sort()
        self._owners = (by_kmer & 0xFFFFFFFF).astype(np.int32)  # the sequences with the first k-mer, ...
        self._kmers = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=different))])

    def relatives(self, which: Indices) -> Indices:
        """All sequences that are a relative of one of these (themselves included, where they have a k-mer)."""
        found = [np.zeros(0, dtype=np.int64)]
        for sequence in which.tolist():
            shared = self._shared(sequence)
            others = np.flatnonzero(shared)
            found.append(
                others[shared[others] >= self.threshold * np.minimum(self.sizes[sequence], self.sizes[others])]
            )
        return np.unique(np.concatenate(found))

    def _shared(self, sequence: int) -> Indices:
        """(n,) how many different k-mers each sequence has in common with this one."""
        kmers = self._columns[self._rows[sequence] : self._rows[sequence + 1]]
        starts, counts = self._kmers[kmers], self._kmers[kmers + 1] - self._kmers[kmers]
        shared = np.zeros(self.n, dtype=np.int64)
        parts = 1 + int(counts.sum()) // PAIRS
        for start, count in zip(np.array_split(starts, parts), np.array_split(counts, parts), strict=True):
            shared += np.bincount(self._owners[_ranges(start, count)], minlength=self.n)
        return shared

    def cluster(self, start: int, most: float, closed: NDArray[np.bool_]) -> Indices | None:
        """All that is linked to `start`, or None where that is more than `most` sequences, or reaches a closed one."""
        members = np.zeros(self.n, dtype=bool)
        members[start] = True
        front = np.array([start], dtype=np.int64)
        while len(front):
            linked = self.relatives(front)
            front = linked[~members[linked]]
            members[front] = True
            if members.sum() > most or closed[front].any():
                closed |= members  # whatever is linked to them is as large
                return None
        return np.flatnonzero(members)

    def hold(self, order: Indices, target: int, most: float) -> tuple[Indices, int]:
        """Whole clusters of at most `most`, grown in this order up to `target` sequences: (n,) the number of each sequence's
        cluster, -1 where it is not held; and how many sequences are known to lie in larger clusters."""
        rank = np.full(self.n, -1, dtype=np.int64)
        closed = np.zeros(self.n, dtype=bool)
        held = clusters = 0
        for start in order.tolist():
            if held >= target:
                break
            if rank[start] >= 0 or closed[start]:
                continue
            found = self.cluster(start, most, closed)
            if found is not None:
                rank[found] = clusters
                held, clusters = held + len(found), clusters + 1
        return rank, int(closed.sum())


def _ranges(starts: Indices, counts: Indices) -> Indices:
    """start, start + 1, ... of `count` numbers for each pair, one after the other."""
    before = np.cumsum(counts) - counts
    numbers: Indices = np.arange(counts.sum()) + np.repeat(starts - before, counts)
    return numbers


def kmers(sequences: Sequence[str], k: int = K) -> tuple[Indices, NDArray[np.uint64]]:
    """(owner, k-mer) of the different k-mers of each sequence, both (m,). k: at most 8."""
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    flat = np.frombuffer("".join(sequences).encode("ascii", "replace"), dtype=np.uint8) & np.uint8(31)
    owner = np.repeat(np.arange(len(sequences), dtype=np.int64), lengths)
    if len(flat) < k:
        return owner[:0], np.zeros(0, dtype=np.uint64)
    pairs = owner[: len(flat) - k + 1].astype(np.uint64)  # the sequence, and behind it five bits a letter
    for offset in range(k):
        pairs <<= np.uint64(5)
        pairs |= flat[offset : offset + len(pairs)]
    pairs = pairs[owner[: len(pairs)] == owner[k - 1 :]]
    pairs.sort()
    pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])] if len(pairs) else pairs
    bits = np.uint64(5 * k)
    return (pairs >> bits).astype(np.int64), pairs & ((np.uint64(1) << bits) - np.uint64(1))


def _numbered(values: NDArray[np.uint64]) -> tuple[int, NDArray[np.int32]]:
    """(how many different values, each one's number in their order). A table where they are small: sorting takes longer."""
    top = int(values.max(initial=0))
    if top >= TABLE:
        names, numbers = np.unique(values, return_inverse=True)
        return len(names), numbers.astype(np.int32)
    there = np.zeros(top + 1, dtype=np.bool_)
    there[values] = True
    number = np.cumsum(there, dtype=np.int32)
    return int(number[-1]) if len(values) else 0, number[values] - np.int32(1)


class NearestSequences:
    """Which of n sequences share the most of their k-mers with another one. Short k-mers: distant relatives share some."""

    def __init__(self, sequences: Sequence[str], k: int = 3) -> None:
        self.k, self.n = k, len(sequences)
        owner, kmer = kmers(sequences, k)
        order = np.argsort(kmer, kind="stable")
        self._names, starts = np.unique(kmer[order], return_index=True)
        self._starts = np.append(starts, len(order))
        self._owner = owner[order]
        self._sizes = np.bincount(owner, minlength=self.n)

    def candidates(self, text: str, most: int = 8) -> list[int]:
        """The `most` sequences with the largest shared share, the best first."""
        own = kmers([text], self.k)[1]
        if not len(own) or not len(self._names):
            return []
        place = np.minimum(np.searchsorted(self._names, own), len(self._names) - 1)
        hit = place[self._names[place] == own].tolist()
        if not hit:
            return []
        owners = np.concatenate([self._owner[self._starts[p] : self._starts[p + 1]] for p in hit])
        shared = np.bincount(owners, minlength=self.n) / np.sqrt(np.maximum(self._sizes, 1))
        best = np.argpartition(shared, -min(most, self.n))[-min(most, self.n) :]
        return [int(i) for i in best[np.argsort(-shared[best])] if shared[i] > 0]
