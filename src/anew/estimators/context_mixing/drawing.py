"""Draws tokens from the mixture of contexts and network: only the questions on the way to a token are asked.

Legend for shapes: T tokens of a text, D questions of the longest path, V tokens, n rows, G kinds of slips.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.compiled import compiled, compiled_inner
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import HISTORY_SIZE, NUM_KINDS, TOKENS, Index, Keys, Spelling, context_keys
from anew.estimators.context_mixing.gathering import current_match, expect_nodes, gather_nodes, select_questions
from anew.estimators.context_mixing.joint import (
    MIN_REACH,
    JointWeights,
    joint_logits,
    joint_of,
    joint_rows,
    learn_joint,
    mean_logit,
)
from anew.estimators.context_mixing.memory import read_counted
from anew.estimators.context_mixing.mixing import (
    NUM_MATCH_CLASSES,
    ONE,
    Memory,
    Parameters,
    Rates,
    Statistics,
    Tables,
    fill_inputs,
    make_statistics,
    mix,
    sigmoid,
)
from anew.estimators.context_mixing.reading import network_logit, network_mass, row_of
from anew.estimators.context_mixing.slips import Words, another_uniform, slip_of

# A token is drawn so often at most; the last one is taken whatever it is. Where nearly all that the model allows are slips, a sample
# that must not make one would go on with nonsense
MAX_TRIES = 12
GOLDEN_RATIO = 0.6180339887498949  # multiples of it, without their whole numbers, are spread evenly over [0, 1)
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Tokens = NDArray[np.int32]


class Drawing(NamedTuple):
    """What is known of a token before it is drawn.

    Attributes:
        statistics: Of all questions.
        mass: (V-1, 2) probability mass of the network below either answer.
        selectors: Order of the longest context that was seen, class of the match, and the last token + 1.
        key: Key of the context of order 1.
    """

    statistics: Statistics
    mass: Doubles
    selectors: tuple[Index, Index, Index]
    key: np.uint64


@compiled
def draw_tokens(
    memories: Memory,
    base: Memory,
    tree: CodeTree,
    spelling: Spelling,
    words: Words,
    parameters: Parameters,
    joint: JointWeights,
    tables: Tables,
    probabilities: Floats,
    uniform: Floats,
    rate: np.float32,
    accepted: Floats,
    is_wanted: Flags,
    tokens: Ints,
    token_probabilities: Doubles,
) -> None:
    """Draw the next token of each row from the distribution of `next_token_probabilities`; only the questions on its path are asked.

    Args:
        memories: Memory of the document of each row.
        base, tree, parameters, joint, tables: See `next_token_probabilities`.
        spelling, words: See `slip_of`.
        probabilities: (n, V) of the network.
        uniform: (n,) in [0, 1), which decides the token.
        rate: Learning rate of the weights of each row; 0 for none.
        accepted: (G,) probability that a slip of each kind is accepted; another token is drawn otherwise.
        is_wanted: (n,) whether a row is drawn.
        tokens: (n,) receives the tokens where it holds -1; a token that it holds already is kept.
        token_probabilities: (n,) receives their probabilities, as if all slips were accepted.
    """
    count = len(tree.children)
    all_nodes, keys, mass = make_statistics(count), np.zeros(NUM_KINDS, np.uint64), np.zeros((count, 2))
    scratch = np.zeros(HISTORY_SIZE, np.uint64)
    for row in range(len(probabilities)):
        if not is_wanted[row]:
            continue
        memory = row_of(memories, row)
        drawing = _prepare(memory, base, tree, probabilities[row], keys, all_nodes, mass)
        weights, number = joint_of(joint, row), np.float64(uniform[row])
        is_fixed, path = tokens[row] >= 0, _empty_path(tree)
        for attempt in range(MAX_TRIES):
            tokens[row], token_probabilities[row], num_asked = _draw_token(
                drawing, tree, parameters, weights, tables, number, tokens[row] if is_fixed else np.int64(-1), path
            )
            slip = 0 if is_fixed else slip_of(memory.history, scratch, tokens[row], spelling, words, memory.heads)
            if accepted[slip] >= 1 or another_uniform(number, 2 * attempt) < accepted[slip]:
                break
            number = another_uniform(number, 2 * attempt + 1)
        if rate > 0:
            order, _, last = drawing.selectors
            learn_joint(
                weights, tables.probabilities, tree, tokens[row], path[0], path[1], (order, last), num_asked, rate
            )


@compiled
def tally_slips(
    ids: Tokens,
    document: Memory,
    base: Memory,
    tree: CodeTree,
    spelling: Spelling,
    words: Words,
    parameters: Parameters,
    joint: JointWeights,
    tables: Tables,
    probabilities: Floats,
    tallies: Ints,
) -> None:
    """Read a text (T,), and tally slips: of a token that is drawn at each place, and of the one that is there.

    Args:
        ids: (T,).
        document: Its memory, which is extended.
        base, tree, spelling, words, parameters, joint, tables: See `draw_tokens`.
        probabilities: (T, V) of the network.
        tallies: (G, 2) to which the tallies are added.
    """
    count = len(tree.children)
    all_nodes, keys, mass = make_statistics(count), np.zeros(NUM_KINDS, np.uint64), np.zeros((count, 2))
    scratch, path, locations = np.zeros(HISTORY_SIZE, np.uint64), _empty_path(tree), np.full((NUM_KINDS, 2), -1)
    for t in range(len(ids)):
        drawing = _prepare(document, base, tree, probabilities[t], keys, all_nodes, mass)
        number, there = np.float64((t + 1) * GOLDEN_RATIO % 1.0), np.int64(ids[t])
        drawn, _, _ = _draw_token(drawing, tree, parameters, joint, tables, number, np.int64(-1), path)
        tallies[slip_of(document.history, scratch, drawn, spelling, words, document.heads), 0] += 1
        tallies[slip_of(document.history, scratch, there, spelling, words, document.heads), 1] += 1
        read_counted(document, base, keys, tree, there, locations, spelling)


@compiled_inner
def _empty_path(tree: CodeTree) -> tuple[Floats, Floats]:
    """Room for the log odds (D,) of contexts and network on the path of a token."""
    longest = tree.nodes.shape[1]
    return np.zeros(longest, np.float32), np.zeros(longest, np.float32)


@compiled_inner
def _prepare(
    memory: Memory,
    base: Memory,
    tree: CodeTree,
    probabilities: Floats,
    keys: Keys,
    all_nodes: Statistics,
    mass: Doubles,
) -> Drawing:
    """Look up everything that the next token depends on. keys, all_nodes, mass: filled in; see `Drawing`."""
    context_keys(memory.history, keys)
    order = gather_nodes(memory, base, keys, tree, all_nodes)
    expected, match_class = current_match(memory, base)
    expect_nodes(all_nodes, tree, expected)
    network_mass(probabilities, tree, mass)
    return Drawing(all_nodes, mass, (order, match_class, np.int64(memory.history[TOKENS])), keys[1])


@compiled_inner
def _draw_token(
    drawing: Drawing,
    tree: CodeTree,
    parameters: Parameters,
    joint: JointWeights,
    tables: Tables,
    uniform: np.float64,
    fixed: Index,
    path: tuple[Floats, Floats],
) -> tuple[Index, np.float64, Index]:
    """Draw one token, from the root down.

    Args:
        drawing, tree, parameters, joint, tables: See `draw_tokens`.
        uniform: In [0, 1), which decides.
        fixed: The token that is taken; -1: one is drawn.
        path: Log odds (D,) of contexts and network on its path, filled in.

    Returns:
        The token, its probability, and how many of its questions contexts were asked.
    """
    order, match_class, last = drawing.selectors
    contexts, network = path
    node_list, bits, selected = np.zeros(1, np.int32), np.zeros(1, np.uint8), make_statistics(np.int64(1))
    no_learning = Rates(np.float32(0), np.float32(0), np.float32(0))
    remainder, reach, node, depth = uniform, np.float64(1), np.int64(0), 0
    single, num_asked = np.int64(1), np.int64(0)
    while node >= 0:
        node_list[0], network[depth] = node, network_logit(drawing.mass, node)
        if reach >= MIN_REACH:
            select_questions(drawing.statistics, node_list, single, selected)
            fill_inputs(parameters, tables, selected, single, match_class)
            mix(
                parameters,
                tables,
                selected,
                node_list,
                bits,
                single,
                order * NUM_MATCH_CLASSES + match_class,
                last,
                drawing.key,
                no_learning,
            )
            contexts[depth], num_asked = selected.logits[0], np.int64(depth + 1)
            rows = joint_rows(contexts[depth], network[depth], order, np.int64(depth), node, last)
            p = sigmoid(tables.probabilities, mean_logit(joint_logits(joint, rows, contexts[depth], network[depth])))
        else:
            p = sigmoid(tables.probabilities, network[depth])
        share = np.float64(ONE - p)
        bit = np.int64(remainder >= share) if fixed < 0 else np.int64(tree.bits[fixed, depth])
        remainder = (remainder - share) / np.float64(p) if bit else remainder / share
        reach *= np.float64(p) if bit else share
        node, depth = np.int64(tree.children[node, bit]), depth + 1
    return -1 - node, reach, num_asked
