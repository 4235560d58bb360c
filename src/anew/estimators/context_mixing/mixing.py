"""The mixer: log odds of each question from the counts of many kinds of context. Compiled loops.

The tallies of each context become log odds, which a learned curve adjusts by how many tallies there are. Three weighted sums,
with weights selected by the question, by the longest context that was seen, and by the last token, are summed in turn; a last
curve corrects the result (logistic mixing and secondary symbol estimation, as in PAQ).

Legend for shapes: C kinds of context, S sources (these, and some counted in the document alone), I inputs,
P questions (those of one path, or all), V tokens.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Floats, Int32s, Ints
from anew.core.machine.compiled import compiled_inner, compiled_sum
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import (
    NUM_KINDS,
    ONE_WORD,
    THREE_BYTES,
    TWO_WORDS,
    Index,
    Spelling,
    combine_hashes,
)

# Numbers without another reason were chosen on tiny Shakespeare (docs/log.md: "Text: context mixing beside the network").
# Kinds of context that are also counted in the document alone: the last 0 to 2 tokens, and some others
LOCAL_KINDS = (0, 1, 2, THREE_BYTES, ONE_WORD, TWO_WORDS)
NUM_SOURCES = NUM_KINDS + len(LOCAL_KINDS)  # S
NUM_INPUTS = NUM_SOURCES + 2  # I: the sources, a match, and a constant
# Numbers of curves: one for each number of tallies, and for each answer of the last symbol (0, 1, or none, as it left the path before)
NUM_SIZES, NUM_SIDES = 12, 3
NUM_KNOTS, KNOT_RANGE, KNOTS_PER_UNIT = 33, 8, 2  # knots of a curve, over log odds from -8 to 8
NUM_SMALL = 64  # tallies, from 0, whose log odds are looked up in a table
NUM_MATCH_CLASSES = 24  # classes of the length of a match
# Classes of the length of a match, in tokens: up to the first number each length is one, beyond it they are so wide; the last number is the
# longest match that is measured
EXACT_MATCHES, MATCH_STEP, MAX_MATCH = 16, 8, 200
MIN_MATCH = 4  # tokens that must agree for a match
NUM_CORRECTIONS = 16_384  # curves of the last correction, selected by a hash
KEPT_SHARE = np.float32(0.6)  # weight of the sum in the result; the rest is that of the corrected sum
CONSTANT = np.float32(0.3)  # value of the constant input: about the size of the others
TALLY_PRIOR = 0.4  # added to the tallies of either answer
# Learning rates of the weights of the three sums, and of matches
FINAL_RATE, HIT_RATE = np.float32(0.002), np.float32(0.02)
# The table of the sigmoid covers log odds from -12 to 12, with 128 entries for each unit
SIGMOID_RANGE, SIGMOID_STEPS_PER_UNIT = 12, 128
ONE = np.float32(1)
# Places in `Memory.match_state`: the number of tokens in the text; of the current match, the position of the token that it predicts, how
# many tokens agree (0 without a match), and whether it is in the base memory
LENGTH, PREDICTED, MATCHED, IN_BASE = range(4)
Keys = NDArray[np.uint64]


class Memory(NamedTuple):
    """What was read: the train part, or one document.

    Attributes:
        heads, entries, used: See `Counts`.
        node_tallies: (V, 2) int32, tallies of both answers of each question; the last row holds the last token + 1.
        text: (N,) int32 tokens.
        match_table: (M,) int32, M a power of two: by the hash of MIN_MATCH tokens, the position after their latest occurrence.
        match_state: (4,) int64, see LENGTH, PREDICTED, MATCHED and IN_BASE.
        history: (HISTORY_SIZE,) the last tokens, bytes and words, from which contexts are made.
        words, num_words: Of a document, see `Words`.
    """

    heads: Int32s
    entries: NDArray[np.uint32]
    used: Ints
    node_tallies: Int32s
    text: Int32s
    match_table: Int32s
    match_state: Ints
    history: Keys
    words: Keys
    num_words: Ints

    @property
    def num_tokens(self) -> int:
        """The number of tokens that were read; of several documents, which all have as many, that of each."""
        return int(self.match_state[..., LENGTH].flat[0])


class Parameters(NamedTuple):
    """Learned parameters.

    Attributes:
        curves: (S * NUM_SIZES * NUM_SIDES * NUM_KNOTS,) log odds.
        hits: (NUM_MATCH_CLASSES,) log odds that a match predicts rightly.
        by_node: (V-1, I) weights.
        by_order: (NUM_TOKEN_ORDERS * NUM_MATCH_CLASSES, I) weights.
        by_last: (V+1, I) weights.
        final: (NUM_TOKEN_ORDERS * NUM_MATCH_CLASSES, 3) weights of the three sums.
        corrections: (NUM_CORRECTIONS, NUM_KNOTS) log odds.
    """

    curves: Floats
    hits: Floats
    by_node: Floats
    by_order: Floats
    by_last: Floats
    final: Floats
    corrections: Floats


class Tables(NamedTuple):
    """Lookup tables.

    Attributes:
        probabilities: Sigmoid at evenly spaced log odds, see `sigmoid`.
        log_odds: (NUM_SMALL, NUM_SMALL) log odds by the tallies of the answers 1 and 0.
    """

    probabilities: Floats
    log_odds: Floats


class MixingModel(NamedTuple):
    """All that documents are read with.

    Attributes:
        base: The train part, which is not changed.
        parameters: Learned parameters, updated in place where learning rates are above 0.
    """

    base: Memory
    tree: CodeTree
    spelling: Spelling
    parameters: Parameters
    tables: Tables


class Rates(NamedTuple):
    """Learning rates. Nothing is learned where that of the weights is 0."""

    weights: np.float32
    curves: np.float32
    corrections: np.float32


class Statistics(NamedTuple):
    """Statistics of P questions.

    Attributes:
        zeros, ones: (S, P) tallies of either answer.
        sides: (S, P) the answer of the last symbol; 2 without one, or where its path does not meet the question.
        expected: (P,) the answer that a match predicts, 2 for none.
        inputs: (P, I) inputs of the mixer.
        curves: (P, S) the knot below each input, -1 without tallies.
        fractions: (P, S) of the way to the next knot.
        logits: (P,) log odds of the answer 1.
    """

    zeros: Int32s
    ones: Int32s
    sides: NDArray[np.uint8]
    expected: NDArray[np.uint8]
    inputs: Floats
    curves: Ints
    fractions: Floats
    logits: Floats


@compiled_inner
def make_statistics(count: Index) -> Statistics:
    """Empty statistics of `count` questions."""
    return Statistics(
        np.zeros((NUM_SOURCES, count), np.int32),
        np.zeros((NUM_SOURCES, count), np.int32),
        np.zeros((NUM_SOURCES, count), np.uint8),
        np.zeros(count, np.uint8),
        np.zeros((count, NUM_INPUTS), np.float32),
        np.zeros((count, NUM_SOURCES), np.int64),
        np.zeros((count, NUM_SOURCES), np.float32),
        np.zeros(count, np.float32),
    )


@compiled_inner
def sigmoid(table: Floats, log_odds: np.float32) -> np.float32:
    """Sigmoid of log odds, interpolated in a table."""
    limit = np.float32(SIGMOID_RANGE - 0.01)
    position = (min(max(log_odds, -limit), limit) + np.float32(SIGMOID_RANGE)) * np.float32(SIGMOID_STEPS_PER_UNIT)
    below = np.int64(position)
    return np.float32(table[below] + (table[below + 1] - table[below]) * (position - np.float32(below)))


@compiled_inner
def knot_position(log_odds: np.float32) -> np.float32:
    """Position of log odds among the knots of a curve."""
    position = (log_odds + np.float32(KNOT_RANGE)) * np.float32(KNOTS_PER_UNIT)
    return min(max(position, np.float32(0)), np.float32(NUM_KNOTS - 1.001))


@compiled_inner
def size_class(total: Index) -> Index:
    """Class of a number of tallies, at least 1: roughly its logarithm."""
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
def fill_inputs(model: MixingModel, statistics: Statistics, count: Index, match_class: Index) -> None:
    """Compute the inputs of the first `count` questions."""
    curves, zeros, ones, inputs = model.parameters.curves, statistics.zeros, statistics.ones, statistics.inputs
    hit = model.parameters.hits[match_class]
    for question in range(count):
        for source in range(NUM_SOURCES):
            count_one, zero = np.int64(ones[source, question]), np.int64(zeros[source, question])
            if count_one + zero == 0:
                inputs[question, source], statistics.curves[question, source] = 0, -1
                continue
            if count_one < NUM_SMALL and zero < NUM_SMALL:
                log_odds = model.tables.log_odds[count_one, zero]
            else:
                log_odds = np.float32(math.log((count_one + TALLY_PRIOR) / (zero + TALLY_PRIOR)))
            position = knot_position(log_odds)
            below = np.int64(position)
            fraction = position - np.float32(below)
            knot = (
                (source * NUM_SIZES + size_class(count_one + zero)) * NUM_SIDES + statistics.sides[source, question]
            ) * NUM_KNOTS + below
            statistics.curves[question, source], statistics.fractions[question, source] = knot, fraction
            inputs[question, source] = curves[knot] + (curves[knot + 1] - curves[knot]) * fraction
        answer = statistics.expected[question]
        inputs[question, NUM_SOURCES] = 0
        if answer < 2:
            inputs[question, NUM_SOURCES] = hit if answer else -hit
        inputs[question, NUM_SOURCES + 1] = CONSTANT


@compiled_sum
def _sums(
    by_node: Floats,
    node: Index,
    by_order: Floats,
    order: Index,
    by_last: Floats,
    last: Index,
    inputs: Floats,
    question: Index,
) -> tuple[np.float32, np.float32, np.float32]:
    first, second, third = np.float32(0), np.float32(0), np.float32(0)
    for i in range(NUM_INPUTS):
        value = inputs[question, i]
        first += by_node[node, i] * value
        second += by_order[order, i] * value
        third += by_last[last, i] * value
    return first, second, third


@compiled_inner
def mix(
    model: MixingModel,
    statistics: Statistics,
    nodes: Int32s,
    bits: NDArray[np.uint8],
    count: Index,
    order: Index,
    last: Index,
    key: np.uint64,
    rates: Rates,
) -> None:
    """Compute the logits of the first `count` questions, then learn from their answers where rates are above 0.

    Args:
        model: The parameters that learn, and the tables.
        statistics: Statistics with their inputs, see `fill_inputs`.
        nodes: (P,) node of each question.
        bits: (P,) the answers.
        order: Row of `by_order`.
        last: Row of `by_last`.
        key: Key of the context of order 1, which selects the last correction.
    """
    parameters, table = model.parameters, model.tables.probabilities
    by_node, by_order, by_last = parameters.by_node, parameters.by_order, parameters.by_last
    final, corrections, inputs, logits = parameters.final, parameters.corrections, statistics.inputs, statistics.logits
    for question in range(count):
        node = np.int64(nodes[question])
        a, b, c = _sums(by_node, node, by_order, order, by_last, last, inputs, question)
        total = final[order, 0] * a + final[order, 1] * b + final[order, 2] * c
        at = knot_position(total)
        below = np.int64(at)
        fraction = at - np.float32(below)
        row = np.int64(combine_hashes(key, np.uint64(node))) & (NUM_CORRECTIONS - 1)
        corrected = corrections[row, below] + (corrections[row, below + 1] - corrections[row, below]) * fraction
        logits[question] = KEPT_SHARE * total + (ONE - KEPT_SHARE) * corrected
        if rates.weights > 0:
            bit = np.float32(bits[question])
            error = (bit - sigmoid(table, total)) * FINAL_RATE
            final[order, 0] += error * a
            final[order, 1] += error * b
            final[order, 2] += error * c
            errors = (bit - sigmoid(table, a), bit - sigmoid(table, b), bit - sigmoid(table, c))
            for i in range(NUM_INPUTS):
                value = rates.weights * inputs[question, i]
                by_node[node, i] += errors[0] * value
                by_order[order, i] += errors[1] * value
                by_last[last, i] += errors[2] * value
            gradient = (bit - sigmoid(table, corrected)) * rates.corrections
            corrections[row, below] += gradient * (ONE - fraction)
            corrections[row, below + 1] += gradient * fraction


@compiled_inner
def learn_curves(
    model: MixingModel,
    statistics: Statistics,
    bits: NDArray[np.uint8],
    count: Index,
    match_class: Index,
    rates: Rates,
) -> None:
    """Update the curves and the weight of the match by the answers of the first `count` questions."""
    knots, fractions, inputs = statistics.curves, statistics.fractions, statistics.inputs
    curves, hits, table = model.parameters.curves, model.parameters.hits, model.tables.probabilities
    for question in range(count):
        bit = np.float32(bits[question])
        for source in range(NUM_SOURCES):
            knot = knots[question, source]
            if knot >= 0:
                gradient = (bit - sigmoid(table, inputs[question, source])) * rates.curves
                curves[knot] += gradient * (ONE - fractions[question, source])
                curves[knot + 1] += gradient * fractions[question, source]
        if statistics.expected[question] < 2:
            is_hit = np.float32(statistics.expected[question] == bits[question])
            hits[match_class] = max(hits[match_class] + (is_hit - sigmoid(table, hits[match_class])) * HIT_RATE, 0)
