"""Counts of the symbols that followed each context: keys of contexts, and a hash table from keys to tallies. Compiled loops.

A key is a hash of the context of a token, so two contexts may collide: once in 2 billion checks.

Legend for shapes: C kinds of context, H slots, E entries, D questions of the longest path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Int32s, Ints
from anew.core.machine.compiled import compiled_inner

NUM_TOKEN_ORDERS = 7  # the first kinds of context: the last 0 .. 6 tokens
NUM_KINDS = 19  # C
# The others: the last bytes; the current word, alone and with those before it; words with the one before skipped, and tokens with the last
# one skipped; the beginning of the line; the word of the innermost bracket, how deep brackets are nested, and the place in the line, each
# of these three with the last token
(
    TWO_BYTES,
    THREE_BYTES,
    FOUR_BYTES,
    ONE_WORD,
    TWO_WORDS,
    THREE_WORDS,
    SKIPPED_WORD,
    SKIPPED_TOKEN,
    LINE_BEGINNING,
    BRACKET_WORD,
    NESTING,
    LINE_PLACE,
) = range(NUM_TOKEN_ORDERS, NUM_KINDS)
# Columns of `Counts.heads`: check bits of the key, the first entry or the one tally, their number and capacity, and the newest symbol.
CHECK, FIRST, SIZES, NEWEST = range(4)
# An entry holds a symbol in its lower 16 bits, and the tally of that in the upper ones
SYMBOL_MASK, TALLY_SHIFT, ONE_TALLY, MAX_TALLY = np.uint32(0xFFFF), np.uint32(16), np.uint32(1 << 16), 0xFFFF
# SIZES holds the number of entries in its lower 16 bits, and their capacity in the upper ones
SIZE_MASK, CAPACITY_SHIFT, ONE_CAPACITY = 0xFFFF, 16, 1 << 16
# Offsets in a history (HISTORY_SIZE,): the last tokens and bytes, the newest first, then hashes of words and the position in the line;
# a hash of the letters of the current word alone, and whether a capital begins it; white space at the beginning of this line and of
# the last one with more, the number of open brackets, whether the innermost one still awaits its word, a hash of each open bracket
# and its word (the one right before it, else the first one in it), and the bracket that closes it with its place; then hashes of the
# character before this one, and of the bytes of this one so far, 0 between documents; hashes of the first field of this line so far, and
# of that of the last line with one, and whether this line's has ended. CLASS: the class of the document + 1, 0 for none.
TOKENS, BYTES, TOKENS_KEPT, BYTES_KEPT = 0, 6, 6, 6
WORD, PREVIOUS_WORD, SECOND_LAST_WORD, FIRST_WORD_OF_LINE, COLUMN, IN_WORD, AT_LINE_START = range(12, 19)
LETTERS, CAPITAL, CLASS = 19, 20, 21
INDENT, INDENT_ABOVE, NUM_OPEN, AWAITS_HEAD, HEADS = range(22, 27)
# Open brackets of which the word is kept, a power of two; deeper ones take the places of the outermost
MAX_OPEN = 16
# The closing bracket (8 bits), the white space before the line where the bracket was opened and the column there (16 bits each), and
# the number of brackets that are open with this one, which tells whether a deeper one has taken its place
CLOSERS = HEADS + MAX_OPEN
INDENT_SHIFT, COLUMN_SHIFT, DEPTH_SHIFT = 8, 24, 40
INDENT_MASK, PLACE_MASK = 2**16 - 1, 2**32 - 1  # bits of the white space alone, and of white space and column
# Bits of the column that contexts do not tell apart outside of brackets: fours of columns
COLUMNS_TOGETHER = np.uint64(2)
PREVIOUS_CHARACTER = CLOSERS + MAX_OPEN
CHARACTER = PREVIOUS_CHARACTER + 1
FIELD, FIELD_ABOVE, FIELD_ENDED = range(CHARACTER + 1, CHARACTER + 4)
HISTORY_SIZE = FIELD_ENDED + 1
TAB_WIDTH = 8  # a power of two
MAX_DEPTH = 12  # numbers of open brackets that contexts distinguish
# Columns from the line's start that contexts distinguish: indentation and list marks, though not one tab from two
FEW_COLUMNS = 3
# ASCII; special tokens, as between two documents, are spelt with NUL
NUL, TAB, NEWLINE, SPACE, APOSTROPHE = 0, 9, 10, 32, 39
OPENING, CLOSING = (40, 91, 123), (41, 93, 125)  # ([{ and )]}
# A, Z, a, z, the first byte beyond ASCII
FIRST_UPPER, LAST_UPPER, FIRST_LOWER, LAST_LOWER, FIRST_NON_ASCII = 65, 90, 97, 122, 128
FIRST_DIGIT, LAST_DIGIT = 48, 57
# In UTF-8, a byte from FIRST_NON_ASCII to here goes on with a character.
FIRST_LEADING = 192
# Kinds of context that know the class of the document, and what a class adds to the number of each kind
BY_CLASS = (ONE_WORD, SKIPPED_WORD, LINE_BEGINNING, NESTING, LINE_PLACE)
CLASS_STEPS = tuple(NUM_KINDS if kind in BY_CLASS else 0 for kind in range(NUM_KINDS))
Index = int | np.int64
Keys = NDArray[np.uint64]
Bytes = NDArray[np.uint8]


class Counts(NamedTuple):
    """Symbols that followed contexts.

    Attributes:
        heads: (H, 4) int32, H a power of two. A slot in use has check bits of its key (never 0), where its entries begin or
            its one tally, how many there are and fit (16 bits each), and the symbol that came last.
        entries: (E,) uint32, symbol and tally.
        used: (2,) number of entries and of slots in use.
    """

    heads: Int32s
    entries: NDArray[np.uint32]
    used: Ints


class Spelling(NamedTuple):
    """Bytes of each token: those of token i are bytes[starts[i] : starts[i + 1]]."""

    bytes: Bytes
    starts: Ints


@compiled_inner
def combine_hashes(a: np.uint64, b: np.uint64) -> np.uint64:
    """One hash of two."""
    mixed = (a ^ (b + np.uint64(0x7F4A7C15))) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(29))


@compiled_inner
def context_keys(history: Keys, keys: Keys) -> None:
    """Fill `keys` (C,) with those of the current contexts: the last tokens, the last bytes, words, the start of the line, open
    brackets, and the place in the line."""
    key = np.uint64(0)
    keys[0] = key
    for i in range(NUM_TOKEN_ORDERS - 1):
        key = combine_hashes(key, history[TOKENS + i])
        keys[1 + i] = key
    key = combine_hashes(combine_hashes(np.uint64(7), history[BYTES]), history[BYTES + 1])
    keys[TWO_BYTES] = key
    keys[THREE_BYTES] = combine_hashes(keys[TWO_BYTES], history[BYTES + 2])
    keys[FOUR_BYTES] = combine_hashes(keys[THREE_BYTES], history[BYTES + 3])
    word = history[WORD]
    keys[ONE_WORD] = word
    keys[TWO_WORDS] = combine_hashes(word, history[PREVIOUS_WORD])
    keys[THREE_WORDS] = combine_hashes(keys[TWO_WORDS], history[SECOND_LAST_WORD])
    keys[SKIPPED_WORD] = combine_hashes(combine_hashes(word, np.uint64(5)), history[SECOND_LAST_WORD])
    keys[SKIPPED_TOKEN] = combine_hashes(combine_hashes(np.uint64(3), history[TOKENS + 1]), history[TOKENS + 2])
    line = combine_hashes(history[FIRST_WORD_OF_LINE], min(history[COLUMN], np.uint64(FEW_COLUMNS)))
    # Up to the end of the first field: that of the line above, which the number of a verse, a key word or a mark of a list goes on from
    if history[FIELD_ENDED]:
        keys[LINE_BEGINNING] = combine_hashes(combine_hashes(word, np.uint64(9)), line)
    else:
        keys[LINE_BEGINNING] = combine_hashes(combine_hashes(history[FIELD], np.uint64(27)), history[FIELD_ABOVE])
    # Outside of brackets, as in prose, a token before the last one
    inner = history[HEADS + innermost(history)] if history[NUM_OPEN] else history[TOKENS + 2]
    keys[BRACKET_WORD] = combine_hashes(combine_hashes(np.uint64(22), inner), history[TOKENS])
    nesting = combine_hashes(min(history[NUM_OPEN], np.uint64(MAX_DEPTH)), history[INDENT_ABOVE])
    keys[NESTING] = combine_hashes(combine_hashes(np.uint64(23), nesting), history[TOKENS])
    # Where the innermost bracket was opened, which says how far the next line is indented; else how long this line is already
    if history[NUM_OPEN]:
        place = (history[CLOSERS + innermost(history)] >> np.uint64(INDENT_SHIFT)) & np.uint64(PLACE_MASK)
    else:
        place = history[COLUMN] >> COLUMNS_TOGETHER
    keys[LINE_PLACE] = combine_hashes(combine_hashes(np.uint64(24), place), history[TOKENS])
    for i in range(NUM_KINDS):
        keys[i] = combine_hashes(keys[i], np.uint64(i + 1) + history[CLASS] * np.uint64(CLASS_STEPS[i]))


@compiled_inner
def advance(history: Keys, token: Index, spelling: Spelling) -> None:
    """Append a token to the history."""
    for i in range(TOKENS_KEPT - 1, 0, -1):
        history[TOKENS + i] = history[TOKENS + i - 1]
    history[TOKENS] = np.uint64(token + 1)
    for position in range(spelling.starts[token], spelling.starts[token + 1]):
        read_byte(history, np.int64(spelling.bytes[position]))


@compiled_inner
def read_byte(history: Keys, byte: Index) -> None:
    """Append a byte to the history."""
    for i in range(BYTES_KEPT - 1, 0, -1):
        history[BYTES + i] = history[BYTES + i - 1]
    history[BYTES] = np.uint64(byte + 1)
    _nest(history, byte)
    if begins_character(byte):
        history[PREVIOUS_CHARACTER] = history[CHARACTER]
    history[CHARACTER] = longer_character(history[CHARACTER], byte)
    if is_letter(byte):
        if not history[IN_WORD]:
            history[CAPITAL] = np.uint64(is_capital(byte))
        byte = lower_case(byte)
        history[WORD] = combine_hashes(history[WORD], np.uint64(byte))
        history[LETTERS] = combine_hashes(history[LETTERS], np.uint64(byte))
        history[IN_WORD] = np.uint64(1)
    else:
        _end_word(history)
        history[LETTERS] = np.uint64(0)
        history[WORD] = np.uint64(0) if byte == SPACE else combine_hashes(np.uint64(11), np.uint64(byte))
    history[COLUMN] = _after_column(history[COLUMN], byte)
    _read_field(history, byte)
    if byte == NEWLINE:
        history[COLUMN] = np.uint64(0)
        history[AT_LINE_START], history[FIRST_WORD_OF_LINE] = np.uint64(1), np.uint64(1)


@compiled_inner
def _read_field(history: Keys, byte: Index) -> None:
    """Follow the first field of the line, which ends at white space."""
    if byte == NUL:
        history[FIELD], history[FIELD_ABOVE], history[FIELD_ENDED] = np.uint64(0), np.uint64(0), np.uint64(0)
    elif byte == NEWLINE:
        if history[FIELD]:
            history[FIELD_ABOVE] = history[FIELD]
        history[FIELD], history[FIELD_ENDED] = np.uint64(0), np.uint64(0)
    elif byte in (SPACE, TAB):
        history[FIELD_ENDED] = np.uint64(history[FIELD] != 0)
    elif not history[FIELD_ENDED]:
        history[FIELD] = combine_hashes(history[FIELD], np.uint64(byte))


@compiled_inner
def begins_character(byte: Index) -> bool:
    """Whether a byte is the first one of a character in UTF-8."""
    return bool(byte < FIRST_NON_ASCII or byte >= FIRST_LEADING)


@compiled_inner
def pair_key(previous: np.uint64, character: np.uint64, byte: Index) -> np.uint64:
    """A hash of two characters, of the second one its bytes up to `byte`; 0 for the first one of a document.

    Args:
        previous, character: Hashes of the last two characters before `byte`, of the latter its bytes so far; 0 where there is none.
        byte: The next one.
    """
    if begins_character(byte):
        previous, character = character, np.uint64(0)
    return combine_hashes(previous, combine_hashes(character, np.uint64(byte))) if previous else np.uint64(0)


@compiled_inner
def longer_character(character: np.uint64, byte: Index) -> np.uint64:
    """A hash of the bytes of a character so far and the next one, which may begin another; 0 between documents."""
    if byte == NUL:
        return np.uint64(0)
    return combine_hashes(np.uint64(0) if begins_character(byte) else character, np.uint64(byte))


@compiled_inner
def is_capital(byte: Index) -> bool:
    """Whether a byte is a capital of ASCII."""
    return bool(FIRST_UPPER <= byte <= LAST_UPPER)


@compiled_inner
def lower_case(byte: Index) -> Index:
    """The small letter of a capital of ASCII, else the byte itself."""
    return byte + (FIRST_LOWER - FIRST_UPPER) if is_capital(byte) else byte


@compiled_inner
def is_letter(byte: Index) -> bool:
    """Whether a byte is a part of a word: a letter, an apostrophe, or a part of a character beyond ASCII."""
    is_ascii_letter = FIRST_LOWER <= lower_case(byte) <= LAST_LOWER
    return bool(is_ascii_letter or byte >= FIRST_NON_ASCII or byte == APOSTROPHE)


@compiled_inner
def innermost(history: Keys) -> Index:
    """Where the innermost open bracket is kept."""
    return np.int64(history[NUM_OPEN]) & (MAX_OPEN - 1)


@compiled_inner
def _nest(history: Keys, byte: Index) -> None:
    """Follow the indentation and the brackets, before the column is counted, and before the word that a bracket follows has ended:
    `foo(` and `\\foo{` are known by that word."""
    # A bracket that is never closed, as in a smiley, stays open until here
    if byte == NUL:
        history[INDENT:] = np.uint64(0)
    elif byte == NEWLINE:
        if history[COLUMN] > history[INDENT]:  # not for an empty line
            history[INDENT_ABOVE] = history[INDENT]
        history[INDENT] = np.uint64(0)
    elif byte in (SPACE, TAB) and history[COLUMN] == history[INDENT]:
        history[INDENT] = _after_column(history[INDENT], byte)
    elif byte in OPENING:
        history[NUM_OPEN] += np.uint64(1)
        history[HEADS + innermost(history)] = np.uint64(byte)
        closer = byte + (1 if byte == OPENING[0] else 2)  # ) follows ( in ASCII, the others come two later
        indent = min(history[INDENT], np.uint64(INDENT_MASK)) << np.uint64(INDENT_SHIFT)
        column = min(history[COLUMN], np.uint64(INDENT_MASK)) << np.uint64(COLUMN_SHIFT)
        depth = history[NUM_OPEN] << np.uint64(DEPTH_SHIFT)
        history[CLOSERS + innermost(history)] = np.uint64(closer) | indent | column | depth
        history[AWAITS_HEAD] = np.uint64(1)
    elif byte in CLOSING:
        # The kind of bracket is not compared, since comments and smileys close what was never opened
        history[NUM_OPEN] -= np.uint64(history[NUM_OPEN] > 0)
        history[AWAITS_HEAD] = np.uint64(0)


@compiled_inner
def _after_column(column: np.uint64, byte: Index) -> np.uint64:
    """The column after a byte, in bytes: a tab ends at the next multiple of TAB_WIDTH, as files that mix tabs and spaces take it."""
    return (column | np.uint64(TAB_WIDTH - 1)) + np.uint64(1) if byte == TAB else column + np.uint64(1)


@compiled_inner
def _end_word(history: Keys) -> None:
    if history[IN_WORD] == 0:
        return
    history[SECOND_LAST_WORD] = history[PREVIOUS_WORD]
    history[PREVIOUS_WORD] = history[WORD]
    history[IN_WORD] = np.uint64(0)
    if history[AWAITS_HEAD]:
        place = HEADS + innermost(history)
        history[place] = combine_hashes(history[place], history[WORD])
        history[AWAITS_HEAD] = np.uint64(0)
    if history[AT_LINE_START]:
        history[FIRST_WORD_OF_LINE] = history[WORD]
        history[AT_LINE_START] = np.uint64(0)


@compiled_inner
def find(heads: Int32s, key: np.uint64) -> Index:
    """The slot of a key, or -1 - the free slot where it belongs."""
    mask = len(heads) - 1
    slot = np.int64(key >> np.uint64(34)) & mask
    check = np.int32(np.uint32(key) | np.uint32(1))
    while heads[slot, CHECK] != check:
        if heads[slot, CHECK] == 0:
            return -1 - slot
        slot = (slot + 1) & mask
    return slot


@compiled_inner
def tally(counts: Counts, key: np.uint64, shared: Bytes, depth: Index, tallies: Ints, location: Ints) -> Index:
    """Sum the tallies of the symbols that followed a context, by how many answers they share with the next symbol.

    Args:
        shared: (V,) number of answers that each symbol shares with the next one.
        depth: Number of answers of the next symbol.
        tallies: (D+1,) to which the tallies are added, by the number of shared answers.
        location: (2,) receives the slot, as `find` gives it, and the entry of the next symbol, or -1.

    Returns:
        Number of answers that the last symbol shares; -1 where nothing followed.
    """
    slot = find(counts.heads, key)
    location[0], location[1] = slot, -1
    if slot < 0:
        return -1
    first, size = counts.heads[slot, FIRST], counts.heads[slot, SIZES] & SIZE_MASK
    recent = np.int64(shared[counts.heads[slot, NEWEST]])
    if size == 1:
        tallies[recent] += first
        if recent == depth:
            location[1] = 0
        return recent
    for j in range(first, first + size):
        entry = counts.entries[j]
        num_shared = np.int64(shared[entry & SYMBOL_MASK])
        tallies[num_shared] += np.int64(entry >> TALLY_SHIFT)
        if num_shared == depth:
            location[1] = j
    return recent


@compiled_inner
def add(counts: Counts, key: np.uint64, symbol: Index, slot: Index, entry: Index) -> None:
    """Count a symbol after a context. slot, entry: as `tally` found them; both -1 if it was not called."""
    if slot < 0:
        slot = find(counts.heads, key)  # searched again: another key may have taken the free slot meanwhile
    if slot < 0:
        slot = -1 - slot
        counts.used[1] += 1
        counts.heads[slot, CHECK] = np.int32(np.uint32(key) | np.uint32(1))
        counts.heads[slot, FIRST], counts.heads[slot, SIZES], counts.heads[slot, NEWEST] = 1, 1 + ONE_CAPACITY, symbol
        return
    size, capacity = counts.heads[slot, SIZES] & SIZE_MASK, counts.heads[slot, SIZES] >> CAPACITY_SHIFT
    if entry < 0:
        entry = _entry_of(counts, slot, size, symbol)
    if entry >= 0 and size == 1:
        counts.heads[slot, FIRST] = min(counts.heads[slot, FIRST] + 1, MAX_TALLY)
    elif entry >= 0:
        if counts.entries[entry] >> TALLY_SHIFT < MAX_TALLY:
            counts.entries[entry] += ONE_TALLY
    else:
        _append(counts, slot, size, capacity, symbol)
    counts.heads[slot, NEWEST] = symbol


@compiled_inner
def _entry_of(counts: Counts, slot: Index, size: Index, symbol: Index) -> Index:
    """The entry of a symbol, 0 where it is the only one and its tally is in the head; -1 where it has not followed yet."""
    if size == 1:
        return 0 if counts.heads[slot, NEWEST] == symbol else -1
    first = counts.heads[slot, FIRST]
    for j in range(first, first + size):
        if counts.entries[j] & SYMBOL_MASK == symbol:
            return j
    return -1


@compiled_inner
def _append(counts: Counts, slot: Index, size: Index, capacity: Index, symbol: Index) -> None:
    """Append a symbol to the entries of a context; where there is no room left, they move to a block twice as large."""
    heads, entries = counts.heads, counts.entries
    if size == capacity:
        capacity *= 2
        old, new = heads[slot, FIRST], counts.used[0]
        counts.used[0] += capacity
        if size == 1:
            entries[new] = np.uint32(heads[slot, NEWEST]) | (np.uint32(old) << TALLY_SHIFT)
        for j in range(size if size > 1 else 0):
            entries[new + j] = entries[old + j]
        heads[slot, FIRST] = new
    entries[heads[slot, FIRST] + size] = np.uint32(symbol) | ONE_TALLY
    heads[slot, SIZES] = size + 1 + ONE_CAPACITY * capacity
