"""Clusters of related sequences: single linkage over shared k-mers. Only clusters that are needed are computed.

Two sequences are related if they share at least `threshold` of the smaller one's set of k-mers. Only the clusters of held-out sequences are
needed to hold out whole clusters. Therefore clusters are grown one at a time from a starting sequence, and growth stops when a cluster is
too large to be held out: it stays in train.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Int32s, Ints

DEFAULT_K = 5  # letters: 20^5 k-mers of proteins, so that unrelated sequences share few
LETTER_BITS = 5  # bits of a letter in a k-mer: 32 letters, without case
OWNER_BITS = 24  # bits for the number of a sequence: what 8 letters leave of 64
MAX_TABLE = 1 << 26  # k-mers up to this value are numbered with a table: those of five letters fit
PAIRS_AT_ONCE = 1 << 22  # pairs of a k-mer and a sequence that are looked up at a time, which bounds memory


class SequenceClusters:
    """Clusters among sequences of letters.

    Args:
        threshold: Two sequences are related if they share at least this part of the smaller set of k-mers; above 0.
        k: Letters of a k-mer, at most 8.

    Attributes:
        n: Number of sequences.
        shared_by_chance: Mean share of its k-mers that a sequence has in common with another one.
    """

    def __init__(self, sequences: Sequence[str], threshold: float, k: int = DEFAULT_K) -> None:
        self.threshold, self.n, self.k = threshold, len(sequences), k
        owner, kmer = kmers(sequences, k)
        num_kmers, columns = _number_values(kmer)
        self.sizes = np.bincount(owner, minlength=self.n)  # (n,) different k-mers
        self._columns = columns  # the k-mers of the first sequence, then those of the second, ...
        self._rows = np.concatenate([[0], np.cumsum(self.sizes)])  # (n + 1,) where the k-mers of each sequence begin
        by_kmer = columns.astype(np.int64) << 32 | owner
        by_kmer.sort()
        self._owners = (by_kmer & 0xFFFFFFFF).astype(np.int32)  # the sequences with the first k-mer, ...
        num_owners = np.bincount(columns, minlength=num_kmers)
        self._kmers = np.concatenate([[0], np.cumsum(num_owners)])
        num_pairs = num_owners.astype(np.float64) @ (num_owners - 1.0)
        self.shared_by_chance = float(num_pairs / max(len(columns) * (self.n - 1), 1))

    def most_alike(self, sequence: int, count: int, is_allowed: Bools) -> Ints:
        """At most `count` sequences that share the most k-mers with a given one, weighted by their size, and at least half as many as the
        best of them.

        is_allowed: (n,) whether each sequence may be one.
        """
        shared = self._shared(sequence) * is_allowed / np.sqrt(np.maximum(self.sizes, 1))
        best = np.flatnonzero(shared > shared.max(initial=0.0) / 2.0)
        return best if len(best) <= count else best[np.argpartition(shared[best], -count)[-count:]]

    def related_to(self, indices: Ints) -> Ints:
        """All sequences that are related to one of these, including these themselves, unless they have no k-mer."""
        related = [np.zeros(0, dtype=np.int64)]
        for sequence in indices.tolist():
            shared = self._shared(sequence)
            neighbours = np.flatnonzero(shared)
            smaller = np.minimum(self.sizes[sequence], self.sizes[neighbours])
            related.append(neighbours[shared[neighbours] >= self.threshold * smaller])
        return np.unique(np.concatenate(related))

    def _shared(self, sequence: int) -> Ints:
        """(n,) how many different k-mers each sequence has in common with this one."""
        kmers = self._columns[self._rows[sequence] : self._rows[sequence + 1]]
        starts, counts = self._kmers[kmers], self._kmers[kmers + 1] - self._kmers[kmers]
        shared = np.zeros(self.n, dtype=np.int64)
        num_parts = 1 + int(counts.sum()) // PAIRS_AT_ONCE
        for start, count in zip(np.array_split(starts, num_parts), np.array_split(counts, num_parts), strict=True):
            shared += np.bincount(self._owners[_ranges(start, count)], minlength=self.n)
        return shared

    def cluster_of(self, start: int, max_size: float, is_closed: Bools) -> Ints | None:
        """The cluster of a sequence.

        Args:
            max_size: Sequences of the cluster, at most.
            is_closed: (n,) whether a sequence is known to lie in a cluster that is too large; updated in place.

        Returns:
            Its members, rising; None where the cluster is too large.
        """
        is_member = np.zeros(self.n, dtype=bool)
        is_member[start] = True
        frontier = np.array([start], dtype=np.int64)
        while len(frontier):
            linked = self.related_to(frontier)
            frontier = linked[~is_member[linked]]
            is_member[frontier] = True
            if is_member.sum() > max_size or is_closed[frontier].any():
                is_closed |= is_member  # every sequence linked to them is in the same large cluster
                return None
        return np.flatnonzero(is_member)

    def hold_out(self, order: Ints, target: int, max_size: float) -> tuple[Ints, int]:
        """Whole clusters, grown in this order until they hold `target` sequences.

        Args:
            order: (n,) sequences in the order in which clusters are grown from them.
            target: How many sequences are to be held out.
            max_size: Sequences of a cluster, at most.

        Returns:
            The number of each sequence's cluster (n,), -1 where it is not held out; and how many sequences are known to lie
            in larger clusters.
        """
        cluster = np.full(self.n, -1, dtype=np.int64)
        is_closed = np.zeros(self.n, dtype=bool)
        num_held = num_clusters = 0
        for start in order.tolist():
            if num_held >= target:
                break
            if cluster[start] >= 0 or is_closed[start]:
                continue
            members = self.cluster_of(start, max_size, is_closed)
            if members is not None:
                cluster[members] = num_clusters
                num_held += len(members)
                num_clusters += 1
        return cluster, int(is_closed.sum())


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """For each pair (start, count) the `count` numbers start, start + 1, ..., one pair after another."""
    before = np.cumsum(counts) - counts
    numbers: Ints = np.arange(counts.sum()) + np.repeat(starts - before, counts)
    return numbers


def kmers(sequences: Sequence[str], k: int = DEFAULT_K) -> tuple[Ints, NDArray[np.uint64]]:
    """The different k-mers of each sequence, of at most 8 letters: owner and k-mer of each pair, both (m,), in the order of the
    sequences."""
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    letters = np.frombuffer("".join(sequences).encode("ascii", "replace"), dtype=np.uint8) & np.uint8(31)
    owner = np.repeat(np.arange(len(sequences), dtype=np.int64), lengths)
    if len(letters) < k:
        return owner[:0], np.zeros(0, dtype=np.uint64)
    pairs = owner[: len(letters) - k + 1].astype(np.uint64)  # the sequence, followed by LETTER_BITS for each letter
    for offset in range(k):
        pairs <<= np.uint64(LETTER_BITS)
        pairs |= letters[offset : offset + len(pairs)]
    pairs = pairs[owner[: len(pairs)] == owner[k - 1 :]]
    pairs.sort()
    pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])] if len(pairs) else pairs
    bits = np.uint64(LETTER_BITS * k)
    return (pairs >> bits).astype(np.int64), pairs & ((np.uint64(1) << bits) - np.uint64(1))


def _number_values(values: NDArray[np.uint64]) -> tuple[int, Int32s]:
    """How many different values there are, and the rank of each. Small values are ranked with a table, since sorting takes
    longer."""
    largest = int(values.max(initial=0))
    if largest >= MAX_TABLE:
        different, numbers = np.unique(values, return_inverse=True)
        return len(different), numbers.astype(np.int32)
    occurs = np.zeros(largest + 1, dtype=np.bool_)
    occurs[values] = True
    number = np.cumsum(occurs, dtype=np.int32)
    return int(number[-1]) if len(values) else 0, number[values] - np.int32(1)


class NearestSequences:
    """Search among n sequences for those that share the most k-mers with a query. Short k-mers also find distant relatives."""

    def __init__(self, sequences: Sequence[str], k: int = 3) -> None:
        self.k, self.n = k, len(sequences)
        owner, kmer = kmers(sequences, k)
        by_kmer = kmer << np.uint64(OWNER_BITS) | owner.astype(np.uint64)
        by_kmer.sort()
        kmer = by_kmer >> np.uint64(OWNER_BITS)
        starts = np.flatnonzero(np.append(True, kmer[1:] != kmer[:-1])[: len(kmer)])
        self._kmers, self._starts = kmer[starts], np.append(starts, len(kmer))
        # The sequence of each k-mer, one after another
        self._owner = (by_kmer & np.uint64((1 << OWNER_BITS) - 1)).astype(np.int32)
        self._sizes = np.bincount(owner, minlength=self.n)

    def candidates(self, text: str, count: int = 8) -> list[int]:
        """Indices of at most `count` sequences that share the most k-mers, weighted by their size, the best first."""
        text_kmers = kmers([text], self.k)[1]
        if not len(text_kmers) or not len(self._kmers):
            return []
        index = np.minimum(np.searchsorted(self._kmers, text_kmers), len(self._kmers) - 1)
        hits = index[self._kmers[index] == text_kmers]
        if not len(hits):
            return []
        places = _ranges(self._starts[hits], self._starts[hits + 1] - self._starts[hits])
        shared = np.bincount(self._owner[places], minlength=self.n) / np.sqrt(np.maximum(self._sizes, 1))
        count = min(count, self.n)
        best = np.argpartition(shared, -count)[-count:]
        return [int(i) for i in best[np.argsort(-shared[best])] if shared[i] > 0]
