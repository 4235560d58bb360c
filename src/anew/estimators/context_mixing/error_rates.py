"""Errors of single tokens: words and pairs of characters that the train part does not have, unbalanced brackets, and lines within
brackets that stand where few do. Compiled loops.

A model that has seen little text gives such tokens more probability than text has of them, and a sample goes astray after each. Therefore
each kind of error is accepted only with the probability that brings it to its frequency in held-out text. Otherwise another
token is drawn, or the one that closes the bracket which the error would have left open. If text is full of them, as scripts without spaces
are of new words, nearly all are accepted.

Legend for shapes: T tokens of a text, V tokens, n rows, G kinds of errors (the first one: none), H slots.
"""

from __future__ import annotations

import numpy as np

from anew.core.arrays import Floats, Int32s, Ints
from anew.core.machine.compiled import compiled, compiled_inner
from anew.estimators.context_mixing.counts import (
    BYTES,
    CAPITAL,
    CHARACTER,
    CLOSERS,
    CLOSING,
    COLUMN,
    DEPTH_SHIFT,
    FIRST_DIGIT,
    FIRST_NON_ASCII,
    HISTORY_SIZE,
    IN_WORD,
    INDENT,
    INDENT_MASK,
    INDENT_SHIFT,
    LAST_DIGIT,
    LETTERS,
    NEWLINE,
    NUL,
    NUM_OPEN,
    OPENING,
    PREVIOUS_CHARACTER,
    SPACE,
    TAB,
    Index,
    Keys,
    Spelling,
    begins_character,
    combine_hashes,
    innermost,
    is_capital,
    is_letter,
    lower_case,
    pair_key,
    read_byte,
)
from anew.estimators.context_mixing.memory import read_uncounted
from anew.estimators.context_mixing.mixing import Memory
from anew.estimators.context_mixing.words import Words, is_beginning, is_compared, is_whole

# Kinds of errors, each of words for small letters and for a capital at the beginning: letters with which no word begins, and the end
# of a word where none ends
NONE, NEW_BEGINNING, NEW_ENDING = 0, 1, 3
# A bracket that closes where none is open, or one of another kind; the end of a document within brackets
UNOPENED, MISMATCHED, UNCLOSED = 5, 6, 7
# A line within brackets that is indented no more than the one where the innermost was opened: less, or the same, each for lines that
# begin with an opening bracket, a letter, or anything else
OUTDENTED = 8
NEW_REST = 14  # more letters of a word that is new already
EMPTY_LINE = 15  # an empty line within brackets
# A bracket that begins its line and closes one whose line is indented more, or less
CLOSED_LEFT, CLOSED_RIGHT = 16, 17
# A token that ends in the white space before a line within brackets where no other text of the line may begin: vocabularies have
# white space of each width as one token, so a line that is too far left is lost with it. The line end before a bracket that closes is
# such a token, too: where text has many, all are accepted. Further left than the line where the
# innermost bracket was opened, or as far; each at the margin and beyond, and within one bracket or several
ENDS_LEFT = 18
# A pair of characters: both beyond ASCII, or one of them a letter or digit of ASCII, or another character of ASCII. Where scripts are
# mixed, as in Japanese about computers, models of tokens stick scraps of Latin words to other letters, which no kind above counts
NEW_PAIR = 26
NUM_ERRORS = 29  # G; new kinds get the next numbers, since runs keep probabilities by number
# Standard deviations by which a kind must be drawn more often than text has it, or it is left alone. With one, a tenth of the rare
# kinds is refused by chance, however many tokens are drawn: the documents stay the same
MIN_EXCESS = 2.0
MAX_CHARACTER = 4  # bytes of a character in UTF-8


@compiled_inner
def error_of(history: Keys, scratch: Keys, token: Index, spelling: Spelling, words: Words, own_words: Words) -> Index:
    """The first error of a token after a history (HISTORY_SIZE,).

    Args:
        scratch: (HISTORY_SIZE,) buffer.
        words: Words of the train part.
        own_words: Words of the document so far, which count as known; its pairs of characters do not.
    """
    scratch[:] = history
    for position in range(spelling.starts[token], spelling.starts[token + 1]):
        byte = np.int64(spelling.bytes[position])
        error = _byte_error(scratch, byte, words, own_words)
        if error != NONE:
            return error
        read_byte(scratch, byte)
    return _indent_error(scratch)


@compiled_inner
def _byte_error(history: Keys, byte: Index, words: Words, own_words: Words) -> Index:
    letters = history[LETTERS]
    if is_compared(_byte_before(history, 0), byte) and not is_beginning(
        words, pair_key(history[PREVIOUS_CHARACTER], history[CHARACTER], byte)
    ):
        return _pair_error(history, byte)
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
def _pair_error(history: Keys, byte: Index) -> Index:
    """The kind of a new pair. byte: One of the second character."""
    place = 0
    if not begins_character(byte):
        while place < MAX_CHARACTER - 2 and not begins_character(_byte_before(history, place)):
            place += 1
        place += 1
    last = _byte_before(history, place)
    if last >= FIRST_NON_ASCII and byte >= FIRST_NON_ASCII:
        return NEW_PAIR
    ascii_byte = byte if last >= FIRST_NON_ASCII else last
    is_word = is_letter(ascii_byte) or FIRST_DIGIT <= ascii_byte <= LAST_DIGIT
    return NEW_PAIR + (1 if is_word else 2)


@compiled_inner
def _byte_before(history: Keys, place: Index) -> Index:
    """The last byte but `place`; -1 where there is none."""
    return np.int64(history[BYTES + place]) - 1


@compiled_inner
def _bracket_error(history: Keys, byte: Index) -> Index:
    if history[NUM_OPEN] == 0:
        return UNOPENED if byte in CLOSING else NONE
    if byte == NUL:
        return UNCLOSED
    opened = history[CLOSERS + innermost(history)]
    if opened >> np.uint64(DEPTH_SHIFT) != history[NUM_OPEN]:
        return NONE  # a deeper bracket took its place
    if byte in CLOSING and np.int64(opened & np.uint64(255)) != byte:
        return MISMATCHED
    if history[COLUMN] != history[INDENT] or byte in (SPACE, TAB):
        return NONE
    if byte == NEWLINE:
        return EMPTY_LINE
    indent_of_opening = (opened >> np.uint64(INDENT_SHIFT)) & np.uint64(INDENT_MASK)
    if byte in CLOSING:
        if history[INDENT] < indent_of_opening:
            return CLOSED_LEFT
        return CLOSED_RIGHT if history[INDENT] > indent_of_opening else NONE
    if history[INDENT] > indent_of_opening:
        return NONE
    beginning = 0 if byte in OPENING else (1 if is_letter(byte) else 2)
    return OUTDENTED + beginning + (3 if history[INDENT] == indent_of_opening else 0)


@compiled_inner
def _indent_error(history: Keys) -> Index:
    """The error of a token that ends here."""
    if history[NUM_OPEN] == 0 or history[COLUMN] != history[INDENT]:
        return NONE
    opened = history[CLOSERS + innermost(history)]
    indent_of_opening = (opened >> np.uint64(INDENT_SHIFT)) & np.uint64(INDENT_MASK)
    if opened >> np.uint64(DEPTH_SHIFT) != history[NUM_OPEN] or history[INDENT] > indent_of_opening:
        return NONE
    place = (4 if history[INDENT] == indent_of_opening else 0) + (2 if history[INDENT] > 0 else 0)
    return ENDS_LEFT + place + (1 if history[NUM_OPEN] > 1 else 0)


@compiled_inner
def closing_token(history: Keys, error: Index, spelling: Spelling) -> Index:
    """The token that closes the innermost bracket, which is drawn in place of an error that leaves it open: after a short training, a
    model that has come to the end of a form or a sentence knows too seldom how many are open. -1 for other errors, or without such a
    token."""
    is_left = MISMATCHED <= error < NEW_REST or error == EMPTY_LINE or ENDS_LEFT <= error < NEW_PAIR
    opened = history[CLOSERS + innermost(history)]
    if not is_left or history[NUM_OPEN] == 0 or opened >> np.uint64(DEPTH_SHIFT) != history[NUM_OPEN]:
        return -1
    closer = np.int64(opened & np.uint64(255))
    for token in range(len(spelling.starts) - 1):
        position = spelling.starts[token]
        if spelling.starts[token + 1] == position + 1 and spelling.bytes[position] == closer:
            return token
    return -1


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
    """Multiply weights (k, V) by the probabilities that their tokens are accepted. The weight lost by errors that leave a bracket
    open goes to the token that closes it.

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
    lost = np.zeros(len(accepted), np.float32)
    for i in range(len(places)):
        history, own = histories[places[i]], Words(own_words.table[places[i]], own_words.used[places[i]])
        is_multiplied[:], lost[:] = False, np.float32(0)
        top = np.argmax(weights[i])
        while min_p[i] > 0 and not is_multiplied[top]:
            error = error_of(history, scratch, np.int64(top), spelling, words, own)
            lost[error] += weights[i, top] * (np.float32(1) - accepted[error])
            weights[i, top] *= accepted[error]
            is_multiplied[top] = True
            top = np.argmax(weights[i])
        least = min_p[i] * weights[i, top]
        for token in range(weights.shape[1]):
            if weights[i, token] >= least and not is_multiplied[token]:
                error = error_of(history, scratch, np.int64(token), spelling, words, own)
                lost[error] += weights[i, token] * (np.float32(1) - accepted[error])
                weights[i, token] *= accepted[error]
        for error in range(len(lost)):
            closer = closing_token(history, error, spelling) if lost[error] > 0 else -1
            if closer >= 0 and weights[i, closer] > 0:
                weights[i, closer] += lost[error] * accepted[error_of(history, scratch, closer, spelling, words, own)]


@compiled
def acceptance_of_tokens(
    histories: Keys, own_words: Words, spelling: Spelling, words: Words, accepted: Floats, tokens: Ints, result: Floats
) -> None:
    """Fill `result` (n,) with the probabilities that tokens (n,) are accepted. Others: see `multiply_by_acceptance`."""
    scratch = np.zeros(HISTORY_SIZE, np.uint64)
    for row in range(len(tokens)):
        own = Words(own_words.table[row], own_words.used[row])
        result[row] = accepted[error_of(histories[row], scratch, tokens[row], spelling, words, own)]


@compiled
def tally_errors(ids: Int32s, document: Memory, base: Memory, spelling: Spelling, words: Words, counts: Ints) -> None:
    """Read a text (T,) without predicting it, and count its errors.

    Args:
        document: Its memory, which is extended.
        base: Memory of the train part.
        spelling, words: See `error_of`.
        counts: (G,) to which the errors are added.
    """
    scratch, own_words = np.zeros(HISTORY_SIZE, np.uint64), Words(document.words, document.num_words)
    for t in range(len(ids)):
        token = np.int64(ids[t])
        counts[error_of(document.history, scratch, token, spelling, words, own_words)] += 1
        read_uncounted(document, base, token, spelling)


def acceptance_rates(drawn: Ints, num_drawn: int, there: Ints) -> Floats:
    """(G,) probability that each kind of error is accepted; 1 unless it is drawn more often than it is there beyond chance.

    Args:
        drawn: (G,) how often each was drawn, refused ones as well.
        num_drawn: Number of tokens that were drawn and accepted.
        there: (G,) how often each was there; the sum is the number of tokens.
    """
    scale = num_drawn / max(1, there.sum())
    expected = there * scale
    is_excessive = drawn - expected > MIN_EXCESS * np.sqrt(drawn + expected * scale)
    is_excessive[NONE] = False
    rates: Floats = np.where(is_excessive, (expected + 0.5) / (drawn + 0.5), 1.0).astype(np.float32)
    return rates
