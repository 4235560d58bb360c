"""Signatures of records, and the search for the one with the fewest edits. Compiled loops.

A signature is 64 bits. Each says of one character whether the record has at least so many of it. An edit removes one character and
adds one, at most, so it clears one bit and sets one: two records are at least as many edits apart as one has bits that the other has
not. Blocks of records with similar signatures have bits that all of them have, and bits that any has, so whole blocks are left out.

Distances are exact: an insertion, deletion or substitution is an edit, counted in words of 64 bits (Myers 1999, Hyyrö 2003).

Legend for shapes: n records, c characters of all, a different characters, b blocks, q queries, w words of 64 characters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Int32s, Integers, Ints
from anew.core.machine.compiled import compiled, compiled_inner

Words = NDArray[np.uint64]

BLOCK = 64  # records of a block; measured on names: 32 and 128 take a fifth more
MAX_COUNT = 8  # bits tell counts of a character in a record apart up to this one; chosen
WORD = 64  # bits of a machine word
MAX_COUNTED = 64  # signatures by which it is chosen which bit divides some; chosen: more hardly change it


class Places(NamedTuple):
    """Records, in the order of their signatures.

    Attributes:
        codes: (c,) numbers of their characters.
        starts: (n + 1,) where each begins in `codes`.
        signatures: (n,) their signatures.
        items: (n,) the number of each in the order in which they were given.
        common, any: (b,) bits that all records of a block have, and that one has.
        shortest, longest: (b,) lengths.
    """

    codes: Integers
    starts: Integers
    signatures: Words
    items: Int32s
    common: Words
    any: Words
    shortest: Ints
    longest: Ints


@compiled_inner
def _num_bits(word: np.uint64) -> np.uint64:
    """How many bits of a word are set. The compiler knows these steps as one instruction, and counts several words at once."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.uint64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled_inner
def _bits(word: np.uint64) -> int:
    """The same, to be compared with signed numbers."""
    return int(np.int64(_num_bits(word)))


@compiled
def signatures_of(codes: Integers, starts: Integers, bits: Words) -> Words:
    """The signatures of records. bits: (a, MAX_COUNT) the bit of each number of each character; 0 where none tells it."""
    signatures = np.zeros(len(starts) - 1, dtype=np.uint64)
    counts = np.zeros(len(bits), dtype=np.int64)
    for record in range(len(signatures)):
        for place in range(starts[record], starts[record + 1]):
            code = codes[place]
            if counts[code] < MAX_COUNT:
                signatures[record] |= bits[code, counts[code]]
            counts[code] += 1
        for place in range(starts[record], starts[record + 1]):
            counts[codes[place]] = 0
    return signatures


@compiled
def sort_by_bits(signatures: Words, items: Int32s) -> None:
    """Bring signatures (n,), and the numbers of their records, into an order in which those that follow each other have many bits in
    common: they are divided by the bit that divides them best, and each half again, by a bit of its own, down to a block."""
    firsts, stops = np.zeros(2 * WORD, dtype=np.int64), np.zeros(2 * WORD, dtype=np.int64)
    counts = np.zeros(WORD, dtype=np.int64)
    stops[0], waiting = len(signatures), 1
    while waiting:
        waiting -= 1
        first, stop = firsts[waiting], stops[waiting]
        while stop - first > BLOCK:
            bit = _dividing_bit(signatures, first, stop, counts)
            if bit < 0:
                break
            middle = _divide(signatures, items, first, stop, np.uint64(1) << np.uint64(bit))
            firsts[waiting], stops[waiting] = middle, stop
            waiting += 1
            stop = middle


@compiled_inner
def _dividing_bit(signatures: Words, first: int, stop: int, counts: Ints) -> int:
    """The bit that most nearly half of signatures[first:stop] have, by some of them; -1 if all have the same. counts: (64,) room."""
    counts[:] = 0
    sampled = 0
    for place in range(first, stop, max((stop - first) // MAX_COUNTED, 1)):
        word = signatures[place]
        sampled += 1
        for bit in range(WORD):
            counts[bit] += np.int64(word >> np.uint64(bit) & np.uint64(1))
    best = int(np.argmin(np.abs(2 * counts - sampled)))
    return best if 0 < counts[best] < sampled else -1


@compiled_inner
def _divide(signatures: Words, items: Int32s, first: int, stop: int, mask: np.uint64) -> int:
    """Exchange signatures[first:stop] so that those with a bit follow those without it. Returns where they begin."""
    last = stop - 1
    while first <= last:
        if not signatures[first] & mask:
            first += 1
        elif signatures[last] & mask:
            last -= 1
        else:
            signatures[first], signatures[last] = signatures[last], signatures[first]
            items[first], items[last] = items[last], items[first]
    return first


@compiled_inner
def _edits(
    matches: Words, length: int, codes: Integers, start: int, stop: int, limit: int, plus: Words, minus: Words
) -> int:
    """The edits between a query and codes[start:stop]; more than `limit` where there are more.

    Followed along the diagonal of the table of edits that ends in its last corner, on which edits never fall: records that are unlike
    each other are left after a few characters.

    Args:
        matches: (a, w) the places of each character in the query.
        length: Characters of the query.
        plus, minus: (w,) room for the differences from row to row.
    """
    if length == 0:
        return stop - start
    words = len(plus)
    for word in range(words):
        plus[word], minus[word] = ~np.uint64(0), np.uint64(0)
    # Of the diagonal, where the query's characters are rows; below 0 it has not begun
    row = length - (stop - start) - 1
    edits = abs(row + 1)
    for place in range(start, stop):
        code = codes[place]
        row += 1
        plus_carry, minus_carry = np.uint64(1), np.uint64(0)
        for word in range(words):
            match = matches[code, word] | minus_carry
            diagonal = (((match & plus[word]) + plus[word]) ^ plus[word]) | match | minus[word]
            up, down = minus[word] | ~(diagonal | plus[word]), diagonal & plus[word]
            if row // WORD == word:
                edits += 1 - int(np.int64(diagonal >> np.uint64(row % WORD) & np.uint64(1)))
            next_up, next_down = up >> np.uint64(63), down >> np.uint64(63)
            up, down = (up << np.uint64(1)) | plus_carry, (down << np.uint64(1)) | minus_carry
            plus_carry, minus_carry = next_up, next_down
            plus[word], minus[word] = down | ~(diagonal | up), up & diagonal
        if edits > limit:
            return limit + 1
    return edits


@compiled_inner
def _sort_blocks(places: Places, signature: np.uint64, length: int, levels: Ints, order: Int32s) -> None:
    """Write into `levels` (b,) the edits by which every record of a block differs at least, and into `order` (b,) the blocks by these."""
    common, any_of_all, shortest, longest = places.common, places.any, places.shortest, places.longest
    most = 0
    for block in range(len(levels)):
        missing = _bits(signature & ~any_of_all[block])
        more = _bits(common[block] & ~signature)
        level = missing if missing > more else more
        shorter, longer = int(shortest[block]) - length, length - int(longest[block])
        level = shorter if shorter > level else level
        level = longer if longer > level else level
        levels[block] = level
        most = level if level > most else most
    ends = np.zeros(most + 2, dtype=np.int32)
    for block in range(len(levels)):
        ends[levels[block] + 1] += 1
    ends = np.cumsum(ends)
    for block in range(len(levels)):
        order[ends[levels[block]]] = block
        ends[levels[block]] += 1


@compiled_inner
def _least_edits(signatures: Words, signature: np.uint64) -> int:
    """The least edits by which signatures tell that their records differ from one. Without a branch, and through a part of its own, so
    that several are compared at once: .1 to .3 ns each instead of 2."""
    least = np.uint64(WORD)
    for place in range(len(signatures)):
        own = signatures[place]
        missing, more = _num_bits(signature & ~own), _num_bits(own & ~signature)
        edits = missing if missing > more else more
        least = edits if edits < least else least
    return int(np.int64(least))


class _Query(NamedTuple):
    """A record that is searched for.

    Attributes:
        matches: (a, w) the places of each character in it.
        length: Its characters.
        signature, group: Its signature and its group.
        plus, minus: (w,) room for `_edits`.
    """

    matches: Words
    length: int
    signature: np.uint64
    group: int
    plus: Words
    minus: Words


class _Nearest(NamedTuple):
    """The nearest record so far: its number, its edits, and the longer length. Without one, -1 and 1 edit of 0 characters: infinitely
    far."""

    item: int
    edits: int
    size: int


@compiled_inner
def _nearest(places: Places, query: _Query, levels: Ints, order: Int32s, is_allowed: Bools, groups: Int32s) -> _Nearest:
    """The nearest record of a query. levels, order: see `_sort_blocks`; for the other arguments see `nearest_records`."""
    item, best, size = -1, 1, 0
    codes, starts, signatures, longest = places.codes, places.starts, places.signatures, places.longest
    items = places.items
    matches, length, signature, group, plus, minus = query
    longest_of_all = max(length, int(longest.max()), 1)
    for block in order:
        if levels[block] * size > best * longest_of_all:
            break
        longest_of_block = max(length, int(longest[block]), 1)
        most = longest_of_block if size == 0 else best * longest_of_block // size
        first, end = block * BLOCK, min((block + 1) * BLOCK, len(signatures))
        if levels[block] > most or _least_edits(signatures[first:end], signature) > most:
            continue
        for place in range(first, end):
            own = signatures[place]
            if _bits(signature & ~own) > most or _bits(own & ~signature) > most:
                continue
            start, stop = int(starts[place]), int(starts[place + 1])
            longer = max(length, stop - start, 1)
            limit = longer if size == 0 else best * longer // size
            if abs(stop - start - length) > limit:
                continue
            edits = _edits(matches, length, codes, start, stop, limit, plus, minus)
            if edits > limit:
                continue
            # What is looked up by number lies anywhere in memory, so it comes last
            number = int(items[place])
            farther = edits * size - best * longer
            is_nearer = item < 0 or farther < 0 or (farther == 0 and number < item)
            if is_nearer and is_allowed[number] and groups[number] != group:
                item, best, size = number, edits, longer
    return _Nearest(item, best, size)


@compiled
def nearest_records(
    places: Places, queries: Ints, is_allowed: Bools, groups: Int32s, num_characters: int
) -> tuple[Ints, Ints, Ints]:
    """The nearest record of each query by edits divided by the longer length, and of equally near ones that with the lowest number.

    Args:
        places: The records.
        queries: (q,) which of these are the queries.
        is_allowed: (n,) whether each record, by its number, may be the nearest one.
        groups: (n,) the group of each record, by its number; records of one group are never each other's nearest.
        num_characters: Number of different characters.

    Returns:
        (q,) numbers of records, -1 where there is none, their edits, and longer lengths.
    """
    items, edits = np.full(len(queries), -1, dtype=np.int64), np.ones(len(queries), dtype=np.int64)
    sizes = np.zeros(len(queries), dtype=np.int64)
    levels, order = np.zeros(len(places.any), dtype=np.int64), np.zeros(len(places.any), dtype=np.int32)
    for row in range(len(queries)):
        place = queries[row]
        first, length = int(places.starts[place]), int(places.starts[place + 1] - places.starts[place])
        words = (length + WORD - 1) // WORD
        matches = np.zeros((num_characters, words), dtype=np.uint64)
        for offset in range(length):
            matches[places.codes[first + offset], offset // WORD] |= np.uint64(1) << np.uint64(offset % WORD)
        plus, minus = np.zeros(words, dtype=np.uint64), np.zeros(words, dtype=np.uint64)
        group = int(groups[places.items[place]])
        query = _Query(matches, length, places.signatures[place], group, plus, minus)
        _sort_blocks(places, query.signature, length, levels, order)
        items[row], edits[row], sizes[row] = _nearest(places, query, levels, order, is_allowed, groups)
    return items, edits, sizes
