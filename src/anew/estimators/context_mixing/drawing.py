"""Draws tokens from the mixture of contexts and network: only the questions on the way to a token are asked.

Legend for shapes: D questions of the longest path, V tokens, n rows, G kinds of errors (see `error_rates`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anew.core.arrays import Bools, Doubles, Floats, Ints
from anew.core.machine.compiled import compiled, compiled_inner
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import HISTORY_SIZE, NUM_KINDS, Index
from anew.estimators.context_mixing.error_rates import another_uniform, closing_token, error_of
from anew.estimators.context_mixing.gathering import select_questions
from anew.estimators.context_mixing.joint import (
    MIN_REACH,
    JointWeights,
    joint_logits,
    joint_of,
    joint_rows,
    learn_joint,
    mean_logit,
)
from anew.estimators.context_mixing.mixing import (
    NUM_MATCH_CLASSES,
    ONE,
    Memory,
    MixingModel,
    Rates,
    Statistics,
    fill_inputs,
    make_statistics,
    mix,
    sigmoid,
)
from anew.estimators.context_mixing.reading import Selectors, gather_row, network_logit, row_of
from anew.estimators.context_mixing.words import Words

# A token is drawn so often at most; the last one is taken whatever it is. Where nearly all that the model allows are errors, a sample
# that must not make one would go on with nonsense
MAX_TRIES = 12


class LoweredTokens(NamedTuple):
    """For each row, a token whose odds are lowered, such as one that continues a passage of the row itself.

    Attributes:
        tokens: (n,); -1 for none.
        odds_ratios: (n,) by which the odds are multiplied, in (0, 1].
        shares: (n,) weights of contexts and network together among all models, in whose mixture the odds are multiplied.
        remainders: (n,) weighted probabilities that the other models add to the token.
    """

    tokens: Ints
    odds_ratios: Floats
    shares: Doubles
    remainders: Doubles


@compiled
def draw_tokens(
    memories: Memory,
    model: MixingModel,
    words: Words,
    joint: JointWeights,
    probabilities: Floats,
    uniform: Floats,
    rate: np.float32,
    accepted: Floats,
    is_wanted: Bools,
    lowered: LoweredTokens,
    tokens: Ints,
    token_probabilities: Doubles,
    tallies: Ints,
    refused: Doubles,
) -> None:
    """Draw the next token of each row from the distribution of `next_token_probabilities`, where all kinds of errors are accepted;
    only the questions on its path are asked.

    Args:
        memories, model, joint: See `next_token_probabilities`.
        words: Words of the train part.
        probabilities: (n, V) of the network.
        uniform: (n,) in [0, 1), which decides the token.
        rate: Learning rate of the weights of each row; 0 for none.
        accepted: (G,) probability that an error of each kind is accepted; another token is drawn otherwise, or the bracket closed that it
            leaves open.
        is_wanted: (n,) whether a row is drawn.
        lowered: Tokens whose odds are lowered.
        tokens: (n,) receives the tokens where it holds -1; a token that it holds already is kept if it is accepted.
        token_probabilities: (n,) receives their probabilities, as if all errors were accepted.
        tallies: (G, 2) to which is added how often each kind of error was drawn, and how often it was accepted. Lowered tokens in whose
            place another one must be drawn are not among them.
        refused: (n,) receives, for rows that must have another token than the lowered one, which they hold, a number in [0, 1) to draw
            it by; -1 for all others. The weights of rows do not learn from refused tokens.
    """
    count = len(model.tree.children)
    all_nodes, keys, mass = make_statistics(count), np.zeros(NUM_KINDS, np.uint64), np.zeros((count, 2))
    scratch, path = np.zeros(HISTORY_SIZE, np.uint64), _empty_path(model.tree)
    for row in range(len(probabilities)):
        if not is_wanted[row]:
            continue
        memory = row_of(memories, row)
        selectors = gather_row(model, memory, probabilities[row], all_nodes, keys, mass)
        weights, number, fixed = joint_of(joint, row), np.float64(uniform[row]), tokens[row]
        own = Words(memory.words, memory.num_words)
        for attempt in range(MAX_TRIES):
            tokens[row], token_probabilities[row], num_asked = _draw_token(
                model, all_nodes, weights, mass, selectors, keys[1], number, fixed, path
            )
            error = error_of(memory.history, scratch, tokens[row], model.spelling, words, own)
            tallies[error, 0] += 1
            chance = accepted[error]
            if chance >= 1 or another_uniform(number, 2 * attempt) < chance or attempt == MAX_TRIES - 1:
                tallies[error, 1] += 1
                break
            fixed = closing_token(memory.history, error, model.spelling)
            if fixed >= 0 and probabilities[row, fixed] <= 0:
                fixed = np.int64(-1)
            number = another_uniform(number, 2 * attempt + 1)
        refused[row] = _refusal(lowered, row, tokens[row], token_probabilities[row], number)
        if refused[row] >= 0:
            tallies[error] -= 1
        if rate > 0 and refused[row] < 0:
            order, _, last = selectors
            table, contexts, network = model.tables.probabilities, path[0], path[1]
            learn_joint(weights, table, model.tree, tokens[row], contexts, network, (order, last), num_asked, rate)


@compiled_inner
def _refusal(lowered: LoweredTokens, row: Index, token: Index, joint: np.float64, number: np.float64) -> np.float64:
    """The number to draw another token by, -1 if a token stays. joint: its probability; number: uniform, which decides."""
    ratio = np.float64(lowered.odds_ratios[row])
    if token != lowered.tokens[row] or ratio >= 1:
        return np.float64(-1)
    probability = lowered.shares[row] * joint + lowered.remainders[row]
    kept_share = ratio / (probability * ratio + ONE - probability)
    uniform = another_uniform(number, 2 * MAX_TRIES)
    return np.float64(-1) if uniform < kept_share else np.float64((uniform - kept_share) / (ONE - kept_share))


@compiled_inner
def _empty_path(tree: CodeTree) -> tuple[Floats, Floats]:
    """Room for the log odds (D,) of contexts and network on the path of a token."""
    longest = tree.nodes.shape[1]
    return np.zeros(longest, np.float32), np.zeros(longest, np.float32)


@compiled_inner
def _draw_token(
    model: MixingModel,
    all_nodes: Statistics,
    joint: JointWeights,
    mass: Doubles,
    selectors: Selectors,
    key: np.uint64,
    uniform: np.float64,
    fixed: Index,
    path: tuple[Floats, Floats],
) -> tuple[Index, np.float64, Index]:
    """Draw one token, from the root down.

    Args:
        model, joint: See `draw_tokens`.
        all_nodes, mass, selectors: As `gather_row` gives them.
        key: Key of the context of order 1.
        uniform: The random number in [0, 1) that decides.
        fixed: The token that is taken; -1: one is drawn.
        path: Log odds (D,) of contexts and network on its path, filled in.

    Returns:
        The token, its probability, and how many of its questions contexts were asked.
    """
    tree, table = model.tree, model.tables.probabilities
    order, match_class, last = selectors
    contexts, network = path
    node_list, bits, selected = np.zeros(1, np.int32), np.zeros(1, np.uint8), make_statistics(np.int64(1))
    no_learning = Rates(np.float32(0), np.float32(0), np.float32(0))
    remainder, reach, node, depth = uniform, np.float64(1), np.int64(0), 0
    single, num_asked, mixing_row = np.int64(1), np.int64(0), order * NUM_MATCH_CLASSES + match_class
    while node >= 0:
        node_list[0], network[depth] = node, network_logit(mass, node)
        if reach >= MIN_REACH:
            select_questions(all_nodes, node_list, single, selected)
            fill_inputs(model, selected, single, match_class)
            mix(model, selected, node_list, bits, single, mixing_row, last, key, no_learning)
            contexts[depth], num_asked = selected.logits[0], np.int64(depth + 1)
            rows = joint_rows(contexts[depth], network[depth], order, np.int64(depth), node, last)
            p = sigmoid(table, mean_logit(joint_logits(joint, rows, contexts[depth], network[depth])))
        else:
            p = sigmoid(table, network[depth])
        share = np.float64(ONE - p)
        bit = np.int64(remainder >= share) if fixed < 0 else np.int64(tree.bits[fixed, depth])
        remainder = (remainder - share) / np.float64(p) if bit else remainder / share
        reach *= np.float64(p) if bit else share
        node, depth = np.int64(tree.children[node, bit]), depth + 1
    return -1 - node, reach, num_asked
