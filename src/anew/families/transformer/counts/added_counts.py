"""Kneser-Ney counts, stored as buffers: those of all records, and additional ones (by class, by field) that are mixed with them.

Legend for shapes: n targets or rows, B records, L targets of a record, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from anew.core.arrays import Bools, Doubles, Floats, Ints
from anew.estimators.kneser_ney import ARRAYS, KneserNey
from anew.families.transformer.fitted_buffers import FittedBuffers

SHARE = "share"  # buffer: the weight or weights of these counts, relative to the counts of all records
HELD_OUT = 10  # every tenth record is held out while the share is learned; chosen
COMPARED_TOKENS = 200_000  # tokens of the records that it is learned from: takes a second
ROUNDS = 200  # rounds of expectation and maximisation: with 20, a share that should be 1 is 0.96
Fit = Callable[[Ints], KneserNey]
Score = Callable[[KneserNey, Ints], tuple[Floats, Ints]]  # probabilities (n,) of targets, and their groups (n,)
COUNT_DTYPES = {"contexts": torch.int64, "starts": torch.int64, "tokens": torch.int32}  # others have float32


class CountBuffers(FittedBuffers):
    """Kneser-Ney counts as buffers.

    Args:
        num_elements: Number of different elements of a context, if more than V.
        name: Their name in messages.
    """

    def __init__(self, vocab_size: int, order: int, num_elements: int = 0, name: str = "counts") -> None:
        super().__init__()
        self.vocab_size, self.order, self.num_elements, self.name = vocab_size, order, num_elements, name
        self._counts: KneserNey | None = None
        self.dtypes = {
            f"{array}_{k}": COUNT_DTYPES.get(array, torch.float32) for k in range(order + 1) for array in ARRAYS
        }

    @property
    def counts(self) -> KneserNey:
        if self._counts is None:
            self._counts = KneserNey.restore(self.vocab_size, self.arrays(), self.num_elements)
        return self._counts

    def clear_cache(self) -> None:
        self._counts = None

    def check_counts(self) -> None:
        """Raise ValueError if the counts, which may come from anybody, are inconsistent."""
        if len(self.counts.levels) != self.order + 1:
            raise ValueError(f"{self.name} of {len(self.counts.levels)} orders instead of {self.order + 1}")


class AddedCounts(CountBuffers):
    """Counts beside those of all records, which are mixed with them. Until they are counted, nothing changes.

    Args:
        order_of_all: Order of the counts of all records.
        others: As for `CountBuffers`.
    """

    def __init__(self, vocab_size: int, order: int, num_elements: int, name: str, order_of_all: int) -> None:
        super().__init__(vocab_size, order, num_elements, name)
        self.dtypes = {**self.dtypes, SHARE: torch.float64}
        self.order_of_all = order_of_all

    @property
    def is_counted(self) -> bool:
        """Whether anything has been counted."""
        return SHARE in self._buffers

    @property
    def share_shape(self) -> tuple[int, ...]:
        """The shape of the buffer of the share."""
        return (1,)

    def shares(self, contexts: Ints) -> Floats:
        """(1,) or (n,) the weight of these counts after contexts (order + 1, n)."""
        return self.get_buffer(SHARE).cpu().numpy().astype(np.float32)

    def last_contexts(self, ids: Ints, labels: Ints | None) -> Ints | None:
        """Contexts (order + 1, n) of the token that follows each row of ids (n, L), of these classes (n,); None without effect."""
        raise NotImplementedError

    def contexts(self, ids: Ints, labels: Ints | None) -> Ints | None:
        """Contexts (order + 1, B*L) of the token that follows each id of ids (B, L), none across rows, of these classes (B,)."""
        raise NotImplementedError

    def learn(self, sequences: Sequence[Ints], fit: Fit, score: Score, num_groups: int = 1) -> bool:
        """Count sequences (B,), and fit the weight of these counts on held-out sequences. Returns whether the counts are kept,
        which they are unless they improve nothing.

        Args:
            fit: Counts the sequences of these numbers.
            score: Returns the probabilities that such counts give the targets of the sequences of these numbers, and the group of
                each target, which has a share of its own.
        """
        numbers = np.arange(0, len(sequences), 1 + sum(map(len, sequences)) // COMPARED_TOKENS)
        is_held_out = np.arange(len(numbers)) % HELD_OUT == HELD_OUT - 1
        known, held_out = numbers[~is_held_out], numbers[is_held_out]
        added, of_all, groups = np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        if len(held_out):
            counts_of_all = KneserNey.fit([sequences[i] for i in known], self.vocab_size, self.order_of_all)
            of_all = np.concatenate([counts_of_all.score(sequences[i])[1:] for i in held_out])  # (n,)
            added, groups = score(fit(known), held_out)
        shares = self._best_shares(added, of_all, groups, num_groups)
        if shares is not None:
            self.set_buffers({**fit(np.arange(len(sequences))).arrays(), SHARE: shares})
        return shares is not None

    def _best_shares(self, added: Floats, of_all: Floats, groups: Ints, num_groups: int) -> Doubles | None:
        """(num_groups,) the weights of these counts, by what both gave targets (n,); None if they are of no use."""
        return best_shares(added, of_all, groups, num_groups)

    def check(self) -> None:
        if not self.is_counted:
            return
        share = self.get_buffer(SHARE)
        if share.shape != self.share_shape or not bool((share >= 0.0).all() and (share <= 1.0).all()):
            raise ValueError(f"the share of {self.name} is not between 0 and 1")
        self.check_counts()

    def mix(self, of_all: Floats, contexts: Ints | None, targets: Ints | None = None) -> Floats:
        """The distribution (n, V) of all records, or the probabilities (n,) of targets (n,) under it, mixed with these counts'.

        contexts: (order + 1, n); None: nothing is mixed.
        """
        if contexts is None:
            return of_all
        share = self.shares(contexts)
        if targets is not None:
            return share * self.counts.probability(contexts, targets) + (np.float32(1.0) - share) * of_all
        return share[:, None] * self.counts.distribution(contexts) + (np.float32(1.0) - share[:, None]) * of_all


class CountContexts(NamedTuple):
    """Contexts of n targets in each of the counts.

    Attributes:
        of_all: (order + 1, n) in the counts of all records.
        added: (order + 1, n) in each of the added counts; None for those without effect.
    """

    of_all: Ints
    added: tuple[Ints | None, ...] = ()

    def rows(self, chosen: Bools | Ints) -> CountContexts:
        """Contexts of the targets that a mask or indices choose."""
        added = tuple(None if contexts is None else contexts[:, chosen] for contexts in self.added)
        return CountContexts(self.of_all[:, chosen], added)

    @classmethod
    def concatenate(cls, parts: Sequence[CountContexts]) -> CountContexts:
        """Contexts of all parts, one after another; None in added counts in which a part has none."""
        columns = [
            [array for array in column if array is not None] for column in zip(*(p.added for p in parts), strict=True)
        ]
        added = (np.concatenate(column, 1) if len(column) == len(parts) else None for column in columns)
        return cls(np.concatenate([part.of_all for part in parts], 1), tuple(added))


class CombinedCounts(NamedTuple):
    """The counts of all records, and those that are mixed with them one after the other."""

    of_all: KneserNey
    added: Sequence[AddedCounts]

    def last_contexts(self, ids: Ints, labels: Ints | None = None) -> CountContexts:
        """Contexts of the token that follows each row of ids (n, L). labels: (n,) classes; None where no class is known."""
        of_all = self.of_all.last_contexts(ids)
        return CountContexts(of_all, tuple(counts.last_contexts(ids, labels) for counts in self.added))

    def contexts(self, ids: Ints, labels: Ints | None = None) -> CountContexts:
        """Contexts of the token that follows each id of ids (B, L), none across rows. labels: (B,) classes or None."""
        return CountContexts(self.of_all.walk_rows(ids), tuple(counts.contexts(ids, labels) for counts in self.added))

    def distribution(self, contexts: CountContexts) -> Floats:
        """(n, V) distribution of the next token."""
        mixed = self.of_all.distribution(contexts.of_all)
        for counts, added in zip(self.added, contexts.added, strict=True):
            mixed = counts.mix(mixed, added)
        return mixed

    def probability(self, contexts: CountContexts, targets: Ints) -> Floats:
        """(n,) probabilities of targets (n,)."""
        mixed = self.of_all.probability(contexts.of_all, targets)
        for counts, added in zip(self.added, contexts.added, strict=True):
            mixed = counts.mix(mixed, added, targets)
        return mixed


def best_shares(added: NDArray[np.floating], of_all: NDArray[np.floating], groups: Ints, num_groups: int) -> Doubles:
    """The weights (num_groups,) of the first of two predictors that give targets (n,) these probabilities; a half without targets.

    groups: (n,) the group of each target, which has a weight of its own."""
    num_targets = np.bincount(groups, minlength=num_groups)
    shares = np.full(num_groups, 0.5)
    for _ in range(ROUNDS):
        weighted = shares[groups] * added
        is_added = weighted / (weighted + (1.0 - shares[groups]) * of_all)
        sums = np.bincount(groups, weights=is_added, minlength=num_groups)
        shares = np.where(num_targets > 0, sums / np.maximum(num_targets, 1), shares)
    return shares
