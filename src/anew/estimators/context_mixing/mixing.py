"""From what followed many kinds of context to the answer of each question, in compiled loops.

Each kind of context gives its own log odds, by a curve that was learned for as many tallies. Three sets of weights add them up,
chosen by the question, by how much of the context was seen, and by the last token; a last curve corrects the sum.

Legend for shapes: C kinds of context, I inputs, P places (the questions of one path, or all), V tokens.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.compiled import compiled, compiled_sum
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import (
    KINDS,
    TOKEN_ORDERS,
    TOKENS,
    Counts,
    Index,
    Spelling,
    add,
    advance,
    find,
    mixed,
    tally,
)

INPUTS = KINDS + 2  # I: a match, and a constant
SIZES, SIDES = 12, 3  # curves by how many tallies there are, and by the side of the last symbol: either, or elsewhere
KNOTS, KNOT_RANGE, KNOTS_A_UNIT = 33, 8, 2  # of a curve, over log odds from -8 to 8
SMALL = 64  # tallies below which log odds are looked up
MATCHES = 24  # classes of how long the last tokens have matched what was read before
EXACT_MATCHES, MATCH_STEP, LONGEST_MATCH = 16, 8, 200
LEAST_MATCH = 4  # tokens
CORRECTIONS = 16_384  # curves of the last correction
KEPT_SHARE = np.float32(0.6)  # of the sum, beside its correction
CONSTANT = np.float32(0.3)
LINE_PRIOR = 0.4  # tallies of either answer before any
FINAL_RATE, HIT_RATE = np.float32(0.002), np.float32(0.02)
SQUASH_RANGE, SQUASHES_A_UNIT = 12, 128
ONE = np.float32(1)
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]


class Memory(NamedTuple):
    """What was read: of the train part, or of one document.

    Attributes:
        heads, entries, used: See `Counts`.
        plain: (V, 2) int32, tallies of both answers of each question; the last row holds the last token + 1.
        text: (N,) int32 tokens.
        table: (S,) int32, S a power of two: where the text goes on after its last tokens, by their hash.
        link: (4,) tokens in the text; where the token stands that a match expects, how long it is, and whether it is in
            another memory.
        history: (HISTORY,) what contexts are made of.
    """

    heads: NDArray[np.int32]
    entries: NDArray[np.uint32]
    used: Ints
    plain: NDArray[np.int32]
    text: NDArray[np.int32]
    table: NDArray[np.int32]
    link: Ints
    history: Keys


class Maps(NamedTuple):
    """What is learned.

    Attributes:
        curves: (C * SIZES * SIDES * KNOTS,) log odds.
        hits: (MATCHES,) log odds that a match goes on.
        by_node: (V-1, I) weights.
        by_order: (TOKEN_ORDERS * MATCHES, I) weights.
        by_last: (V+1, I) weights.
        final: (TOKEN_ORDERS * MATCHES, 3) weights of their three sums.
        corrections: (CORRECTIONS, KNOTS) log odds.
    """

    curves: Floats
    hits: Floats
    by_node: Floats
    by_order: Floats
    by_last: Floats
    final: Floats
    corrections: Floats


class Tables(NamedTuple):
    """Functions of a few values.

    Attributes:
        probabilities: Of log odds, see `squash`.
        log_odds: (SMALL, SMALL) of two tallies.
    """

    probabilities: Floats
    log_odds: Floats


class Rates(NamedTuple):
    """Learning rates; nothing is learned at a weight rate of 0."""

    weights: np.float32
    curves: np.float32
    corrections: np.float32


class Places(NamedTuple):
    """What is known of P places.

    Attributes:
        zeros, ones: (C, P) tallies of either answer.
        sides: (C, P) the answer of the last symbol, 2 where it went elsewhere.
        expected: (P,) the answer that a match expects, 2 for none.
        inputs: (P, I).
        curves: (P, C) the knot below each input, -1 without tallies.
        fractions: (P, C) of the way to the next knot.
        logits: (P,) log odds of the answer 1.
    """

    zeros: NDArray[np.int32]
    ones: NDArray[np.int32]
    sides: NDArray[np.uint8]
    expected: NDArray[np.uint8]
    inputs: Floats
    curves: Ints
    fractions: Floats
    logits: Floats


@compiled
def make_places(count: Index) -> Places:
    return Places(
        np.zeros((KINDS, count), np.int32),
        np.zeros((KINDS, count), np.int32),
        np.zeros((KINDS, count), np.uint8),
        np.zeros(count, np.uint8),
        np.zeros((count, INPUTS), np.float32),
        np.zeros((count, KINDS), np.int64),
        np.zeros((count, KINDS), np.float32),
        np.zeros(count, np.float32),
    )


@compiled
def squash(table: Floats, log_odds: np.float32) -> np.float32:
    """The probability of log odds."""
    limit = np.float32(SQUASH_RANGE - 0.01)
    place = (min(max(log_odds, -limit), limit) + np.float32(SQUASH_RANGE)) * np.float32(SQUASHES_A_UNIT)
    below = np.int64(place)
    return np.float32(table[below] + (table[below + 1] - table[below]) * (place - np.float32(below)))


@compiled
def knot_place(log_odds: np.float32) -> np.float32:
    """Where log odds lie among the knots of a curve."""
    place = (log_odds + np.float32(KNOT_RANGE)) * np.float32(KNOTS_A_UNIT)
    return min(max(place, np.float32(0)), np.float32(KNOTS - 1.001))


@compiled
def size_class(total: Index) -> Index:
    """The curve of so many tallies, at least 1."""
    if total < 6:
        return total - 1
    if total < 12:
        return 5 if total < 8 else 6
    if total < 64:
        return 7 if total < 24 else 8
    if total < 2048:
        return 9 if total < 256 else 10
    return 11


@compiled
def gather_path(
    own: Memory, base: Memory, keys: Keys, tree: CodeTree, token: Index, places: Places, spots: Ints, at: Ints
) -> Index:
    """Fill in the tallies and sides of a token's questions; returns the longest order of tokens that was seen."""
    depth, shared, order = tree.depth[token], tree.shared[token], 0
    own_counts, base_counts = Counts(own.heads, own.entries, own.used), Counts(base.heads, base.entries, base.used)
    for kind in range(KINDS):
        at[: depth + 1] = 0
        if kind == 0:
            recent = _gather_plain(own, base, tree, token, places)
        else:
            recent = tally(base_counts, keys[kind], shared, depth, at, spots[kind])
            own_recent = tally(own_counts, keys[kind], shared, depth, at, spots[kind])
            recent = own_recent if own_recent >= 0 else recent
            _spread(tree.bits[token], depth, at, places.ones[kind], places.zeros[kind])
        if recent >= 0 and kind < TOKEN_ORDERS:
            order = kind
        for d in range(depth):
            side = tree.bits[token, d] if recent > d else 1 - tree.bits[token, d]
            places.sides[kind, d] = side if recent >= d else 2
    return order


@compiled
def _spread(bits: NDArray[np.uint8], depth: Index, at: Ints, ones: NDArray[np.int32], zeros: NDArray[np.int32]) -> None:
    """Tallies by how many answers they share -> tallies of either answer."""
    total = at[depth]
    for d in range(depth - 1, -1, -1):
        ones[d], zeros[d] = (total, at[d]) if bits[d] else (at[d], total)
        total += at[d]


@compiled
def _gather_plain(own: Memory, base: Memory, tree: CodeTree, token: Index, places: Places) -> Index:
    """The tallies of order 0; returns how many answers the last token shares, -1 without one."""
    for d in range(tree.depth[token]):
        node = tree.nodes[token, d]
        places.zeros[0, d] = own.plain[node, 0] + base.plain[node, 0]
        places.ones[0, d] = own.plain[node, 1] + base.plain[node, 1]
    last = own.plain[-1, 0] if own.plain[-1, 0] else base.plain[-1, 0]
    return np.int64(tree.shared[token, last - 1]) if last else -1


@compiled
def gather_nodes(own: Memory, base: Memory, keys: Keys, tree: CodeTree, places: Places) -> Index:
    """The same of all questions."""
    order = 0
    places.sides[:] = 2
    for kind in range(KINDS):
        zeros, ones = places.zeros[kind], places.ones[kind]
        zeros[:], ones[:] = 0, 0
        if kind == 0:
            zeros[:] = own.plain[:-1, 0] + base.plain[:-1, 0]
            ones[:] = own.plain[:-1, 1] + base.plain[:-1, 1]
            last = own.plain[-1, 0] if own.plain[-1, 0] else base.plain[-1, 0]
        else:
            base_last = _add_paths(base, keys[kind], tree, zeros, ones)
            last = _add_paths(own, keys[kind], tree, zeros, ones)
            last = last if last else base_last
        if not last:
            continue
        if kind < TOKEN_ORDERS:
            order = kind
        for d in range(tree.depth[last - 1]):
            places.sides[kind, tree.nodes[last - 1, d]] = tree.bits[last - 1, d]
    return order


@compiled
def take_places(every: Places, nodes: NDArray[np.int32], count: Index, taken: Places) -> None:
    """Copy what is known of `count` questions from the places of all questions."""
    for kind in range(KINDS):
        for place in range(count):
            taken.zeros[kind, place] = every.zeros[kind, nodes[place]]
            taken.ones[kind, place] = every.ones[kind, nodes[place]]
            taken.sides[kind, place] = every.sides[kind, nodes[place]]
    for place in range(count):
        taken.expected[place] = every.expected[nodes[place]]


@compiled
def _add_paths(
    memory: Memory, key: np.uint64, tree: CodeTree, zeros: NDArray[np.int32], ones: NDArray[np.int32]
) -> Index:
    """Tallies of what followed a context, along its paths; returns the last symbol + 1, 0 where nothing followed."""
    heads = memory.heads
    slot = find(heads, key)
    if slot < 0:
        return 0
    first, size = heads[slot, 1], heads[slot, 2] & 65535
    for j in range(size):
        entry = memory.entries[first + j] if size > 1 else np.uint32(heads[slot, 3])
        symbol = np.int64(entry & np.uint32(65535))
        weight = np.int64(entry >> np.uint32(16)) if size > 1 else np.int64(first)
        for d in range(tree.depth[symbol]):
            side = ones if tree.bits[symbol, d] else zeros
            side[tree.nodes[symbol, d]] += weight
    return np.int64(heads[slot, 3]) + 1


@compiled
def match(own: Memory, base: Memory) -> tuple[Index, Index]:
    """The token that a match expects, -1 without one, and the class of its length."""
    length = own.link[2]
    if length == 0:
        return -1, 0
    expected = base.text[own.link[1]] if own.link[3] else own.text[own.link[1]]
    if length < EXACT_MATCHES:
        return np.int64(expected), length
    return np.int64(expected), min(EXACT_MATCHES + (length - EXACT_MATCHES) // MATCH_STEP, MATCHES - 1)


@compiled
def expect_path(places: Places, tree: CodeTree, token: Index, expected: Index) -> None:
    """What a match expects of a token's questions."""
    common = np.int64(tree.shared[token, expected]) if expected >= 0 else -1
    for d in range(tree.depth[token]):
        answer = tree.bits[token, d] if common > d else 1 - tree.bits[token, d]
        places.expected[d] = answer if common >= d else 2


@compiled
def expect_nodes(places: Places, tree: CodeTree, expected: Index) -> None:
    """What a match expects of all questions."""
    places.expected[:] = 2
    if expected >= 0:
        for d in range(tree.depth[expected]):
            places.expected[tree.nodes[expected, d]] = tree.bits[expected, d]


@compiled
def fill_inputs(maps: Maps, tables: Tables, places: Places, count: Index, match_class: Index) -> None:
    """The inputs of the first `count` places."""
    curves, zeros, ones, inputs = maps.curves, places.zeros, places.ones, places.inputs
    hit = maps.hits[match_class]
    for place in range(count):
        for kind in range(KINDS):
            one, zero = np.int64(ones[kind, place]), np.int64(zeros[kind, place])
            if one + zero == 0:
                inputs[place, kind], places.curves[place, kind] = 0, -1
                continue
            if one < SMALL and zero < SMALL:
                log_odds = tables.log_odds[one, zero]
            else:
                log_odds = np.float32(math.log((one + LINE_PRIOR) / (zero + LINE_PRIOR)))
            at = knot_place(log_odds)
            below = np.int64(at)
            fraction = at - np.float32(below)
            knot = ((kind * SIZES + size_class(one + zero)) * SIDES + places.sides[kind, place]) * KNOTS + below
            places.curves[place, kind], places.fractions[place, kind] = knot, fraction
            inputs[place, kind] = curves[knot] + (curves[knot + 1] - curves[knot]) * fraction
        answer = places.expected[place]
        inputs[place, KINDS] = 0
        if answer < 2:
            inputs[place, KINDS] = hit if answer else -hit
        inputs[place, KINDS + 1] = CONSTANT


@compiled_sum
def _sums(
    by_node: Floats,
    node: Index,
    by_order: Floats,
    order: Index,
    by_last: Floats,
    last: Index,
    inputs: Floats,
    place: Index,
) -> tuple[np.float32, np.float32, np.float32]:
    first, second, third = np.float32(0), np.float32(0), np.float32(0)
    for i in range(INPUTS):
        value = inputs[place, i]
        first += by_node[node, i] * value
        second += by_order[order, i] * value
        third += by_last[last, i] * value
    return first, second, third


@compiled
def mix(
    maps: Maps,
    tables: Tables,
    places: Places,
    nodes: NDArray[np.int32],
    bits: NDArray[np.uint8],
    count: Index,
    order: Index,
    last: Index,
    key: np.uint64,
    rates: Rates,
) -> None:
    """The logits of the first `count` places; then learn from the answers, where rates are above 0.

    Args:
        maps: What is learned.
        tables: Functions of a few values.
        places: With their inputs.
        nodes: (P,) which question each place is.
        bits: (P,) the answers.
        count: Places.
        order: Row of `by_order`.
        last: Row of `by_last`.
        key: Of the context of order 1, which the last correction depends on.
        rates: Of learning.
    """
    by_node, by_order, by_last, final, corrections = (
        maps.by_node,
        maps.by_order,
        maps.by_last,
        maps.final,
        maps.corrections,
    )
    inputs, logits, table = places.inputs, places.logits, tables.probabilities
    for place in range(count):
        node = np.int64(nodes[place])
        a, b, c = _sums(by_node, node, by_order, order, by_last, last, inputs, place)
        total = final[order, 0] * a + final[order, 1] * b + final[order, 2] * c
        at = knot_place(total)
        below = np.int64(at)
        fraction = at - np.float32(below)
        row = np.int64(mixed(key, np.uint64(node))) & (CORRECTIONS - 1)
        corrected = corrections[row, below] + (corrections[row, below + 1] - corrections[row, below]) * fraction
        logits[place] = KEPT_SHARE * total + (ONE - KEPT_SHARE) * corrected
        if rates.weights > 0:
            bit = np.float32(bits[place])
            error = (bit - squash(table, total)) * FINAL_RATE
            final[order, 0] += error * a
            final[order, 1] += error * b
            final[order, 2] += error * c
            errors = (bit - squash(table, a), bit - squash(table, b), bit - squash(table, c))
            for i in range(INPUTS):
                value = rates.weights * inputs[place, i]
                by_node[node, i] += errors[0] * value
                by_order[order, i] += errors[1] * value
                by_last[last, i] += errors[2] * value
            gradient = (bit - squash(table, corrected)) * rates.corrections
            corrections[row, below] += gradient * (ONE - fraction)
            corrections[row, below + 1] += gradient * fraction


@compiled
def learn_curves(
    maps: Maps, tables: Tables, places: Places, bits: NDArray[np.uint8], count: Index, match_class: Index, rates: Rates
) -> None:
    """Move the curves and the match towards the answers of the first `count` places."""
    curves, knots, fractions, inputs = maps.curves, places.curves, places.fractions, places.inputs
    table, hits = tables.probabilities, maps.hits
    for place in range(count):
        bit = np.float32(bits[place])
        for kind in range(KINDS):
            knot = knots[place, kind]
            if knot >= 0:
                gradient = (bit - squash(table, inputs[place, kind])) * rates.curves
                curves[knot] += gradient * (ONE - fractions[place, kind])
                curves[knot + 1] += gradient * fractions[place, kind]
        if places.expected[place] < 2:
            is_hit = np.float32(places.expected[place] == bits[place])
            hits[match_class] = max(hits[match_class] + (is_hit - squash(table, hits[match_class])) * HIT_RATE, 0)


@compiled
def remember(
    own: Memory, base: Memory, keys: Keys, tree: CodeTree, token: Index, spots: Ints, spelling: Spelling
) -> None:
    """Count a token, and read it. spots: (C, 2) where its contexts were found, -1 where nobody looked."""
    counts = Counts(own.heads, own.entries, own.used)
    for kind in range(1, KINDS):
        add(counts, keys[kind], token, spots[kind, 0], spots[kind, 1])
    for d in range(tree.depth[token]):
        own.plain[tree.nodes[token, d], tree.bits[token, d]] += 1
    own.plain[-1, 0] = token + 1
    advance(own.history, token, spelling)
    _follow(own, base, token)


@compiled
def _follow(own: Memory, base: Memory, token: Index) -> None:
    """Append a token to the text, and find out what it matches."""
    link, text = own.link, own.text
    expected, _ = match(own, base)
    text[link[0]] = token
    link[0] += 1
    if expected == token:
        link[1] += 1
        link[2] += 1
    else:
        link[2] = 0
    if link[2] and link[1] >= (base.link[0] if link[3] else link[0]):
        link[2] = 0  # the text ends there
    key = np.uint64(1)
    for i in range(LEAST_MATCH):
        key = mixed(key, own.history[TOKENS + i])
    slot = np.int64(key >> np.uint64(30))
    own_slot = slot & (len(own.table) - 1)
    if link[2] == 0:
        _seek(own, own.text, own.table[own_slot], 0)
    if link[2] == 0:
        _seek(own, base.text, base.table[slot & (len(base.table) - 1)], 1)
    own.table[own_slot] = link[0]


@compiled
def _seek(own: Memory, text: NDArray[np.int32], position: Index, is_base: Index) -> None:
    """Follow the text from a position on, where its last tokens are the same."""
    length, read = 0, own.link[0]
    while length < min(LONGEST_MATCH, position, read) and text[position - 1 - length] == own.text[read - 1 - length]:
        length += 1
    if length >= LEAST_MATCH:
        own.link[1], own.link[2], own.link[3] = position, length, is_base
