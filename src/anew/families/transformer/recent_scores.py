"""How well each of several models did on the tokens so far of rows that grow together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The weight of a token falls by this factor with every further one: about the last 33 count (docs/log.md, 2026-11-25).
RECENT_DECAY = 0.97
# Means count so many extra tokens of 0: those over few tokens are near 0, as the first tokens of a record say little; chosen.
RECENT_PRIOR = 4.0
# In nats: a token's log-probability is clipped here, so that features stay in the range of the fit.
WORST_LOG_PROB = -8.0
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


class RecentScores:
    """Scores of each of S models on the tokens so far in n rows: decayed means of their log-probabilities.

    A record without relatives in the train part, or a text by another author, is noticed because the counts did badly.
    """

    def __init__(self, n: int, num_models: int = 2) -> None:
        self._sums, self._weight = np.zeros((n, num_models)), 0.0

    @property
    def means(self) -> Doubles:
        """(n, S) nats of each model, 0 before the first token."""
        return self._sums / (self._weight + RECENT_PRIOR)

    def select(self, rows: Ints) -> RecentScores:
        """Rows (k,) of these, by their numbers; a row may be taken several times."""
        selected = RecentScores(len(rows), self._sums.shape[1])
        selected._sums, selected._weight = self._sums[rows], self._weight
        return selected

    def add(self, *log_probs: NDArray[np.floating]) -> None:
        """Add the next token of every row: (n,) log-probabilities that each model gave it."""
        self._sums *= RECENT_DECAY
        for column, model in zip(self._sums.T, log_probs, strict=True):
            column += np.maximum(model, WORST_LOG_PROB)
        self._weight = RECENT_DECAY * self._weight + 1.0
