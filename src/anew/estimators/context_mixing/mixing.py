"""The mixer: log odds of each question from the counts of many kinds of context, in compiled loops.

Each kind of context gives log odds by a curve that is learned for its number of tallies. Three sets of weights sum them,
selected by the question, by the longest context that was seen, and by the last token; a last curve corrects the sum.

Legend for shapes: C kinds of context, S sources (these, and some of the document alone), I inputs,
P places (the questions of one path, or all), V tokens.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.compiled import compiled_inner, compiled_sum
from anew.estimators.context_mixing.counts import (
    KINDS,
    Index,
    joint_hash,
)

# Logistic mixing as in PAQ; numbers without another reason were chosen on tiny Shakespeare (docs/log.md: "Text: context mixing
# beside the network").
LOCAL_KINDS = (0, 1, 2, 8, 10, 11)  # kinds of context that are also counted in the document alone
SOURCES = KINDS + len(LOCAL_KINDS)  # S
INPUTS = SOURCES + 2  # I: a match, and a constant
SIZES, SIDES = 12, 3  # curves by the number of tallies, and by the side of the last symbol: either, or elsewhere
KNOTS, KNOT_RANGE, KNOTS_A_UNIT = 33, 8, 2  # of a curve, over log odds from -8 to 8
SMALL = 64  # tallies below which log odds are looked up in a table
MATCHES = 24  # classes of the length of a match
# Tokens: lengths with a class each, those of later classes, the most
EXACT_MATCHES, MATCH_STEP, LONGEST_MATCH = 16, 8, 200
LEAST_MATCH = 4  # tokens
CORRECTIONS = 16_384  # curves of the last correction, by a hash
KEPT_SHARE = np.float32(0.6)  # of the sum in the answer; the rest is that of its correction
CONSTANT = np.float32(0.3)  # value of the constant input: about the size of the others
LINE_PRIOR = 0.4  # tallies of either answer before any
FINAL_RATE, HIT_RATE = np.float32(0.002), np.float32(0.02)  # learning rates of the last weights, and of matches
SQUASH_RANGE, SQUASHES_A_UNIT = 12, 128  # of the table of the sigmoid: log odds from -12 to 12, entries for each unit
ONE = np.float32(1)
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]


class Memory(NamedTuple):
    """Statistics of the training part, or of one document.

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
    """Learned parameters.

    Attributes:
        curves: (S * SIZES * SIDES * KNOTS,) log odds.
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
        probabilities: Probability of each level of log odds, see `squash`.
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
    """Statistics of P places.

    Attributes:
        zeros, ones: (S, P) tallies of either answer.
        sides: (S, P) the answer of the last symbol, 2 where it went elsewhere.
        expected: (P,) the answer that a match expects, 2 for none.
        inputs: (P, I).
        curves: (P, S) the knot below each input, -1 without tallies.
        fractions: (P, S) of the way to the next knot.
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


@compiled_inner
def make_places(count: Index) -> Places:
    return Places(
        np.zeros((SOURCES, count), np.int32),
        np.zeros((SOURCES, count), np.int32),
        np.zeros((SOURCES, count), np.uint8),
        np.zeros(count, np.uint8),
        np.zeros((count, INPUTS), np.float32),
        np.zeros((count, SOURCES), np.int64),
        np.zeros((count, SOURCES), np.float32),
        np.zeros(count, np.float32),
    )


@compiled_inner
def squash(table: Floats, log_odds: np.float32) -> np.float32:
    """The probability of log odds."""
    limit = np.float32(SQUASH_RANGE - 0.01)
    place = (min(max(log_odds, -limit), limit) + np.float32(SQUASH_RANGE)) * np.float32(SQUASHES_A_UNIT)
    below = np.int64(place)
    return np.float32(table[below] + (table[below + 1] - table[below]) * (place - np.float32(below)))


@compiled_inner
def knot_place(log_odds: np.float32) -> np.float32:
    """Position of log odds among the knots of a curve."""
    place = (log_odds + np.float32(KNOT_RANGE)) * np.float32(KNOTS_A_UNIT)
    return min(max(place, np.float32(0)), np.float32(KNOTS - 1.001))


@compiled_inner
def size_class(total: Index) -> Index:
    """Number of the curve for a number of tallies, at least 1: roughly by its logarithm."""
    if total < 6:
        return total - 1
    if total < 12:
        return 5 if total < 8 else 6
    if total < 64:
        return 7 if total < 24 else 8
    if total < 2048:
        return 9 if total < 256 else 10
    return 11


@compiled_inner
def fill_inputs(maps: Maps, tables: Tables, places: Places, count: Index, match_class: Index) -> None:
    """The inputs of the first `count` places."""
    curves, zeros, ones, inputs = maps.curves, places.zeros, places.ones, places.inputs
    hit = maps.hits[match_class]
    for place in range(count):
        for source in range(SOURCES):
            count_one, zero = np.int64(ones[source, place]), np.int64(zeros[source, place])
            if count_one + zero == 0:
                inputs[place, source], places.curves[place, source] = 0, -1
                continue
            if count_one < SMALL and zero < SMALL:
                log_odds = tables.log_odds[count_one, zero]
            else:
                log_odds = np.float32(math.log((count_one + LINE_PRIOR) / (zero + LINE_PRIOR)))
            at = knot_place(log_odds)
            below = np.int64(at)
            fraction = at - np.float32(below)
            knot = (
                (source * SIZES + size_class(count_one + zero)) * SIDES + places.sides[source, place]
            ) * KNOTS + below
            places.curves[place, source], places.fractions[place, source] = knot, fraction
            inputs[place, source] = curves[knot] + (curves[knot + 1] - curves[knot]) * fraction
        answer = places.expected[place]
        inputs[place, SOURCES] = 0
        if answer < 2:
            inputs[place, SOURCES] = hit if answer else -hit
        inputs[place, SOURCES + 1] = CONSTANT


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


@compiled_inner
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
        maps: Learned parameters, updated where rates are above 0.
        tables: Functions of a few values.
        places: With their inputs.
        nodes: (P,) which question each place is.
        bits: (P,) the answers.
        count: Places.
        order: Row of `by_order`.
        last: Row of `by_last`.
        key: Key of the context of order 1, which the last correction depends on.
        rates: Learning rates.
    """
    by_node, by_order, by_last = maps.by_node, maps.by_order, maps.by_last
    final, corrections = maps.final, maps.corrections
    inputs, logits, table = places.inputs, places.logits, tables.probabilities
    for place in range(count):
        node = np.int64(nodes[place])
        a, b, c = _sums(by_node, node, by_order, order, by_last, last, inputs, place)
        total = final[order, 0] * a + final[order, 1] * b + final[order, 2] * c
        at = knot_place(total)
        below = np.int64(at)
        fraction = at - np.float32(below)
        row = np.int64(joint_hash(key, np.uint64(node))) & (CORRECTIONS - 1)
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


@compiled_inner
def learn_curves(
    maps: Maps, tables: Tables, places: Places, bits: NDArray[np.uint8], count: Index, match_class: Index, rates: Rates
) -> None:
    """Move the curves and the match towards the answers of the first `count` places."""
    curves, knots, fractions, inputs = maps.curves, places.curves, places.fractions, places.inputs
    table, hits = tables.probabilities, maps.hits
    for place in range(count):
        bit = np.float32(bits[place])
        for source in range(SOURCES):
            knot = knots[place, source]
            if knot >= 0:
                gradient = (bit - squash(table, inputs[place, source])) * rates.curves
                curves[knot] += gradient * (ONE - fractions[place, source])
                curves[knot + 1] += gradient * fractions[place, source]
        if places.expected[place] < 2:
            is_hit = np.float32(places.expected[place] == bits[place])
            hits[match_class] = max(hits[match_class] + (is_hit - squash(table, hits[match_class])) * HIT_RATE, 0)
