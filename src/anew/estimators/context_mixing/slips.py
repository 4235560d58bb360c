"""Slips: tokens that make a word which the train part does not have, or that break off brackets. Compiled loops.

A model that has seen little text gives such tokens more probability than text has of them, and a sample goes astray after each. So
they are accepted only with the probability that brings them to their frequency in held-out text, kind by kind, and drawn again
otherwise. Where text is full of them, as of new words in scripts without spaces, nearly all are accepted.

Legend for shapes: V tokens, n rows, G kinds of slips (the first one: none), H slots.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.compiled import compiled, compiled_inner
from anew.estimators.context_mixing.counts import (
    CAPITAL,
    CLOSERS,
    CLOSING,
    COLUMN,
    HISTORY_SIZE,
    IN_WORD,
    INDENT,
    LETTERS,
    NEWLINE,
    NUL,
    NUM_OPEN,
    OPENING,
    SPACE,
    TAB,
    WORD,
    Index,
    Keys,
    Spelling,
    combine_hashes,
    find,
    innermost,
    is_capital,
    is_letter,
    lower_case,
    read_byte,
)

# Kinds of slips, each of words for small letters and for a capital at the beginning: letters with which no word begins, and the end
# of a word where none ends
NONE, NEW_BEGINNING, NEW_ENDING = 0, 1, 3
# A bracket that closes where none is open, or one of another kind; the end of a document within brackets
UNOPENED, MISMATCHED, UNCLOSED = 5, 6, 7
# A line within brackets that is indented no more than the one where the innermost was opened: less, or the same, each for lines that
# begin with an opening bracket, a letter, or anything else
OUTDENTED = 8
NEW_REST = 14  # more letters of a word that is new already
NUM_SLIPS = 15  # G
WORD_KEY = 11  # of the context of the word so far, see `context_keys`
MAX_LOAD = 0.5  # share of slots in use above which the table of words grows
FIRST_SLOTS = 4096  # of that table; a short text needs no more
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Tokens = NDArray[np.int32]


class Words(NamedTuple):
    """All beginnings of words of a text.

    Attributes:
        table: (H,) hashes of their letters, H a power of two. The lowest bit says whether a word ends there; 0: free.
        used: (1,) slots in use.
    """

    table: Keys
    used: Ints


def words_of(text: Tokens, spelling: Spelling) -> Words:
    """The words of a text. text: (T,)."""
    slots = FIRST_SLOTS
    while True:
        words = Words(np.zeros(slots, np.uint64), np.zeros(1, np.int64))
        if add_words(text, spelling, words, int(MAX_LOAD * slots)):
            return words
        slots *= 4


@compiled
def add_words(text: Tokens, spelling: Spelling, words: Words, most: int) -> bool:
    """Add the words of a text (T,). Returns whether at most `most` slots were needed; otherwise some are missing."""
    letters = np.uint64(0)
    for t in range(len(text)):
        for position in range(spelling.starts[text[t]], spelling.starts[text[t] + 1]):
            letters = _add_byte(words, letters, np.int64(spelling.bytes[position]))
        if words.used[0] > most:
            return False
    return True


@compiled_inner
def _add_byte(words: Words, letters: np.uint64, byte: Index) -> np.uint64:
    """Add a beginning of a word, or its end. letters: a hash of those before, 0 outside of words. Returns that of the letters now."""
    slot = _slot_of(words.table, letters)
    if not is_letter(byte):
        if letters:
            words.table[slot] |= np.uint64(1)
        return np.uint64(0)
    letters = combine_hashes(letters, np.uint64(lower_case(byte)))
    slot = _slot_of(words.table, letters)
    if not words.table[slot]:
        words.table[slot] = letters & ~np.uint64(1)
        words.used[0] += 1
    return letters


@compiled_inner
def _slot_of(table: Keys, letters: np.uint64) -> Index:
    """The slot of the letters of a word, or the free one where they belong."""
    mask, key = len(table) - 1, letters & ~np.uint64(1)
    slot = np.int64(letters >> np.uint64(34)) & mask
    while table[slot] and table[slot] & ~np.uint64(1) != key:
        slot = (slot + 1) & mask
    return slot


@compiled_inner
def slip_of(
    history: Keys, scratch: Keys, token: Index, spelling: Spelling, words: Words, document: NDArray[np.int32]
) -> Index:
    """The first slip of a token after a history.

    Args:
        history: (HISTORY_SIZE,).
        scratch: (HISTORY_SIZE,) buffer.
        token: The token.
        spelling: Spelling of the tokens.
        words: Words of the train part.
        document: Heads of the counts of the document so far, whose words are known, too.
    """
    scratch[:] = history
    slip: Index = NONE
    for position in range(spelling.starts[token], spelling.starts[token + 1]):
        byte = np.int64(spelling.bytes[position])
        if slip == NONE:
            slip = _byte_slip(scratch, byte, words)
        read_byte(scratch, byte)
    is_new = NEW_BEGINNING <= slip < NEW_ENDING or slip == NEW_REST
    if is_new and find(document, combine_hashes(scratch[WORD], np.uint64(WORD_KEY))) >= 0:
        return NONE
    return slip


@compiled_inner
def _byte_slip(history: Keys, byte: Index, words: Words) -> Index:
    if is_letter(byte):
        if not _is_beginning(words.table, history[LETTERS]):
            return NEW_REST
        if not _is_beginning(words.table, combine_hashes(history[LETTERS], np.uint64(lower_case(byte)))):
            return NEW_BEGINNING + (np.int64(history[CAPITAL]) if history[IN_WORD] else np.int64(is_capital(byte)))
    elif history[IN_WORD]:
        entry = words.table[_slot_of(words.table, history[LETTERS])]
        if entry and not entry & np.uint64(1):
            return NEW_ENDING + np.int64(history[CAPITAL])
    return _bracket_slip(history, byte)


@compiled_inner
def _is_beginning(table: Keys, letters: np.uint64) -> bool:
    return bool(letters == 0 or table[_slot_of(table, letters)] != 0)


@compiled_inner
def _bracket_slip(history: Keys, byte: Index) -> Index:
    if history[NUM_OPEN] == 0:
        return UNOPENED if byte in CLOSING else NONE
    if byte == NUL:
        return UNCLOSED
    opened = history[CLOSERS + innermost(history)]
    if byte in CLOSING:
        return NONE if np.int64(opened & np.uint64(255)) == byte else MISMATCHED
    is_first = history[COLUMN] == history[INDENT] and byte not in (SPACE, TAB, NEWLINE)
    indent_of_opening = opened >> np.uint64(8)
    if not is_first or history[INDENT] > indent_of_opening:
        return NONE
    beginning = 0 if byte in OPENING else (1 if is_letter(byte) else 2)
    return OUTDENTED + beginning + (3 if history[INDENT] == indent_of_opening else 0)


@compiled_inner
def another_uniform(uniform: np.float64, number: Index) -> np.float64:
    """A number in [0, 1) that follows from another one, and from which of its followers it is."""
    mixed = combine_hashes(np.uint64(uniform * 2.0**53), np.uint64(number + 1))
    return np.float64(mixed >> np.uint64(11)) / 2.0**53


@compiled
def multiply_by_acceptance(
    histories: Keys,
    documents: NDArray[np.int32],
    places: Ints,
    spelling: Spelling,
    words: Words,
    accepted: Floats,
    weights: Floats,
    least: Floats,
) -> None:
    """Multiply weights (k, V) by the probabilities that their tokens are accepted.

    Args:
        histories: (n, HISTORY_SIZE).
        documents: (n, H, 4) heads of the counts of each document.
        places: (k,) the rows to which the weights belong.
        spelling, words: See `slip_of`.
        accepted: (G,) probability that each kind of slip is accepted.
        weights: Multiplied in place.
        least: (k,) weights below it are left as they are, which saves time.
    """
    scratch = np.zeros(HISTORY_SIZE, np.uint64)
    for i in range(len(places)):
        history, document = histories[places[i]], documents[places[i]]
        for token in range(weights.shape[1]):
            if weights[i, token] >= least[i]:
                weights[i, token] *= accepted[slip_of(history, scratch, np.int64(token), spelling, words, document)]


def accepted_shares(tallies: Ints) -> Floats:
    """(G,) probability that each kind of slip is accepted. tallies: (G, 2) how often it was drawn, and how often it was there."""
    shares: Floats = np.minimum(1.0, (tallies[:, 1] + 0.5) / (tallies[:, 0] + 0.5)).astype(np.float32)
    shares[NONE] = 1.0
    return shares
