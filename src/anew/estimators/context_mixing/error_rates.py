"""Errors of single tokens: words that the train part does not have, and unbalanced brackets. Compiled loops.

A model that has seen little text gives such tokens more probability than text has of them, and a sample goes astray after each. So
they are accepted only with the probability that brings them to their frequency in held-out text, kind by kind, and drawn again
otherwise. Where text is full of them, as of new words in scripts without spaces, nearly all are accepted.

Legend for shapes: V tokens, n rows, G kinds of errors (the first one: none), H slots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anew.core.compiled import compiled, compiled_inner
from anew.estimators.context_mixing.counts import (
    CAPITAL,
    CLOSERS,
    CLOSING,
    COLUMN,
    DEPTH_SHIFT,
    HISTORY_SIZE,
    IN_WORD,
    INDENT,
    INDENT_MASK,
    LETTERS,
    NEWLINE,
    NUL,
    NUM_OPEN,
    OPENING,
    SPACE,
    TAB,
    Index,
    Keys,
    Spelling,
    combine_hashes,
    innermost,
    is_capital,
    is_letter,
    lower_case,
    read_byte,
)
from anew.estimators.context_mixing.words import Words, is_beginning, is_whole

# Kinds of errors, each of words for small letters and for a capital at the beginning: letters with which no word begins, and the end
# of a word where none ends
NONE, NEW_BEGINNING, NEW_ENDING = 0, 1, 3
# A bracket that closes where none is open, or one of another kind; the end of a document within brackets
UNOPENED, MISMATCHED, UNCLOSED = 5, 6, 7
# A line within brackets that is indented no more than the one where the innermost was opened: less, or the same, each for lines that
# begin with an opening bracket, a letter, or anything else
OUTDENTED = 8
NEW_REST = 14  # more letters of a word that is new already
NUM_ERRORS = 15  # G
# Standard deviations by which a kind must be drawn more often than text has it, or it is left alone: rare kinds differ by chance
MIN_EXCESS = 2.0
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@compiled_inner
def error_of(history: Keys, scratch: Keys, token: Index, spelling: Spelling, words: Words, own_words: Words) -> Index:
    """The first error of a token after a history.

    Args:
        history: (HISTORY_SIZE,).
        scratch: (HISTORY_SIZE,) buffer.
        token: The token.
        spelling: Spelling of the tokens.
        words: Words of the train part.
        own_words: Those of the document so far, which are known, too.
    """
    scratch[:] = history
    for position in range(spelling.starts[token], spelling.starts[token + 1]):
        byte = np.int64(spelling.bytes[position])
        error = _byte_error(scratch, byte, words, own_words)
        if error != NONE:
            return error
        read_byte(scratch, byte)
    return NONE


@compiled_inner
def _byte_error(history: Keys, byte: Index, words: Words, own_words: Words) -> Index:
    letters = history[LETTERS]
    if is_letter(byte):
        longer = combine_hashes(letters, np.uint64(lower_case(byte)))
        if not is_beginning(words, longer) and not is_beginning(own_words, longer):
            # The document also has the letters before this one: by itself
            if not is_beginning(words, letters):
                return NEW_REST
            return NEW_BEGINNING + (np.int64(history[CAPITAL]) if history[IN_WORD] else np.int64(is_capital(byte)))
    elif (
        history[IN_WORD]
        and is_beginning(words, letters)
        and not (is_whole(words, letters) or is_whole(own_words, letters))
    ):
        return NEW_ENDING + np.int64(history[CAPITAL])
    return _bracket_error(history, byte)


@compiled_inner
def _bracket_error(history: Keys, byte: Index) -> Index:
    if history[NUM_OPEN] == 0:
        return UNOPENED if byte in CLOSING else NONE
    if byte == NUL:
        return UNCLOSED
    opened = history[CLOSERS + innermost(history)]
    if opened >> np.uint64(DEPTH_SHIFT) != history[NUM_OPEN]:
        return NONE  # a deeper bracket took its place
    if byte in CLOSING:
        return NONE if np.int64(opened & np.uint64(255)) == byte else MISMATCHED
    is_first = history[COLUMN] == history[INDENT] and byte not in (SPACE, TAB, NEWLINE)
    indent_of_opening = (opened >> np.uint64(8)) & np.uint64(INDENT_MASK)
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
    own_words: Words,
    places: Ints,
    spelling: Spelling,
    words: Words,
    accepted: Floats,
    min_p: Floats,
    weights: Floats,
) -> None:
    """Multiply weights (k, V) by the probabilities that their tokens are accepted.

    Args:
        histories: (n, HISTORY_SIZE).
        own_words: Words of each document, (n, H) and (n, 1).
        places: (k,) the rows to which the weights belong.
        spelling, words: See `error_of`.
        accepted: (G,) probability that each kind of error is accepted.
        min_p: (k,) weights that are below this share of the top product may stay as they are, which saves time.
        weights: Multiplied in place.
    """
    scratch, is_multiplied = np.zeros(HISTORY_SIZE, np.uint64), np.zeros(weights.shape[1], np.bool_)
    for i in range(len(places)):
        history, own = histories[places[i]], Words(own_words.table[places[i]], own_words.used[places[i]])
        is_multiplied[:] = False
        top = np.argmax(weights[i])
        while min_p[i] > 0 and not is_multiplied[top]:
            weights[i, top] *= accepted[error_of(history, scratch, np.int64(top), spelling, words, own)]
            is_multiplied[top] = True
            top = np.argmax(weights[i])
        least = min_p[i] * weights[i, top]
        for token in range(weights.shape[1]):
            if weights[i, token] >= least and not is_multiplied[token]:
                weights[i, token] *= accepted[error_of(history, scratch, np.int64(token), spelling, words, own)]


@compiled
def acceptance_of_tokens(
    histories: Keys, own_words: Words, spelling: Spelling, words: Words, accepted: Floats, tokens: Ints, result: Floats
) -> None:
    """Fill `result` (n,) with the probabilities that tokens (n,) are accepted. Others: see `multiply_by_acceptance`."""
    scratch = np.zeros(HISTORY_SIZE, np.uint64)
    for row in range(len(tokens)):
        own = Words(own_words.table[row], own_words.used[row])
        result[row] = accepted[error_of(histories[row], scratch, tokens[row], spelling, words, own)]


def acceptance_rates(tallies: Ints) -> Floats:
    """(G,) probability that each kind of error is accepted; 1 unless it is drawn more often than it is there beyond chance.

    Args:
        tallies: (G, 2) how often each was drawn, and how often it was there.
    """
    drawn, there = tallies.T.astype(np.float64)
    is_excessive = drawn - there > MIN_EXCESS * np.sqrt(drawn + there)
    is_excessive[NONE] = False
    rates: Floats = np.where(is_excessive, (there + 0.5) / (drawn + 0.5), 1.0).astype(np.float32)
    return rates
