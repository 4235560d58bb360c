"""Statistics for each question: how often either answer followed each context, and the answer that a match predicts.

Legend for shapes: C kinds of context, D questions of the longest path, V tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anew.core.compiled import compiled_inner
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import KINDS, TOKEN_ORDERS, Counts, Index, Keys, find, tally
from anew.estimators.context_mixing.mixing import (
    EXACT_MATCHES,
    LOCAL_KINDS,
    MATCH_STEP,
    MATCHES,
    SOURCES,
    Memory,
    Places,
)

Ints = NDArray[np.int64]


@compiled_inner
def gather_path(
    memory: Memory,
    base: Memory,
    document: Memory,
    keys: Keys,
    tree: CodeTree,
    token: Index,
    places: Places,
    spots: Ints,
    at: Ints,
) -> Index:
    """Fill in the tallies and sides of the questions on a token's path.

    Args:
        memory, base: Memories whose tallies are summed.
        document: Memory of the document alone; the same as `memory`, except while the train part is learned.
        keys: (C,) keys of the contexts.
        tree: The questions.
        token: The token.
        places: Receives the statistics.
        spots: (C, 2) receives where the contexts were found in `memory`.
        at: (D+1,) buffer.

    Returns:
        The longest order of a context of tokens that was seen.
    """
    depth, shared, order = tree.depth[token], tree.shared[token], 0
    own_counts = Counts(memory.heads, memory.entries, memory.used)
    base_counts = Counts(base.heads, base.entries, base.used)
    for k in range(KINDS):
        at[: depth + 1] = 0
        if k == 0:
            recent = _gather_plain(memory, base, tree, token, places)
        else:
            recent = tally(base_counts, keys[k], shared, depth, at, spots[k])
            own_recent = tally(own_counts, keys[k], shared, depth, at, spots[k])
            recent = own_recent if own_recent >= 0 else recent
            _sum_tallies(tree.bits[token], depth, at, places.ones[k], places.zeros[k])
        if recent >= 0 and k < TOKEN_ORDERS:
            order = k
        _set_sides(places.sides[k], tree.bits[token], depth, recent)
    _gather_document(document, keys, tree, token, places, at)
    return order


@compiled_inner
def _gather_document(document: Memory, keys: Keys, tree: CodeTree, token: Index, places: Places, at: Ints) -> None:
    """The tallies and sides of what the document alone tells."""
    depth, bits, spot = tree.depth[token], tree.bits[token], np.zeros(2, np.int64)
    counts = Counts(document.heads, document.entries, document.used)
    for i in range(len(LOCAL_KINDS)):
        order, source = LOCAL_KINDS[i], KINDS + i
        if order == 0:
            last = _last_token(document, document)
            recent = np.int64(tree.shared[token, last - 1]) if last else -1
            for d in range(depth):
                node = tree.nodes[token, d]
                places.zeros[source, d], places.ones[source, d] = document.plain[node, 0], document.plain[node, 1]
        else:
            at[: depth + 1] = 0
            recent = tally(counts, keys[order], tree.shared[token], depth, at, spot)
            _sum_tallies(bits, depth, at, places.ones[source], places.zeros[source])
        _set_sides(places.sides[source], bits, depth, recent)


@compiled_inner
def _set_sides(sides: NDArray[np.uint8], bits: NDArray[np.uint8], depth: Index, recent: Index) -> None:
    """The answers of the last symbol. recent: how many it shares, -1 without one."""
    for d in range(depth):
        side = bits[d] if recent > d else 1 - bits[d]
        sides[d] = side if recent >= d else 2


@compiled_inner
def _sum_tallies(
    bits: NDArray[np.uint8], depth: Index, at: Ints, ones: NDArray[np.int32], zeros: NDArray[np.int32]
) -> None:
    """Tallies by how many answers they share -> tallies of either answer."""
    total = at[depth]
    for d in range(depth - 1, -1, -1):
        ones[d], zeros[d] = (total, at[d]) if bits[d] else (at[d], total)
        total += at[d]


@compiled_inner
def _gather_plain(memory: Memory, base: Memory, tree: CodeTree, token: Index, places: Places) -> Index:
    """The tallies of order 0; returns how many answers the last token shares, -1 without one."""
    for d in range(tree.depth[token]):
        node = tree.nodes[token, d]
        places.zeros[0, d] = memory.plain[node, 0] + base.plain[node, 0]
        places.ones[0, d] = memory.plain[node, 1] + base.plain[node, 1]
    last = _last_token(memory, base)
    return np.int64(tree.shared[token, last - 1]) if last else -1


@compiled_inner
def _last_token(memory: Memory, base: Memory) -> Index:
    """The last token + 1 of `memory`, else of `base`; 0 without one."""
    return np.int64(memory.plain[-1, 0] if memory.plain[-1, 0] else base.plain[-1, 0])


@compiled_inner
def gather_nodes(memory: Memory, base: Memory, keys: Keys, tree: CodeTree, places: Places) -> Index:
    """Fill in the tallies and sides of all questions; see `gather_path`."""
    order = 0
    places.sides[:] = 2
    for k in range(KINDS):
        zeros, ones = places.zeros[k], places.ones[k]
        zeros[:], ones[:] = 0, 0
        if k == 0:
            for node in range(len(zeros)):
                zeros[node] = memory.plain[node, 0] + base.plain[node, 0]
                ones[node] = memory.plain[node, 1] + base.plain[node, 1]
            last = _last_token(memory, base)
        else:
            base_last = _add_paths(base, keys[k], tree, zeros, ones)
            last = _add_paths(memory, keys[k], tree, zeros, ones)
            last = last if last else base_last
        if not last:
            continue
        if k < TOKEN_ORDERS:
            order = k
        _mark_path(places.sides[k], tree, last)
    for i in range(len(LOCAL_KINDS)):
        zeros, ones = places.zeros[KINDS + i], places.ones[KINDS + i]
        if LOCAL_KINDS[i] == 0:
            for node in range(len(zeros)):
                zeros[node], ones[node] = memory.plain[node, 0], memory.plain[node, 1]
            last = _last_token(memory, memory)
        else:
            zeros[:], ones[:] = 0, 0
            last = _add_paths(memory, keys[LOCAL_KINDS[i]], tree, zeros, ones)
        if last:
            _mark_path(places.sides[KINDS + i], tree, last)
    return order


@compiled_inner
def _mark_path(sides: NDArray[np.uint8], tree: CodeTree, last: Index) -> None:
    """The answers of a last symbol. last: the symbol + 1."""
    for d in range(tree.depth[last - 1]):
        sides[tree.nodes[last - 1, d]] = tree.bits[last - 1, d]


@compiled_inner
def take_places(every: Places, nodes: NDArray[np.int32], count: Index, taken: Places) -> None:
    """Copy the statistics of `count` questions from those of all questions."""
    for source in range(SOURCES):
        for place in range(count):
            taken.zeros[source, place] = every.zeros[source, nodes[place]]
            taken.ones[source, place] = every.ones[source, nodes[place]]
            taken.sides[source, place] = every.sides[source, nodes[place]]
    for place in range(count):
        taken.expected[place] = every.expected[nodes[place]]


@compiled_inner
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


@compiled_inner
def match(memory: Memory, base: Memory) -> tuple[Index, Index]:
    """The token that a match expects, -1 without one, and the class of its length."""
    length = memory.link[2]
    if length == 0:
        return -1, 0
    expected = base.text[memory.link[1]] if memory.link[3] else memory.text[memory.link[1]]
    if length < EXACT_MATCHES:
        return np.int64(expected), length
    return np.int64(expected), min(EXACT_MATCHES + (length - EXACT_MATCHES) // MATCH_STEP, MATCHES - 1)


@compiled_inner
def expect_path(places: Places, tree: CodeTree, token: Index, expected: Index) -> None:
    """Answers that a match expects to a token's questions."""
    common = np.int64(tree.shared[token, expected]) if expected >= 0 else -1
    for d in range(tree.depth[token]):
        answer = tree.bits[token, d] if common > d else 1 - tree.bits[token, d]
        places.expected[d] = answer if common >= d else 2


@compiled_inner
def expect_nodes(places: Places, tree: CodeTree, expected: Index) -> None:
    """Answers that a match expects to all questions."""
    places.expected[:] = 2
    if expected >= 0:
        for d in range(tree.depth[expected]):
            places.expected[tree.nodes[expected, d]] = tree.bits[expected, d]
