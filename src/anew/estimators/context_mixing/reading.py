"""A text token by token: what context mixing gives each answer, what a network gives it, and both together.

Legend for shapes: T tokens of a text, D questions of the longest path, V tokens, n rows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from anew.core.compiled import compiled, compiled_inner
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import KINDS, TOKENS, Index, Spelling, context_keys
from anew.estimators.context_mixing.gathering import (
    expect_nodes,
    expect_path,
    gather_nodes,
    gather_path,
    match,
    take_places,
)
from anew.estimators.context_mixing.joint import (
    LEAST_REACH,
    Joint,
    joint_logits,
    joint_of,
    joint_rows,
    learn_joint,
    mean_logit,
)
from anew.estimators.context_mixing.memory import count_in_document, read_uncounted, remember
from anew.estimators.context_mixing.mixing import (
    MATCHES,
    ONE,
    Maps,
    Memory,
    Places,
    Rates,
    Tables,
    fill_inputs,
    learn_curves,
    make_places,
    mix,
    squash,
)

LEAST_MASS = 1e-30  # of a network's probabilities below a question: log odds stay finite
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Nodes = NDArray[np.int32]
Ints = NDArray[np.int64]
Tokens = NDArray[np.int32]


@compiled
def read(
    ids: Tokens,
    memory: Memory,
    base: Memory,
    document: Memory,
    tree: CodeTree,
    spelling: Spelling,
    maps: Maps,
    tables: Tables,
    rates: Rates,
    logits: Floats,
    orders: Ints,
) -> None:
    """Read a text into `memory`.

    Args:
        ids: (T,).
        memory: The memory that is extended.
        base: Memory of the text before, which is not changed.
        document: Memory of the document alone; the same as `memory`, except while the train part is learned.
        tree: The questions.
        spelling: Spelling of the tokens.
        maps: Learned parameters, updated where rates are above 0.
        tables: Functions of a few values.
        rates: Learning rates.
        logits: (T, D) receives the log odds of the answer 1 of each question.
        orders: (T,) receives the longest order of tokens that was seen.
    """
    longest = tree.nodes.shape[1]
    places, keys = make_places(longest), np.zeros(KINDS, np.uint64)
    spots, at = np.full((KINDS, 2), -1), np.zeros(longest + 1, np.int64)
    for t in range(len(ids)):
        token = np.int64(ids[t])
        depth, bits = tree.depth[token], tree.bits[token]
        context_keys(memory.history, keys)
        order = gather_path(memory, base, document, keys, tree, token, places, spots, at)
        expected, match_class = match(memory, base)
        expect_path(places, tree, token, expected)
        fill_inputs(maps, tables, places, depth, match_class)
        last = np.int64(memory.history[TOKENS])
        row = order * MATCHES + match_class
        mix(maps, tables, places, tree.nodes[token], bits, depth, row, last, keys[1], rates)
        if rates.weights > 0:
            learn_curves(maps, tables, places, bits, depth, match_class, rates)
            count_in_document(document, keys, tree, token)
        for d in range(depth):
            logits[t, d] = places.logits[d]
        orders[t] = order
        remember(memory, base, keys, tree, token, spots, spelling)


@compiled
def recall(ids: Tokens, memory: Memory, base: Memory, tree: CodeTree, spelling: Spelling, is_counted: bool) -> None:
    """Read a text (T,) into `memory`, without predicting it. is_counted: whether it tells anything of what comes later."""
    keys, spots = np.zeros(KINDS, np.uint64), np.full((KINDS, 2), -1)
    for t in range(len(ids)):
        if is_counted:
            context_keys(memory.history, keys)
            remember(memory, base, keys, tree, np.int64(ids[t]), spots, spelling)
        else:
            read_uncounted(memory, base, np.int64(ids[t]), spelling)


@compiled_inner
def network_mass(probabilities: Floats, tree: CodeTree, mass: Doubles) -> None:
    """Probability mass that a network gives to either answer of each question. probabilities: (V,), mass: (V-1, 2) receives it."""
    for node in range(len(mass) - 1, -1, -1):
        for bit in range(2):
            child = tree.children[node, bit]
            below = np.float64(probabilities[-1 - child]) if child < 0 else mass[child, 0] + mass[child, 1]
            mass[node, bit] = max(below, LEAST_MASS)


@compiled
def network_path_logits(probabilities: Floats, targets: Ints, tree: CodeTree, logits: Floats) -> None:
    """Log odds (T, D) of the answer 1 of each question of the targets (T,). probabilities: (T, V)."""
    mass = np.zeros((len(tree.children), 2))
    for t in range(len(targets)):
        network_mass(probabilities[t], tree, mass)
        for d in range(tree.depth[targets[t]]):
            node = np.int64(tree.nodes[targets[t], d])
            logits[t, d] = _network_logit(mass, node)


@compiled_inner
def _network_logit(mass: Doubles, node: Index) -> np.float32:
    return np.float32(math.log(mass[node, 1] / mass[node, 0]))


@compiled
def draw_step(
    memories: Memory,
    base: Memory,
    tree: CodeTree,
    maps: Maps,
    joint: Joint,
    tables: Tables,
    probabilities: Floats,
    mixed: Floats,
) -> None:
    """Sample the next token of each row, by contexts and network together.

    Args:
        memories: Memory of each row: a first axis of n in every array.
        base: Memory of the text before.
        tree: The questions.
        maps: Learned parameters.
        joint: Weights of each row, with the same axis.
        tables: Functions of a few values.
        probabilities: (n, V) of the network.
        mixed: (n, V) receives the probabilities.
    """
    count = len(tree.children)
    every, taken, keys = make_places(count), make_places(count), np.zeros(KINDS, np.uint64)
    mass = np.zeros((count, 2))
    for row in range(len(probabilities)):
        memory = row_of(memories, row)
        context_keys(memory.history, keys)
        order = gather_nodes(memory, base, keys, tree, every)
        expected, match_class = match(memory, base)
        expect_nodes(every, tree, expected)
        network_mass(probabilities[row], tree, mass)
        last = np.int64(memory.history[TOKENS])
        weights = joint_of(joint, row)
        _descend(every, taken, tree, maps, weights, tables, mass, (order, match_class, last), keys[1], mixed[row])


@compiled
def draw_tokens(
    memories: Memory,
    base: Memory,
    tree: CodeTree,
    maps: Maps,
    joint: Joint,
    tables: Tables,
    probabilities: Floats,
    uniform: Floats,
    rate: np.float32,
    tokens: Ints,
    token_probabilities: Doubles,
) -> None:
    """Draw what comes next in each row, from the distribution of `draw_step`: only the questions on its path are asked.

    Args:
        memories: Memory of the document of each row.
        base, tree, maps, joint, tables: See `draw_step`.
        probabilities: (n, V) of the network.
        uniform: (n,) in [0, 1), which decides the token.
        rate: Learning rate of the weights of each row; 0 for none.
        tokens: (n,) receives the tokens; where it holds one, and not -1, that one is not drawn.
        token_probabilities: (n,) receives their probabilities.
    """
    count = len(tree.children)
    every, taken, keys = make_places(count), make_places(np.int64(1)), np.zeros(KINDS, np.uint64)
    mass = np.zeros((count, 2))
    for row in range(len(probabilities)):
        memory = row_of(memories, row)
        context_keys(memory.history, keys)
        order = gather_nodes(memory, base, keys, tree, every)
        expected, match_class = match(memory, base)
        expect_nodes(every, tree, expected)
        network_mass(probabilities[row], tree, mass)
        statistics = (order, match_class, np.int64(memory.history[TOKENS]))
        weights = joint_of(joint, row)
        _walk(
            every,
            taken,
            tree,
            maps,
            weights,
            tables,
            mass,
            statistics,
            keys[1],
            row,
            uniform,
            rate,
            tokens,
            token_probabilities,
        )


@compiled_inner
def _walk(
    every: Places,
    taken: Places,
    tree: CodeTree,
    maps: Maps,
    joint: Joint,
    tables: Tables,
    mass: Doubles,
    statistics: tuple[Index, Index, Index],
    key: np.uint64,
    row: Index,
    uniform: Floats,
    rate: np.float32,
    tokens: Ints,
    chances: Doubles,
) -> None:
    """One token, from the root down. See `_descend` and `draw_tokens`; taken: room for one place."""
    order, match_class, last = statistics
    level, bits = np.zeros(1, np.int32), np.zeros(1, np.uint8)
    still = Rates(np.float32(0), np.float32(0), np.float32(0))
    remainder, reach, node, depth = np.float64(uniform[row]), np.float64(1), np.int64(0), 0
    single = np.int64(1)
    longest = tree.nodes.shape[1]
    contexts, network = np.zeros(longest, np.float32), np.zeros(longest, np.float32)
    num_asked = np.int64(0)
    while node >= 0:
        level[0], network[depth] = node, _network_logit(mass, node)
        if reach >= LEAST_REACH:
            take_places(every, level, single, taken)
            fill_inputs(maps, tables, taken, single, match_class)
            mix(maps, tables, taken, level, bits, single, order * MATCHES + match_class, last, key, still)
            contexts[depth], num_asked = taken.logits[0], np.int64(depth + 1)
            rows = joint_rows(contexts[depth], network[depth], order, np.int64(depth), node, last)
            p = squash(tables.probabilities, mean_logit(joint_logits(joint, rows, contexts[depth], network[depth])))
        else:
            p = squash(tables.probabilities, network[depth])
        share = np.float64(ONE - p)
        bit = np.int64(remainder >= share) if tokens[row] < 0 else np.int64(tree.bits[tokens[row], depth])
        remainder = (remainder - share) / np.float64(p) if bit else remainder / share
        reach *= np.float64(p) if bit else share
        node, depth = np.int64(tree.children[node, bit]), depth + 1
    token = -1 - node
    tokens[row], chances[row] = token, reach
    if rate > 0:
        learn_joint(joint, tables.probabilities, tree, token, contexts, network, (order, last), num_asked, rate)


@compiled
def row_of(rows: Memory, row: Index) -> Memory:
    """The memory of one of several rows."""
    return Memory(
        rows.heads[row],
        rows.entries[row],
        rows.used[row],
        rows.plain[row],
        rows.text[row],
        rows.table[row],
        rows.link[row],
        rows.history[row],
    )


@compiled_inner
def _descend(
    every: Places,
    taken: Places,
    tree: CodeTree,
    maps: Maps,
    joint: Joint,
    tables: Tables,
    mass: Doubles,
    statistics: tuple[Index, Index, Index],
    key: np.uint64,
    mixed: Floats,
) -> None:
    """Probabilities (V,), from the root down, level by level; contexts are asked where they are likely to matter.

    Args:
        every: Statistics of all questions.
        taken: Room for those of a level.
        tree: The questions.
        maps: Learned parameters.
        joint: Weights.
        tables: Functions of a few values.
        mass: (V-1, 2) of the network below either answer.
        statistics: The longest order that was seen, the class of the match, and the last token + 1.
        key: Key of the context of order 1.
        mixed: Receives the probabilities.
    """
    order, match_class, last = statistics
    reach, level = np.zeros(len(mass)), np.zeros(len(mass), np.int32)
    bits, still = np.zeros(len(mass), np.uint8), Rates(np.float32(0), np.float32(0), np.float32(0))
    reach[0], count = 1.0, np.int64(1)
    while count:
        take_places(every, level, count, taken)
        fill_inputs(maps, tables, taken, count, match_class)
        mix(maps, tables, taken, level, bits, count, order * MATCHES + match_class, last, key, still)
        parents, count = level[:count].copy(), np.int64(0)
        for place in range(len(parents)):
            node = np.int64(parents[place])
            network = _network_logit(mass, node)
            contexts = taken.logits[place]
            rows = joint_rows(contexts, network, order, np.int64(tree.levels[node]), node, last)
            p = squash(tables.probabilities, mean_logit(joint_logits(joint, rows, contexts, network)))
            shares = (reach[node] * (ONE - p), reach[node] * p)
            for bit in range(2):
                count = _pass_on(tree, tables, mass, tree.children[node, bit], shares[bit], mixed, reach, level, count)


@compiled_inner
def _pass_on(
    tree: CodeTree,
    tables: Tables,
    mass: Doubles,
    child: Index,
    share: np.float64,
    mixed: Floats,
    reach: Doubles,
    level: Nodes,
    count: np.int64,
) -> np.int64:
    """Give a share to a token, to a question of the next level, or to the network; returns how many questions there are."""
    if child < 0:
        mixed[-1 - child] = share
        return count
    if share < LEAST_REACH:
        _leave_to_network(tree, tables, mass, child, share, mixed, reach)
        return count
    reach[child], level[count] = share, child
    return np.int64(count + 1)


@compiled_inner
def _leave_to_network(
    tree: CodeTree, tables: Tables, mass: Doubles, node: Index, share: np.float64, mixed: Floats, reach: Doubles
) -> None:
    """Probabilities below a question that is hardly ever reached, by the network alone."""
    reach[node] = share
    stop = node + 1
    while node < stop:
        p = squash(tables.probabilities, _network_logit(mass, node))
        for bit in range(2):
            child, below = tree.children[node, bit], reach[node] * (p if bit else ONE - p)
            if child < 0:
                mixed[-1 - child] = below
            else:
                reach[child] = below
                stop = max(stop, child + 1)
        node += 1


@compiled
def observe(
    memories: Memory, base: Memory, tree: CodeTree, spelling: Spelling, tokens: Tokens, is_counted: bool
) -> None:
    """Read a token (n,) in each row; see `recall`."""
    for row in range(len(tokens)):
        recall(tokens[row : row + 1], row_of(memories, row), base, tree, spelling, is_counted)


@compiled
def share_weight(log_probs: Doubles, weights: Doubles, prior: Doubles, switch_rate: float, shared: Doubles) -> None:
    """Log-probabilities (T,) of experts that share the weight, see `FixedShare`.

    Args:
        log_probs: (T, E) of each expert.
        weights: (E,), what they have earned; changed.
        prior: (E,).
        switch_rate: Share of the weights that returns to the prior with each token.
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
