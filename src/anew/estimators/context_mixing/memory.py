"""Updates of a memory: the tallies of contexts, and the text with its current match, and the words."""

from __future__ import annotations

import numpy as np

from anew.core.arrays import Int32s, Ints
from anew.core.machine.compiled import compiled_inner
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import (
    LETTERS,
    NUM_KINDS,
    TOKENS,
    Counts,
    Index,
    Keys,
    Spelling,
    add,
    advance,
    combine_hashes,
)
from anew.estimators.context_mixing.gathering import current_match
from anew.estimators.context_mixing.mixing import (
    IN_BASE,
    LENGTH,
    LOCAL_KINDS,
    MATCHED,
    MAX_MATCH,
    MIN_MATCH,
    PREDICTED,
    Memory,
)
from anew.estimators.context_mixing.words import Words, add_token


@compiled_inner
def read_counted(
    memory: Memory, base: Memory, keys: Keys, tree: CodeTree, token: Index, locations: Ints, spelling: Spelling
) -> None:
    """Count a token in its contexts, and read it. locations: (C, 2) where its contexts were found, -1 where they were not searched."""
    counts = Counts(memory.heads, memory.entries, memory.used)
    for order in range(1, NUM_KINDS):
        add(counts, keys[order], token, locations[order, 0], locations[order, 1])
    for d in range(tree.depth[token]):
        memory.node_tallies[tree.nodes[token, d], tree.bits[token, d]] += 1
    memory.node_tallies[-1, 0] = token + 1
    add_token(Words(memory.words, memory.num_words), memory.history[LETTERS], token, spelling)
    advance(memory.history, token, spelling)
    _append_and_match(memory, base, token, np.int64(1))


@compiled_inner
def read_uncounted(memory: Memory, base: Memory, token: Index, spelling: Spelling) -> None:
    """Read a token without counting it; no later text can match it either."""
    add_token(Words(memory.words, memory.num_words), memory.history[LETTERS], token, spelling)
    advance(memory.history, token, spelling)
    _append_and_match(memory, base, token, np.int64(0))


@compiled_inner
def count_in_document(document: Memory, keys: Keys, tree: CodeTree, token: Index) -> None:
    """Count a token in the contexts of the document alone (LOCAL_KINDS)."""
    counts = Counts(document.heads, document.entries, document.used)
    for i in range(1, len(LOCAL_KINDS)):
        add(counts, keys[LOCAL_KINDS[i]], token, np.int64(-1), np.int64(-1))
    for d in range(tree.depth[token]):
        document.node_tallies[tree.nodes[token, d], tree.bits[token, d]] += 1
    document.node_tallies[-1, 0] = token + 1


@compiled_inner
def _append_and_match(memory: Memory, base: Memory, token: Index, is_kept: Index) -> None:
    """Append a token to the text, and extend the match or find a new one. is_kept: whether later text can match this place."""
    match_state, text = memory.match_state, memory.text
    expected, _ = current_match(memory, base)
    text[match_state[LENGTH]] = token
    match_state[LENGTH] += 1
    if expected == token:
        match_state[PREDICTED] += 1
        match_state[MATCHED] += 1
    else:
        match_state[MATCHED] = 0
    end = base.match_state[LENGTH] if match_state[IN_BASE] else match_state[LENGTH]
    if match_state[MATCHED] and match_state[PREDICTED] >= end:
        match_state[MATCHED] = 0  # the text ends there
    key = np.uint64(1)
    for i in range(MIN_MATCH):
        key = combine_hashes(key, memory.history[TOKENS + i])
    slot = np.int64(key >> np.uint64(30))
    own_slot = slot & (len(memory.match_table) - 1)
    if match_state[MATCHED] == 0:
        _start_match(memory, memory.text, memory.match_table[own_slot], np.int64(0))
    if match_state[MATCHED] == 0:
        _start_match(memory, base.text, base.match_table[slot & (len(base.match_table) - 1)], np.int64(1))
    if is_kept:
        memory.match_table[own_slot] = match_state[LENGTH]


@compiled_inner
def _start_match(memory: Memory, text: Int32s, position: Index, is_base: Index) -> None:
    """Start a match at a position of a text if the tokens before it equal the last ones read."""
    length, end = 0, memory.match_state[LENGTH]
    while length < min(MAX_MATCH, position, end) and text[position - 1 - length] == memory.text[end - 1 - length]:
        length += 1
    if length >= MIN_MATCH:
        memory.match_state[PREDICTED], memory.match_state[MATCHED] = position, length
        memory.match_state[IN_BASE] = is_base
