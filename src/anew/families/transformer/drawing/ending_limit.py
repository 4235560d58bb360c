"""Draws the end of a prompt again, in the tokens that a text would have there; see `PromptEnding`.

Legend for shapes: n samples, V vocabulary.
"""

from __future__ import annotations

from collections import defaultdict
from copy import copy

import numpy as np

from anew.core.arrays import Floats, Ints
from anew.core.specs import PromptEnding


class EndingLimit:
    """The tokens that samples may draw until the text of their prompt is complete."""

    def __init__(self, ending: PromptEnding, n: int, vocab_size: int) -> None:
        self._ending = ending
        followers: dict[tuple[int, ...], set[int]] = defaultdict(set)
        for sequence in ending.sequences:
            for place, token in enumerate(sequence):
                followers[sequence[:place]].add(token)
        # (V,) 1 for what may follow each beginning of a sequence
        self._masks = {beginning: _mask(tokens, vocab_size) for beginning, tokens in followers.items()}
        self._drawn: list[tuple[int, ...]] = [()] * n

    @property
    def is_complete(self) -> bool:
        """Whether all samples have the text of their prompt."""
        return not any(drawn in self._masks for drawn in self._drawn)

    def num_known(self) -> Ints:
        """(n,) see `PromptEnding.num_known`."""
        return np.array([self._ending.num_known(drawn) for drawn in self._drawn])

    def allowed(self, allowed: Floats | None) -> Floats:
        """(n, V) 1 for tokens that may come next, else 0. allowed: (n, V) those that others allow; None: all."""
        vocab_size = len(self._masks[()])
        rows = np.ones((len(self._drawn), vocab_size), np.float32) if allowed is None else np.array(allowed)
        for row, drawn in zip(rows, self._drawn, strict=True):
            if drawn in self._masks:
                both = row * self._masks[drawn]
                # The text of the prompt comes first: with few tokens to come, its characters may be all that fits
                row[:] = both if both.any() else self._masks[drawn]
        return rows

    def after(self, tokens: Ints) -> EndingLimit:
        """The limit after these tokens (n,) were drawn."""
        pairs = zip(self._drawn, tokens.tolist(), strict=True)
        return self._with([(*drawn, token) if drawn in self._masks else drawn for drawn, token in pairs])

    def select(self, rows: Ints) -> EndingLimit:
        """The limit of these samples (k,), by their numbers."""
        return self._with([self._drawn[row] for row in rows.tolist()])

    def _with(self, drawn: list[tuple[int, ...]]) -> EndingLimit:
        limit = copy(self)
        limit._drawn = drawn
        return limit


def _mask(tokens: set[int], vocab_size: int) -> Floats:
    mask = np.zeros(vocab_size, dtype=np.float32)
    mask[list(tokens)] = 1.0
    return mask
