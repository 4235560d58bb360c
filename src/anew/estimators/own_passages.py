"""Passages of a sequence that it repeats later: what would continue them, and how often sequences do.

Legend for shapes: K kinds of places.
"""

from __future__ import annotations

import numpy as np

from anew.core.arrays import Doubles, Ints
from anew.estimators.passages import MIN_MATCH

NUM_LENGTHS = 7  # classes of lengths: from 4, 8, 16, 32, 64, 128 and 256 tokens on
MAX_LENGTH = MIN_MATCH << (NUM_LENGTHS - 1)  # lengths beyond are not told apart
DISTANCES = (1, 4, 16)  # classes of distances: up to these, and beyond; loops of one token are the most common
NUM_KINDS = 1 + NUM_LENGTHS * (len(DISTANCES) + 1)  # K; the first one: no passage is repeated


class OwnPassage:
    """The passage of a growing sequence that its end repeats.

    It is followed as long as the sequence continues it; then the last place with the same MIN_MATCH tokens is taken.

    Attributes:
        next_token: The token that continues the passage; -1 without one.
        kind: Class of its length and of the distance to what it repeats, in 1 to K - 1; 0 without one.
    """

    __slots__ = ("_length", "_next_place", "_places", "_shared_places", "_tokens", "kind", "next_token")

    def __init__(self) -> None:
        self._tokens: list[int] = []
        # By MIN_MATCH tokens, the place that follows them. Copies share those before they were made, which are not changed any more:
        # of a prompt of 50,000 tokens they take 3 MB
        self._places: dict[tuple[int, ...], int] = {}
        self._shared_places: dict[tuple[int, ...], int] = {}
        self._next_place, self._length = -1, 0
        self.next_token, self.kind = -1, 0

    def read(self, token: int) -> None:
        """Read the next token."""
        tokens = self._tokens
        tokens.append(token)
        if self.next_token == token:
            self._next_place += 1
            self._length += 1
        else:
            self._next_place = -1
        if len(tokens) >= MIN_MATCH:
            key = tuple(tokens[-MIN_MATCH:])
            if self._next_place < 0:
                self._find(key)
            self._places[key] = len(tokens)
        if self._next_place < 0:
            self.next_token, self.kind = -1, 0
            return
        self.next_token = tokens[self._next_place]
        size = min(self._length, MAX_LENGTH).bit_length() - MIN_MATCH.bit_length()
        distance = len(tokens) - self._next_place
        self.kind = 1 + size + NUM_LENGTHS * sum(distance > limit for limit in DISTANCES)

    def copy(self) -> OwnPassage:
        """The same sequence, to go on in another way."""
        if self._places:
            self._shared_places, self._places = {**self._shared_places, **self._places}, {}
        other = OwnPassage()
        other._tokens, other._shared_places = list(self._tokens), self._shared_places
        other._next_place, other._length = self._next_place, self._length
        other.next_token, other.kind = self.next_token, self.kind
        return other

    def _find(self, key: tuple[int, ...]) -> None:
        """Take the last place that follows these tokens, if there is one."""
        tokens, length = self._tokens, MIN_MATCH
        place = self._places.get(key)
        if place is None:
            place = self._shared_places.get(key, -1)
        self._next_place = place
        while length < min(MAX_LENGTH, place) and tokens[place - 1 - length] == tokens[-1 - length]:
            length += 1
        self._length = length


def own_passages(sequence: Ints) -> Ints:
    """(k, 2) the places at which a sequence could continue a passage of its own, in order: their kinds, and 1 if it did."""
    passage, places = OwnPassage(), []
    for token in sequence.tolist():
        if passage.kind:
            places.append((passage.kind, token == passage.next_token))
        passage.read(token)
    return np.array(places, dtype=np.int64).reshape(-1, 2)


def tally_passages(places: Ints) -> Ints:
    """(K, 2) how many places (k, 2) are of each kind, and at how many of them a sequence continued the passage."""
    columns = [np.bincount(places[:, 0], weights, NUM_KINDS) for weights in (None, places[:, 1])]
    return np.stack(columns, 1).astype(np.int64)


def largest_surplus(places: Ints, rates: Doubles) -> float:
    """Tokens by which a stretch of a sequence continued passages more often than at these rates (K,), at most. places: (k, 2)."""
    # The largest rise of a sum above its lowest value before
    sums = np.concatenate(([0.0], np.cumsum(places[:, 1] - rates[places[:, 0]])))
    return float((sums - np.minimum.accumulate(sums)).max())
