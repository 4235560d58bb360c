"""Keeps samples of byte-level tokens valid UTF-8: an automaton over the bytes of tokens, whose state limits the next ones.

A token of some of a character's bytes may only be followed by the others, and a sample does not end before they are there. The
effect of each token in each state is read from a table, which is made once.

Legend for shapes: n samples, L tokens, V vocabulary, S states.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from anew.core.arrays import Bools, Floats, Ints

# The states: between characters, one to three continuation bytes to come, and the four first bytes after which not all may come.
BETWEEN, AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4, NUM_STATES = 0, 4, 5, 6, 7, 8
INVALID = NUM_STATES
# For each state within a character, the bytes that may come, and the state after them (RFC 3629, section 4)
CONTINUATIONS = {
    1: (0x80, 0xBF, BETWEEN),
    2: (0x80, 0xBF, 1),
    3: (0x80, 0xBF, 2),
    AFTER_E0: (0xA0, 0xBF, 1),
    AFTER_ED: (0x80, 0x9F, 1),
    AFTER_F0: (0x90, 0xBF, 2),
    AFTER_F4: (0x80, 0x8F, 2),
}
# From and to which first byte, and the state after it (the same section)
FIRST_BYTES = ((0x00, 0x7F, BETWEEN), (0xC2, 0xDF, 1), (0xE1, 0xEF, 2), (0xF1, 0xF3, 3))
# The first bytes after which not all continuations may come, since a shorter form exists or the code point is none
SPECIAL_FIRST_BYTES = ((0xE0, AFTER_E0), (0xED, AFTER_ED), (0xF0, AFTER_F0), (0xF4, AFTER_F4))
MAX_BYTES_TO_COME = 3  # a character of UTF-8 has at most four bytes


class WholeCharacters:
    """The effect of each token in each state.

    Args:
        spellings: The bytes of each of the V tokens.
        unsampled: (V,) whether a token is never drawn.

    Attributes:
        next_state: (S, V) the state after a token, INVALID where it may not come.
        tokens_to_end: (S,) fewest further tokens that may be drawn to the end of the character.
    """

    def __init__(self, spellings: Sequence[bytes], unsampled: Bools) -> None:
        self.next_state = _next_states(spellings)
        self.tokens_to_end = _tokens_to_end(self.next_state[:, ~unsampled])
        to_end = np.append(self.tokens_to_end, MAX_BYTES_TO_COME + 1)[self.next_state]  # (S, V)
        may_come = to_end <= np.arange(MAX_BYTES_TO_COME + 1)[:, None, None]  # (4, S, V)
        # By how many tokens can come after this one; (4, S, V)
        self._allowed: Floats = (may_come & ~unsampled).astype(np.float32)

    def allowed(self, states: Ints, num_after: Ints) -> Floats:
        """(n, V) 1 for tokens that may come, else 0; read only.

        Args:
            states: (n,).
            num_after: (n,) how many tokens can come after this one.
        """
        num_after = np.minimum(num_after, MAX_BYTES_TO_COME)
        keys = np.stack((num_after, states))  # (2, n)
        if (keys == keys[:, :1]).all():  # no copy for each row
            return np.broadcast_to(self._allowed[tuple(keys[:, 0])], (len(states), self._allowed.shape[-1]))
        rows: Floats = self._allowed[tuple(keys)]
        return rows

    def after(self, states: Ints, tokens: Ints) -> Ints:
        """(n,) states after tokens (n,) that followed states (n,); after one that may not come, as if a text began with it."""
        states = self.next_state[states, tokens]
        states = np.where(states == INVALID, self.next_state[BETWEEN, tokens], states)
        return np.where(states == INVALID, BETWEEN, states)

    def after_prompt(self, ids: Ints) -> Ints:
        """(n,) states after ids (n, L); as if a text began where no token that may be drawn could end the character."""
        states = np.full(len(ids), BETWEEN, dtype=np.int64)
        for tokens in ids[:, -MAX_BYTES_TO_COME:].T:
            states = self.after(states, tokens)
        return np.where(self.tokens_to_end[states] > MAX_BYTES_TO_COME, BETWEEN, states)

    def portable(self) -> dict[str, object]:
        """The table for samplers without Anew: `columns`, lists of S states, of which each token has the one of its `kinds`;
        INVALID is -1. `to_end`: see `tokens_to_end`."""
        table = np.where(self.next_state == INVALID, -1, self.next_state)
        columns, kinds = np.unique(table, axis=1, return_inverse=True)
        return {
            "kinds": kinds.reshape(-1).tolist(),
            "columns": columns.T.tolist(),
            "to_end": self.tokens_to_end.tolist(),
        }


@functools.lru_cache(maxsize=8)
def whole_characters(spellings: tuple[bytes, ...], unsampled: tuple[int, ...]) -> WholeCharacters | None:
    """The table of a vocabulary of which these ids are never drawn; None where every token is whole characters, or nothing is spelt."""
    if not spellings or not _next_states(spellings)[BETWEEN].any():
        return None
    return WholeCharacters(spellings, np.isin(np.arange(len(spellings)), unsampled))


def _byte_table() -> Ints:
    """(S + 1, 256) the state after a byte."""
    table = np.full((NUM_STATES + 1, 256), INVALID)
    for low, high, state in FIRST_BYTES:
        table[BETWEEN, low : high + 1] = state
    for byte, state in SPECIAL_FIRST_BYTES:
        table[BETWEEN, byte] = state
    for state, (low, high, following) in CONTINUATIONS.items():
        table[state, low : high + 1] = following
    return table


def _next_states(spellings: Sequence[bytes]) -> Ints:
    """(S, V) the state after each token."""
    lengths = np.array([len(spelling) for spelling in spellings])
    padded = np.array(spellings, dtype=f"S{max(1, lengths.max(initial=1))}")
    letters = padded.view(np.uint8).reshape(len(spellings), -1)  # (V, most bytes)
    table = _byte_table()
    states = np.tile(np.arange(NUM_STATES)[:, None], len(spellings))  # (S, V)
    for place, column in enumerate(letters.T):
        states = np.where(place < lengths, table[states, column], states)
    return states


def _tokens_to_end(next_state: Ints) -> Ints:
    """(S,) fewest tokens from each state to BETWEEN; more than MAX_BYTES_TO_COME where no tokens lead there."""
    distance = np.full(NUM_STATES + 1, MAX_BYTES_TO_COME + 1)
    distance[BETWEEN] = 0
    for _ in range(MAX_BYTES_TO_COME):
        nearest = distance[next_state].min(1, initial=MAX_BYTES_TO_COME + 1) + 1
        distance[1:NUM_STATES] = np.minimum(distance[1:NUM_STATES], nearest[1:])
    return distance[:NUM_STATES]
