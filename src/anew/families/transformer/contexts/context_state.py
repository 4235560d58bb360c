"""The state of context mixing for samples that are generated together.

Legend for shapes: n samples, V vocabulary, E experts, G kinds of errors (see `error_rates`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from anew.core.arrays import Doubles, Floats, Ints
from anew.families.transformer.counts.fixed_share import expert_chances, log_of
from anew.families.transformer.token_mixer import RowState

if TYPE_CHECKING:
    from anew.estimators.context_mixing.mixer import ContextMixer

# Tokens of one document that are remembered before it starts again; bounds memory (130 MB)
MAX_DOCUMENT_TOKENS = 131_072
FIRST_CAPACITY = 256  # tokens of a sample before its memory is doubled: most records and replies are shorter


class ContextState(RowState):
    """State of n samples that are generated together.

    Args:
        mixer: The mixer that generates them.
        capacity: Number of tokens that they can hold at first.
        adapts: Whether drawn tokens count as part of the document, as in scoring. If settings cut the distribution, a sample would learn
            from itself, and end in a loop.
        labels: (n,) classes; None for none.

    Attributes:
        accepted: (G,) probability that each kind of error is accepted in drawing; None: all are.
        tallies: (G, 2) to which is added how often each kind is drawn, and how often it is accepted; None: not tallied.
    """

    def __init__(self, mixer: ContextMixer, n: int, capacity: int, adapts: bool, labels: Ints | None = None) -> None:
        super().__init__(n)
        self.mixer, self.adapts = mixer, adapts
        self.accepted: Floats | None = None
        self.tallies: Ints | None = None
        self._num_counted = 0
        self.rows, self.joint = mixer.rows(n, capacity, labels), mixer.joints(n)
        self._shared: list[Floats] = []
        self._chances: Doubles | None = None

    def select(self, rows: Ints) -> Self:
        from anew.estimators.context_mixing.mixer import select_joint, select_memory

        selected = super().select(rows)
        selected.rows, selected.joint = select_memory(self.rows, rows), select_joint(self.joint, rows)
        return selected

    def weights_if_accepted(self, weights: Floats) -> Floats:
        """Weights (n, V) of the next tokens; those of errors are lowered if not all are accepted."""
        if self.accepted is None:
            return weights
        return self.mixer.weights_if_accepted(self.rows, np.arange(len(weights)), weights, self.accepted)

    def begin(self, ids: Ints, is_drawn: bool = False) -> None:
        """Read a token of each sample. ids: (n,), of the prompt or drawn."""
        used, capacity = self.rows.num_tokens, self.rows.text.shape[1] - 1
        if used >= capacity:
            num_counted = None if self.adapts else self._num_counted
            self.rows = self.mixer.resized(self.rows, min(2 * capacity, MAX_DOCUMENT_TOKENS), num_counted)
        is_counted = self.adapts or not is_drawn
        self.mixer.observe(self.rows, ids, is_counted)
        if is_counted:
            self.mark_counted()

    def mark_counted(self) -> None:
        """Count all tokens that were read so far as part of the document."""
        self._num_counted = self.rows.num_tokens

    def learn(self, network: Floats, tokens: Ints) -> None:
        """Let the weights of contexts and network learn from the next tokens (n,). network: (n, V) probabilities."""
        self.mixer.draw(self.rows, self.joint, network, np.zeros(len(tokens), dtype=np.float32), tokens.copy())

    def propose(self, shared: Sequence[Floats]) -> None:
        """Keep probabilities until `observe`: (n, V) of both together and of the network, and (V,) uniform."""
        self._shared, self._chances = list(shared), None

    def propose_drawn(self, chances: Doubles) -> None:
        """Keep the probabilities (n, E) that the experts gave the drawn tokens until `observe`."""
        self._chances = chances

    def observe(self, tokens: Ints, is_drawn: bool = True) -> None:
        chances = self._chances
        if chances is None:
            chances = expert_chances(self._shared, tokens)
            if self.adapts or not is_drawn:
                self.learn(self._shared[1], tokens)
        self.share.observe(log_of(chances.astype(np.float32)))
        self.begin(tokens, is_drawn)
