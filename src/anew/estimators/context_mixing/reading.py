"""Passes over a text, token by token: the log odds of each answer by context mixing, by a network, and by both together.

Legend for shapes: T tokens of a text, D questions of the longest path, V tokens, n rows.
"""

from __future__ import annotations

import math

import numpy as np

from anew.core.arrays import Bools, Doubles, Floats, Int32s, Ints
from anew.core.machine.compiled import compiled, compiled_inner
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import NUM_KINDS, TOKENS, Index, Keys, context_keys
from anew.estimators.context_mixing.gathering import (
    current_match,
    expect_nodes,
    expect_path,
    gather_nodes,
    gather_path,
    select_questions,
)
from anew.estimators.context_mixing.joint import (
    MIN_REACH,
    JointWeights,
    joint_logits,
    joint_of,
    joint_rows,
    mean_logit,
)
from anew.estimators.context_mixing.memory import count_in_document, read_counted, read_uncounted
from anew.estimators.context_mixing.mixing import (
    NUM_MATCH_CLASSES,
    ONE,
    Memory,
    MixingModel,
    Rates,
    Statistics,
    fill_inputs,
    learn_curves,
    make_statistics,
    mix,
    sigmoid,
)

MIN_MASS = 1e-30  # least sum of a network's probabilities on one side of a yes/no question: log odds stay finite
# Order of the longest context that was seen, class of the match, and the last token + 1
Selectors = tuple[Index, Index, Index]


@compiled
def read(
    ids: Int32s,
    memory: Memory,
    document: Memory,
    model: MixingModel,
    rates: Rates,
    logits: Floats,
    orders: Ints,
) -> None:
    """Read a text into `memory`, and give the log odds of its answers.

    Args:
        ids: (T,).
        document: Memory of the document alone; the same as `memory`, except while the train part is learned.
        logits: (T, D) receives the log odds of the answer 1 of each question.
        orders: (T,) receives the order of the longest context of tokens that was seen.
    """
    base, tree = model.base, model.tree
    longest = tree.nodes.shape[1]
    statistics, keys = make_statistics(longest), np.zeros(NUM_KINDS, np.uint64)
    locations, tallies = np.full((NUM_KINDS, 2), -1), np.zeros(longest + 1, np.int64)
    for t in range(len(ids)):
        token = np.int64(ids[t])
        depth, bits = tree.depth[token], tree.bits[token]
        context_keys(memory.history, keys)
        order = gather_path(memory, base, document, keys, tree, token, statistics, locations, tallies)
        expected, match_class = current_match(memory, base)
        expect_path(statistics, tree, token, expected)
        fill_inputs(model, statistics, depth, match_class)
        last = np.int64(memory.history[TOKENS])
        row = order * NUM_MATCH_CLASSES + match_class
        mix(model, statistics, tree.nodes[token], bits, depth, row, last, keys[1], rates)
        if rates.weights > 0:
            learn_curves(model, statistics, bits, depth, match_class, rates)
            count_in_document(document, keys, tree, token)
        for d in range(depth):
            logits[t, d] = statistics.logits[d]
        orders[t] = order
        read_counted(memory, base, keys, tree, token, locations, model.spelling)


@compiled
def recall(ids: Int32s, memory: Memory, model: MixingModel, is_counted: bool) -> None:
    """Read a text (T,) into `memory`, without predicting it. is_counted: whether it is counted and can be matched later."""
    keys, locations = np.zeros(NUM_KINDS, np.uint64), np.full((NUM_KINDS, 2), -1)
    for t in range(len(ids)):
        if is_counted:
            context_keys(memory.history, keys)
            read_counted(memory, model.base, keys, model.tree, np.int64(ids[t]), locations, model.spelling)
        else:
            read_uncounted(memory, model.base, np.int64(ids[t]), model.spelling)


@compiled_inner
def network_mass(probabilities: Floats, tree: CodeTree, mass: Doubles) -> None:
    """Probability mass that a network gives to either answer of each question. probabilities: (V,), mass: (V-1, 2) receives it."""
    for node in range(len(mass) - 1, -1, -1):
        for bit in range(2):
            child = tree.children[node, bit]
            below = np.float64(probabilities[-1 - child]) if child < 0 else mass[child, 0] + mass[child, 1]
            mass[node, bit] = max(below, MIN_MASS)


@compiled
def network_path_logits(probabilities: Floats, targets: Ints, tree: CodeTree, logits: Floats) -> None:
    """Log odds (T, D) of the answer 1 of each question of the targets (T,). probabilities: (T, V)."""
    mass = np.zeros((len(tree.children), 2))
    for t in range(len(targets)):
        network_mass(probabilities[t], tree, mass)
        for d in range(tree.depth[targets[t]]):
            node = np.int64(tree.nodes[targets[t], d])
            logits[t, d] = network_logit(mass, node)


@compiled_inner
def network_logit(mass: Doubles, node: Index) -> np.float32:
    """Log odds of the answer 1 to a question. mass: see `network_mass`."""
    return np.float32(math.log(mass[node, 1] / mass[node, 0]))


@compiled
def next_token_probabilities(
    memories: Memory,
    model: MixingModel,
    joint: JointWeights,
    probabilities: Floats,
    is_wanted: Bools,
    min_p: Floats,
    mixed: Floats,
) -> None:
    """Compute the distribution of the next token of rows, by contexts and network together.

    Args:
        memories: Memory of each row: every array has a first axis of n.
        joint: Weights of each row, with the same axis.
        probabilities: (n, V) of the network.
        is_wanted: (n,) whether a row is computed.
        min_p: (n,) tokens below this share of the top probability need not be exact; 0: all are.
        mixed: (n, V) receives the probabilities; rows that are not wanted stay.
    """
    count = len(model.tree.children)
    all_nodes, selected, keys = make_statistics(count), make_statistics(count), np.zeros(NUM_KINDS, np.uint64)
    mass = np.zeros((count, 2))
    for row in range(len(probabilities)):
        if is_wanted[row]:
            selectors = gather_row(model, row_of(memories, row), probabilities[row], all_nodes, keys, mass)
            weights, least = joint_of(joint, row), np.float64(min_p[row])
            _fill_distribution(model, all_nodes, selected, weights, mass, selectors, keys[1], least, mixed[row])


@compiled_inner
def gather_row(
    model: MixingModel, memory: Memory, probabilities: Floats, all_nodes: Statistics, keys: Keys, mass: Doubles
) -> Selectors:
    """Fill in the keys of the contexts of a row, the statistics of all questions, and the network's mass below them."""
    context_keys(memory.history, keys)
    order = gather_nodes(memory, model.base, keys, model.tree, all_nodes)
    expected, match_class = current_match(memory, model.base)
    expect_nodes(all_nodes, model.tree, expected)
    network_mass(probabilities, model.tree, mass)
    return order, match_class, np.int64(memory.history[TOKENS])


@compiled
def row_of(rows: Memory, row: Index) -> Memory:
    """The memory of one row, not a copy."""
    return Memory(
        rows.heads[row],
        rows.entries[row],
        rows.used[row],
        rows.node_tallies[row],
        rows.text[row],
        rows.match_table[row],
        rows.match_state[row],
        rows.history[row],
        rows.words[row],
        rows.num_words[row],
    )


@compiled_inner
def _fill_distribution(
    model: MixingModel,
    all_nodes: Statistics,
    selected: Statistics,
    joint: JointWeights,
    mass: Doubles,
    selectors: Selectors,
    key: np.uint64,
    min_p: np.float64,
    mixed: Floats,
) -> None:
    """Compute the distribution (V,) from the root down, level by level; contexts are used where a question is likely to be reached.

    Args:
        selected: Room for the statistics of a level.
        mass: (V-1, 2) probability mass of the network below either answer.
        selectors: See `Selectors`.
        key: Key of the context of order 1.
        min_p: See `next_token_probabilities`.
        mixed: Receives the probabilities.
    """
    tree, table = model.tree, model.tables.probabilities
    order, match_class, last = selectors
    reach, level_nodes = np.zeros(len(mass)), np.zeros(len(mass), np.int32)
    bits, no_learning = np.zeros(len(mass), np.uint8), Rates(np.float32(0), np.float32(0), np.float32(0))
    reach[0], count, top = 1.0, np.int64(1), np.float64(0)  # top: probability of the most probable token so far
    while count:
        select_questions(all_nodes, level_nodes, count, selected)
        fill_inputs(model, selected, count, match_class)
        mixing_row = order * NUM_MATCH_CLASSES + match_class
        mix(model, selected, level_nodes, bits, count, mixing_row, last, key, no_learning)
        parents, count = level_nodes[:count].copy(), np.int64(0)
        for question in range(len(parents)):
            node = np.int64(parents[question])
            network = network_logit(mass, node)
            contexts = selected.logits[question]
            rows = joint_rows(contexts, network, order, np.int64(tree.levels[node]), node, last)
            p = sigmoid(table, mean_logit(joint_logits(joint, rows, contexts, network)))
            shares = (reach[node] * (ONE - p), reach[node] * p)
            for bit in range(2):
                child, share = tree.children[node, bit], shares[bit]
                top = max(top, share) if child < 0 else top
                least = np.float64(max(MIN_REACH, min_p * top))
                count = _pass_share(tree, table, mass, child, share, least, mixed, reach, level_nodes, count)


@compiled_inner
def _pass_share(
    tree: CodeTree,
    table: Floats,
    mass: Doubles,
    child: Index,
    share: np.float64,
    least: np.float64,
    mixed: Floats,
    reach: Doubles,
    level_nodes: Int32s,
    count: np.int64,
) -> np.int64:
    """Pass a share on to a token, to a question of the next level, or to the network. Returns the number of questions of that level."""
    if child < 0:
        mixed[-1 - child] = share
        return count
    if share < least:
        _leave_to_network(tree, table, mass, child, share, mixed, reach)
        return count
    reach[child], level_nodes[count] = share, child
    return np.int64(count + 1)


@compiled_inner
def _leave_to_network(
    tree: CodeTree, table: Floats, mass: Doubles, node: Index, share: np.float64, mixed: Floats, reach: Doubles
) -> None:
    """Compute the probabilities below a question that is hardly ever reached, by the network alone."""
    reach[node] = share
    stop = node + 1
    while node < stop:
        p = sigmoid(table, network_logit(mass, node))
        for bit in range(2):
            child, below = tree.children[node, bit], reach[node] * (p if bit else ONE - p)
            if child < 0:
                mixed[-1 - child] = below
            else:
                reach[child] = below
                stop = max(stop, child + 1)
        node += 1


@compiled
def observe(memories: Memory, model: MixingModel, tokens: Int32s, is_counted: bool) -> None:
    """Read a token (n,) in each row; see `recall`."""
    for row in range(len(tokens)):
        recall(tokens[row : row + 1], row_of(memories, row), model, is_counted)


@compiled
def share_weight(log_probs: Doubles, weights: Doubles, prior: Doubles, switch_rate: float, shared: Doubles) -> None:
    """Log-probabilities (T,) of a mixture of experts whose weights follow `FixedShare`.

    Args:
        log_probs: (T, E) of each expert.
        weights: (E,) weights of the experts, updated in place.
        prior: (E,) prior weights.
        switch_rate: Share of the weights that returns to the prior at each token.
        shared: Receives the log-probabilities.
    """
    for t in range(len(log_probs)):
        largest, total = log_probs[t, 0], 0.0
        for e in range(1, len(weights)):
            largest = max(largest, log_probs[t, e])
        for e in range(len(weights)):
            weights[e] *= math.exp(log_probs[t, e] - largest)
            total += weights[e]
        for e in range(len(weights)):
            weights[e] = (1.0 - switch_rate) * (weights[e] / total) + switch_rate * prior[e]
        shared[t] = math.log(total) + largest
