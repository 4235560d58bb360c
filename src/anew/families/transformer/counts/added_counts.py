"""Kneser-Ney counts, stored as buffers: those of all records, and additional ones (by class, by field) that are mixed with them.

Legend for shapes: n targets or rows, V vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from anew.core.arrays import Doubles, Floats, Ints
from anew.estimators.kneser_ney import ARRAYS, KneserNey
from anew.families.transformer.fitted_buffers import FittedBuffers

SHARE = "share"  # buffer: the weight of these counts, or weights, beside those of all records
HELD_OUT = 10  # every tenth record is held out while the share is learned; chosen
COMPARED_TOKENS = 200_000  # tokens of the records that it is learned from: takes a second
ROUNDS = 200  # of expectation and maximisation: with 20, a share that should be 1 is .96
COUNT_DTYPES = {"contexts": torch.int64, "starts": torch.int64, "tokens": torch.int32}  # others have float32


class CountBuffers(FittedBuffers):
    """Kneser-Ney counts as buffers.

    Args:
        num_elements: Number of different elements of a context, if more than V.
        name: What they are called in messages.
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
    """Counts beside those of all records. Until they are counted, nothing changes. Arguments as for `CountBuffers`."""

    def __init__(self, vocab_size: int, order: int, num_elements: int, name: str) -> None:
        super().__init__(vocab_size, order, num_elements, name)
        self.dtypes = {**self.dtypes, SHARE: torch.float64}

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

    def set_counts(self, counts: KneserNey, share: Doubles) -> None:
        """Keep counts, which are mixed with those of all records from now on. share: of `share_shape`."""
        self.set_buffers({**counts.arrays(), SHARE: share})

    def check(self) -> None:
        if not self.is_counted:
            return
        share = self.get_buffer(SHARE)
        if share.shape != self.share_shape or not bool((share >= 0.0).all() and (share <= 1.0).all()):
            raise ValueError(f"the share of {self.name} is not between 0 and 1")
        self.check_counts()

    def mix_distributions(self, distribution: Floats, contexts: Ints | None) -> Floats:
        """(n, V) a distribution of all records, mixed with that of these counts where contexts are given."""
        if contexts is None:
            return distribution
        share = self.shares(contexts)[:, None]
        return share * self.counts.distribution(contexts) + (np.float32(1.0) - share) * distribution

    def mix_probabilities(self, probability: Floats, contexts: Ints | None, targets: Ints) -> Floats:
        """(n,) probabilities of targets (n,) under all records, mixed with those of these counts where contexts are given."""
        if contexts is None:
            return probability
        share = self.shares(contexts)
        return share * self.counts.probability(contexts, targets) + (np.float32(1.0) - share) * probability


def best_shares(
    added: NDArray[np.floating], of_all: NDArray[np.floating], groups: Ints | None = None, num_groups: int = 1
) -> Doubles:
    """The weights (num_groups,) of the first of two predictors that give targets (n,) these probabilities; a half without targets.

    groups: (n,) the group of each target, which has a weight of its own; None: they are all of one group."""
    groups = np.zeros(len(added), dtype=np.int64) if groups is None else groups
    num_targets = np.bincount(groups, minlength=num_groups)
    shares = np.full(num_groups, 0.5)
    for _ in range(ROUNDS):
        weighted = shares[groups] * added
        is_added = weighted / (weighted + (1.0 - shares[groups]) * of_all)
        sums = np.bincount(groups, weights=is_added, minlength=num_groups)
        shares = np.where(num_targets > 0, sums / np.maximum(num_targets, 1), shares)
    return shares
