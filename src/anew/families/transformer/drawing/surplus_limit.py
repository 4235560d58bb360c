"""How often samples continue passages, of the training text or of themselves: hardly more often than the data does.

A limit finds the passages that samples follow, and the tokens that continue them. It knows how often the data continues passages of each
class (of each length, say), and keeps for each sample by how many tokens it has continued them more often. The odds of the tokens that
continue are multiplied by a number of at most 1, according to that surplus.

Legend for shapes: n samples, k of them, t tokens so far, V vocabulary, K classes of passages.
"""

from __future__ import annotations

from copy import copy
from typing import Self

import numpy as np

from anew.core.arrays import Bools, Doubles, Floats, Ints


class SurplusLimit:
    """The limit of n samples.

    Args:
        rates: (K,) how often the data continues passages.
        odds_ratios: (K,) numbers by which the odds are always multiplied.
        usual_surplus: Tokens by which a sample may continue more often before the odds fall further, by e for each token.
        max_excess: Tokens beyond these after which the odds fall no further.

    Attributes:
        odds_ratios: As above; may be changed at any time.
        surplus: (n,) tokens by which samples have continued passages more often than the data.
        classes: (n,) those of the passages that the samples follow, in 1 to K - 1; 0 for samples that follow none.
        next_tokens: (n,) the token that continues each; -1 for none, and for several.
    """

    def __init__(self, n: int, rates: Doubles, odds_ratios: Floats, usual_surplus: float, max_excess: float) -> None:
        self.rates, self.odds_ratios = rates, odds_ratios
        self._usual_surplus, self._max_excess = usual_surplus, max_excess
        self.surplus: Doubles = np.zeros(n)
        self.classes: Ints = np.zeros(n, dtype=np.int64)
        self.next_tokens: Ints = np.full(n, -1)

    def read(self, ids: Ints) -> None:
        """Find the passages that end the samples (n, t), one token longer than at the last call."""
        raise NotImplementedError

    def continuations(self, row: int) -> Ints:
        """All tokens that continue the passage of a sample."""
        raise NotImplementedError

    def select(self, rows: Ints) -> Self:
        """The limit of samples (k,), by their numbers, each once at most; to be read before continuations are asked."""
        selected = copy(self)
        selected.surplus, selected.classes = self.surplus[rows], self.classes[rows]
        selected.next_tokens = self.next_tokens[rows]
        return selected

    @property
    def is_following(self) -> Bools:
        """(n,) whether samples follow a passage."""
        follows: Bools = self.classes > 0
        return follows

    @property
    def ratios(self) -> Doubles:
        """(n,) factors of the odds of the tokens that continue passages."""
        excess = np.minimum(np.maximum(self.surplus - self._usual_surplus, 0.0), self._max_excess)
        return np.where(self.is_following, self.odds_ratios[self.classes] * np.exp(-excess), 1.0)

    def excess_of(self, rows: Ints, continued: Bools | Doubles) -> Doubles:
        """(k,) by how much samples continued passages more often than the data. continued: (k,) whether, or how probably, they did."""
        classes = self.classes[rows]
        # Outside of passages nothing counts, though the rates may have an entry for that
        return np.where(classes > 0, continued - self.rates[classes], 0.0)

    def lower(self, weights: Floats, rows: Ints) -> Floats:
        """Weights (k, V) of the next tokens of samples (k,), those that continue passages multiplied by the ratios."""
        ratios = self.ratios[rows].astype(np.float32)
        lowered = np.flatnonzero(ratios < 1.0).tolist()
        weights = weights.copy() if lowered else weights
        for i in lowered:
            weights[i, self.continuations(int(rows[i]))] *= ratios[i]
        return weights
