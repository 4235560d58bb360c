"""How probable samples are under the weights that they are drawn from.

Legend for shapes: n samples, k of them that still grow, V vocabulary.
"""

from __future__ import annotations

import numpy as np

from anew.core.arrays import Bools, Doubles, Floats, Ints
from anew.families.transformer.drawing.context_drawing import MIN_WEIGHT


class DrawnBits:
    """The bits (-log2 of the probability) of the drawn tokens of n samples, before temperature, cuts and limits."""

    def __init__(self, n: int) -> None:
        self._bits, self._num_tokens = np.zeros((2, n))

    @property
    def per_token(self) -> Doubles:
        """(n,) on average over the drawn tokens; zeros if none were counted."""
        bits: Doubles = self._bits / self._num_tokens.clip(1.0)
        return bits

    def count(self, weights: Floats, tokens: Ints, places: Ints, is_counted: Bools) -> None:
        """Count the tokens (k,) that were drawn from weights (k, V).

        Args:
            places: (k,) numbers of these samples among all n.
            is_counted: (k,) whether each token counts.
        """
        rows = np.flatnonzero(is_counted)
        counted = weights[rows].astype(np.float64)
        probabilities = np.maximum(counted[np.arange(len(rows)), tokens[rows]], MIN_WEIGHT) / counted.sum(1)
        self._bits[places[rows]] -= np.log2(probabilities)
        self._num_tokens[places[rows]] += 1.0
