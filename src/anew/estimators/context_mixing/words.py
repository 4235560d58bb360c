"""The words of a text, by the letters of their beginnings, and its pairs of characters. Compiled loops.

Legend for shapes: T tokens, H slots.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anew.core.arrays import Int32s, Ints
from anew.core.machine.compiled import compiled, compiled_inner
from anew.estimators.context_mixing.counts import (
    FIRST_NON_ASCII,
    Index,
    Keys,
    Spelling,
    begins_character,
    combine_hashes,
    is_letter,
    longer_character,
    lower_case,
    pair_key,
)

MAX_LOAD = 0.5  # share of slots in use above which the table of words grows
FIRST_SLOTS = 4096  # first size of that table; a short text needs no more


class Words(NamedTuple):
    """All beginnings of words of a text, and of pairs of characters of which one is beyond ASCII.

    Attributes:
        table: (H,) hashes of their letters, H a power of two. The lowest bit says whether a word ends there; 0: free.
        used: (1,) slots in use.
    """

    table: Keys
    used: Ints


def words_of(text: Int32s, spelling: Spelling) -> Words:
    """The words and pairs of a text. text: (T,)."""
    slots = FIRST_SLOTS
    while True:
        words = Words(np.zeros(slots, np.uint64), np.zeros(1, np.int64))
        if add_words(text, spelling, words, int(MAX_LOAD * slots)):
            return words
        slots *= 4


@compiled
def add_words(text: Int32s, spelling: Spelling, words: Words, most: int) -> bool:
    """Add the words and pairs of a text (T,). Returns whether at most `most` slots were needed; otherwise some are missing."""
    letters, previous, character, last = np.uint64(0), np.uint64(0), np.uint64(0), np.int64(0)
    for t in range(len(text)):
        for position in range(spelling.starts[text[t]], spelling.starts[text[t] + 1]):
            byte = np.int64(spelling.bytes[position])
            letters = add_byte(words, letters, byte)
            pair = pair_key(previous, character, byte) if is_compared(last, byte) else np.uint64(0)
            if pair:
                add_key(words, pair)
            if begins_character(byte):
                previous = character
            character, last = longer_character(character, byte), byte
        if words.used[0] > most:
            return False
    return True


@compiled_inner
def add_byte(words: Words, letters: np.uint64, byte: Index) -> np.uint64:
    """Add a beginning of a word, or its end. letters: a hash of those before, 0 outside of words. Returns that of the letters now."""
    if not is_letter(byte):
        if letters:
            words.table[slot_of(words.table, letters)] |= np.uint64(1)
        return np.uint64(0)
    letters = combine_hashes(letters, np.uint64(lower_case(byte)))
    add_key(words, letters)
    return letters


@compiled_inner
def add_key(words: Words, key: np.uint64) -> None:
    """Add a hash of a beginning, if it is not there."""
    slot = slot_of(words.table, key)
    if not words.table[slot]:
        words.table[slot] = key & ~np.uint64(1)
        words.used[0] += 1


@compiled_inner
def is_compared(last: Index, byte: Index) -> bool:
    """Whether a pair of characters counts, by the last byte before and a byte of the second one: one of both is beyond ASCII."""
    return bool(last >= FIRST_NON_ASCII or byte >= FIRST_NON_ASCII)


@compiled_inner
def slot_of(table: Keys, letters: np.uint64) -> Index:
    """The slot of the letters of a word, or the free one where they belong."""
    mask, key = len(table) - 1, letters & ~np.uint64(1)
    slot = np.int64(letters >> np.uint64(34)) & mask
    while table[slot] and table[slot] & ~np.uint64(1) != key:
        slot = (slot + 1) & mask
    return slot


@compiled_inner
def add_token(words: Words, letters: np.uint64, token: Index, spelling: Spelling) -> None:
    """Add the beginnings of words in a token; nothing where the table is half full. letters: a hash of those before it."""
    for position in range(spelling.starts[token], spelling.starts[token + 1]):
        if 2 * (words.used[0] + 1) > len(words.table):
            return
        letters = add_byte(words, letters, np.int64(spelling.bytes[position]))


@compiled_inner
def is_beginning(words: Words, letters: np.uint64) -> bool:
    """Whether a word of the text begins with these letters."""
    return bool(letters == 0 or words.table[slot_of(words.table, letters)] != 0)


@compiled_inner
def is_whole(words: Words, letters: np.uint64) -> bool:
    """Whether these letters are a word of the text."""
    return bool(words.table[slot_of(words.table, letters)] & np.uint64(1))
