"""Statistics of each question: how often either answer followed each context, and the answer that a match predicts.

Legend for shapes: C kinds of context, D questions of the longest path, V tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Int32s, Ints
from anew.core.machine.compiled import compiled_inner
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import (
    FIRST,
    NEWEST,
    NUM_KINDS,
    NUM_TOKEN_ORDERS,
    SIZE_MASK,
    SIZES,
    SYMBOL_MASK,
    TALLY_SHIFT,
    Counts,
    Index,
    Keys,
    find,
    tally,
)
from anew.estimators.context_mixing.mixing import (
    EXACT_MATCHES,
    IN_BASE,
    LOCAL_KINDS,
    MATCH_STEP,
    MATCHED,
    NUM_MATCH_CLASSES,
    NUM_SOURCES,
    PREDICTED,
    Memory,
    Statistics,
)


@compiled_inner
def gather_path(
    memory: Memory,
    base: Memory,
    document: Memory,
    keys: Keys,
    tree: CodeTree,
    token: Index,
    statistics: Statistics,
    locations: Ints,
    tallies: Ints,
) -> Index:
    """Fill `statistics` with the tallies and sides of the questions on a token's path.

    Args:
        memory, base: Memories whose tallies are summed.
        document: Memory of the document alone; the same as `memory`, except while the train part is learned.
        keys: (C,) keys of the contexts.
        locations: (C, 2) receives where the contexts were found in `memory`.
        tallies: (D+1,) buffer.

    Returns:
        The order of the longest context of tokens that was seen before.
    """
    depth, shared, order = tree.depth[token], tree.shared[token], 0
    own_counts = Counts(memory.heads, memory.entries, memory.used)
    base_counts = Counts(base.heads, base.entries, base.used)
    for k in range(NUM_KINDS):
        tallies[: depth + 1] = 0
        if k == 0:
            recent = _gather_order_zero(memory, base, tree, token, statistics)
        else:
            recent = tally(base_counts, keys[k], shared, depth, tallies, locations[k])
            own_recent = tally(own_counts, keys[k], shared, depth, tallies, locations[k])
            recent = own_recent if own_recent >= 0 else recent
            _sum_tallies(tree.bits[token], depth, tallies, statistics.ones[k], statistics.zeros[k])
        if recent >= 0 and k < NUM_TOKEN_ORDERS:
            order = k
        _set_sides(statistics.sides[k], tree.bits[token], depth, recent)
    _gather_document(document, keys, tree, token, statistics, tallies)
    return order


@compiled_inner
def _gather_document(
    document: Memory, keys: Keys, tree: CodeTree, token: Index, statistics: Statistics, tallies: Ints
) -> None:
    """Fill in the tallies and sides of the contexts that are counted in the document alone."""
    depth, bits, location = tree.depth[token], tree.bits[token], np.zeros(2, np.int64)
    counts = Counts(document.heads, document.entries, document.used)
    for i in range(len(LOCAL_KINDS)):
        order, source = LOCAL_KINDS[i], NUM_KINDS + i
        if order == 0:
            last = _last_token(document, document)
            recent = np.int64(tree.shared[token, last - 1]) if last else -1
            for d in range(depth):
                node = tree.nodes[token, d]
                statistics.zeros[source, d], statistics.ones[source, d] = (
                    document.node_tallies[node, 0],
                    document.node_tallies[node, 1],
                )
        else:
            tallies[: depth + 1] = 0
            recent = tally(counts, keys[order], tree.shared[token], depth, tallies, location)
            _sum_tallies(bits, depth, tallies, statistics.ones[source], statistics.zeros[source])
        _set_sides(statistics.sides[source], bits, depth, recent)


@compiled_inner
def _set_sides(sides: NDArray[np.uint8], bits: NDArray[np.uint8], depth: Index, recent: Index) -> None:
    """Fill `sides` with the answers of the last symbol. recent: how many answers it shares, -1 without one."""
    for d in range(depth):
        side = bits[d] if recent > d else 1 - bits[d]
        sides[d] = side if recent >= d else 2


@compiled_inner
def _sum_tallies(bits: NDArray[np.uint8], depth: Index, tallies: Ints, ones: Int32s, zeros: Int32s) -> None:
    """Turn tallies by the number of shared answers into tallies of either answer, `ones` and `zeros`."""
    total = tallies[depth]
    for d in range(depth - 1, -1, -1):
        ones[d], zeros[d] = (total, tallies[d]) if bits[d] else (tallies[d], total)
        total += tallies[d]


@compiled_inner
def _gather_order_zero(memory: Memory, base: Memory, tree: CodeTree, token: Index, statistics: Statistics) -> Index:
    """Fill in the tallies of order 0. Returns how many answers the last token shares, -1 without one."""
    for d in range(tree.depth[token]):
        node = tree.nodes[token, d]
        statistics.zeros[0, d] = memory.node_tallies[node, 0] + base.node_tallies[node, 0]
        statistics.ones[0, d] = memory.node_tallies[node, 1] + base.node_tallies[node, 1]
    last = _last_token(memory, base)
    return np.int64(tree.shared[token, last - 1]) if last else -1


@compiled_inner
def _last_token(memory: Memory, base: Memory) -> Index:
    """The last token + 1 of `memory`, else of `base`; 0 without one."""
    return np.int64(memory.node_tallies[-1, 0] if memory.node_tallies[-1, 0] else base.node_tallies[-1, 0])


@compiled_inner
def gather_nodes(memory: Memory, base: Memory, keys: Keys, tree: CodeTree, statistics: Statistics) -> Index:
    """Fill `statistics` with the tallies and sides of all questions; see `gather_path`."""
    order = 0
    statistics.sides[:] = 2
    for k in range(NUM_KINDS):
        zeros, ones = statistics.zeros[k], statistics.ones[k]
        zeros[:], ones[:] = 0, 0
        if k == 0:
            for node in range(len(zeros)):
                zeros[node] = memory.node_tallies[node, 0] + base.node_tallies[node, 0]
                ones[node] = memory.node_tallies[node, 1] + base.node_tallies[node, 1]
            last = _last_token(memory, base)
        else:
            base_last = _add_paths(base, keys[k], tree, zeros, ones)
            last = _add_paths(memory, keys[k], tree, zeros, ones)
            last = last if last else base_last
        if not last:
            continue
        if k < NUM_TOKEN_ORDERS:
            order = k
        _mark_path(statistics.sides[k], tree, last)
    for i in range(len(LOCAL_KINDS)):
        zeros, ones = statistics.zeros[NUM_KINDS + i], statistics.ones[NUM_KINDS + i]
        if LOCAL_KINDS[i] == 0:
            for node in range(len(zeros)):
                zeros[node], ones[node] = memory.node_tallies[node, 0], memory.node_tallies[node, 1]
            last = _last_token(memory, memory)
        else:
            zeros[:], ones[:] = 0, 0
            last = _add_paths(memory, keys[LOCAL_KINDS[i]], tree, zeros, ones)
        if last:
            _mark_path(statistics.sides[NUM_KINDS + i], tree, last)
    return order


@compiled_inner
def _mark_path(sides: NDArray[np.uint8], tree: CodeTree, last: Index) -> None:
    """Set the sides of the questions on the path of a last symbol. last: the symbol + 1."""
    for d in range(tree.depth[last - 1]):
        sides[tree.nodes[last - 1, d]] = tree.bits[last - 1, d]


@compiled_inner
def select_questions(all_nodes: Statistics, nodes: Int32s, count: Index, selected: Statistics) -> None:
    """Copy the statistics of `count` questions from those of all questions."""
    for source in range(NUM_SOURCES):
        for question in range(count):
            selected.zeros[source, question] = all_nodes.zeros[source, nodes[question]]
            selected.ones[source, question] = all_nodes.ones[source, nodes[question]]
            selected.sides[source, question] = all_nodes.sides[source, nodes[question]]
    for question in range(count):
        selected.expected[question] = all_nodes.expected[nodes[question]]


@compiled_inner
def _add_paths(memory: Memory, key: np.uint64, tree: CodeTree, zeros: Int32s, ones: Int32s) -> Index:
    """Add the tallies of the symbols that followed a context along their paths. Returns the last symbol + 1, 0 without one."""
    heads = memory.heads
    slot = find(heads, key)
    if slot < 0:
        return 0
    first, size = heads[slot, FIRST], heads[slot, SIZES] & SIZE_MASK
    for j in range(size):
        entry = memory.entries[first + j] if size > 1 else np.uint32(heads[slot, NEWEST])
        symbol = np.int64(entry & SYMBOL_MASK)
        weight = np.int64(entry >> TALLY_SHIFT) if size > 1 else np.int64(first)
        for d in range(tree.depth[symbol]):
            side = ones if tree.bits[symbol, d] else zeros
            side[tree.nodes[symbol, d]] += weight
    return np.int64(heads[slot, NEWEST]) + 1


@compiled_inner
def current_match(memory: Memory, base: Memory) -> tuple[Index, Index]:
    """The token that the current match predicts, -1 without a match, and the class of the match's length."""
    length = memory.match_state[MATCHED]
    if length == 0:
        return -1, 0
    position = memory.match_state[PREDICTED]
    expected = base.text[position] if memory.match_state[IN_BASE] else memory.text[position]
    if length < EXACT_MATCHES:
        return np.int64(expected), length
    return np.int64(expected), min(EXACT_MATCHES + (length - EXACT_MATCHES) // MATCH_STEP, NUM_MATCH_CLASSES - 1)


@compiled_inner
def expect_path(statistics: Statistics, tree: CodeTree, token: Index, expected: Index) -> None:
    """Set the predicted answers on a token's path. expected: the token that a match predicts, -1 without one."""
    common = np.int64(tree.shared[token, expected]) if expected >= 0 else -1
    for d in range(tree.depth[token]):
        answer = tree.bits[token, d] if common > d else 1 - tree.bits[token, d]
        statistics.expected[d] = answer if common >= d else 2


@compiled_inner
def expect_nodes(statistics: Statistics, tree: CodeTree, expected: Index) -> None:
    """Set the predicted answers of all questions; see `expect_path`."""
    statistics.expected[:] = 2
    if expected >= 0:
        for d in range(tree.depth[expected]):
            statistics.expected[tree.nodes[expected, d]] = tree.bits[expected, d]
