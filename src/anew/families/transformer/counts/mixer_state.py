"""The state of the counting head for rows that are generated together, and how well its models did on their tokens so far.

Legend for shapes: n rows, V vocabulary, S models (network, counts and perhaps aligned records).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Doubles, Floats, Ints
from anew.estimators.alignment_experts import AlignmentExperts
from anew.families.transformer.counts.fixed_share import expert_chances, log_of
from anew.families.transformer.token_mixer import RowState

# The weight of a token falls by this factor with every further one: about the last 33 count (docs/log.md, 2026-11-25).
RECENT_DECAY = 0.97
# Extra tokens of value 0 that each mean includes: so means over few tokens are near 0, as the first tokens of a record say little; chosen.
RECENT_PRIOR = 4.0
# Least log-probability of a token, in nats: lower ones are clipped, so that features stay in the range of the fit.
WORST_LOG_PROB = -8.0


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

    @classmethod
    def concatenate(cls, parts: Sequence[RecentScores]) -> RecentScores:
        """All rows of parts that have read equally many tokens, one after the other."""
        whole = cls(0)
        whole._sums, whole._weight = np.concatenate([part._sums for part in parts]), parts[0]._weight
        return whole

    def add(self, *log_probs: NDArray[np.floating]) -> None:
        """Add the next token of every row: (n,) log-probabilities that each model gave it."""
        self._sums *= RECENT_DECAY
        for column, model in zip(self._sums.T, log_probs, strict=True):
            column += np.maximum(model, WORST_LOG_PROB)
        self._weight = RECENT_DECAY * self._weight + 1.0


class MixerState(RowState):
    """State of n rows that are generated together.

    Args:
        experts: Experts of n rows that follow known records; None without any.
        labels: (n,) their classes; None where no class is known.
    """

    def __init__(self, n: int, num_models: int, experts: AlignmentExperts | None, labels: Ints | None = None) -> None:
        super().__init__(n)
        self.labels = labels
        self.recent = RecentScores(n, num_models)
        self.experts = experts
        self.place = 0  # tokens that were read: the number of the next target
        self._proposed: list[Floats] = []
        self._shared: list[Floats] = []

    def select(self, rows: Ints) -> Self:
        selected = super().select(rows)
        selected.recent = self.recent.select(rows)
        selected.experts = None if self.experts is None else self.experts.select(rows)
        selected.labels = None if self.labels is None else self.labels[rows]
        return selected

    @classmethod
    def concatenate(cls, parts: Sequence[MixerState], labels: Ints | None) -> MixerState:
        """All rows of parts that have read equally many tokens, one after the other. labels: (n,) their classes."""
        experts = [part.experts for part in parts if part.experts is not None]
        whole = cls(0, 0, AlignmentExperts.concatenate(experts) if experts else None, labels)
        whole.recent, whole.place = RecentScores.concatenate([part.recent for part in parts]), parts[0].place
        whole.share.weights = np.concatenate([part.share.weights for part in parts])
        return whole

    def begin(self, ids: Ints) -> None:
        """Read a token of each row that is not a target. ids: (n,)."""
        self.place += 1
        if self.experts is not None:
            self.experts.observe(ids)

    def propose(self, log_probs: Sequence[Floats], shared: Sequence[Floats]) -> None:
        """Keep probabilities of the next token until `observe` gives the actual one.

        Args:
            log_probs: S of (n, V) of network, counts and perhaps aligned records.
            shared: Probabilities (n, V) of the experts that share the weight; the last is (V,) and uniform.
        """
        self._proposed, self._shared = list(log_probs), list(shared)

    def observe(self, tokens: Ints, is_drawn: bool = True) -> None:
        rows = np.arange(len(tokens))
        self.recent.add(*(model[rows, tokens] for model in self._proposed))
        self.share.observe(log_of(expert_chances(self._shared, tokens).astype(np.float32)))
        self.begin(tokens)
