"""Updates of the memory: tallies of contexts, and the text with the longest match."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anew.core.compiled import compiled_inner
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import KINDS, TOKENS, Counts, Index, Keys, Spelling, add, advance, joint_hash
from anew.estimators.context_mixing.gathering import match
from anew.estimators.context_mixing.mixing import LEAST_MATCH, LOCAL_KINDS, LONGEST_MATCH, Memory

Ints = NDArray[np.int64]


@compiled_inner
def remember(
    memory: Memory, base: Memory, keys: Keys, tree: CodeTree, token: Index, spots: Ints, spelling: Spelling
) -> None:
    """Count a token and read it. spots: (C, 2) where its contexts were found, -1 where they were not searched."""
    counts = Counts(memory.heads, memory.entries, memory.used)
    for order in range(1, KINDS):
        add(counts, keys[order], token, spots[order, 0], spots[order, 1])
    for d in range(tree.depth[token]):
        memory.plain[tree.nodes[token, d], tree.bits[token, d]] += 1
    memory.plain[-1, 0] = token + 1
    advance(memory.history, token, spelling)
    _follow(memory, base, token, np.int64(1))


@compiled_inner
def read_uncounted(memory: Memory, base: Memory, token: Index, spelling: Spelling) -> None:
    """Read a token without counting it; it is never matched, either."""
    advance(memory.history, token, spelling)
    _follow(memory, base, token, np.int64(0))


@compiled_inner
def count_in_document(document: Memory, keys: Keys, tree: CodeTree, token: Index) -> None:
    """Count a token in the contexts of the document alone (LOCAL_KINDS)."""
    counts = Counts(document.heads, document.entries, document.used)
    for i in range(1, len(LOCAL_KINDS)):
        add(counts, keys[LOCAL_KINDS[i]], token, np.int64(-1), np.int64(-1))
    for d in range(tree.depth[token]):
        document.plain[tree.nodes[token, d], tree.bits[token, d]] += 1
    document.plain[-1, 0] = token + 1


@compiled_inner
def _follow(memory: Memory, base: Memory, token: Index, is_kept: Index) -> None:
    """Append a token to the text, and find out what it matches. is_kept: whether it can be matched itself."""
    link, text = memory.link, memory.text
    expected, _ = match(memory, base)
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
        key = joint_hash(key, memory.history[TOKENS + i])
    slot = np.int64(key >> np.uint64(30))
    own_slot = slot & (len(memory.table) - 1)
    if link[2] == 0:
        _seek(memory, memory.text, memory.table[own_slot], np.int64(0))
    if link[2] == 0:
        _seek(memory, base.text, base.table[slot & (len(base.table) - 1)], np.int64(1))
    if is_kept:
        memory.table[own_slot] = link[0]


@compiled_inner
def _seek(memory: Memory, text: NDArray[np.int32], position: Index, is_base: Index) -> None:
    """Start a match at a position of a text, where the tokens before it are the same as the last ones read."""
    length, end = 0, memory.link[0]
    while length < min(LONGEST_MATCH, position, end) and text[position - 1 - length] == memory.text[end - 1 - length]:
        length += 1
    if length >= LEAST_MATCH:
        memory.link[1], memory.link[2], memory.link[3] = position, length, is_base
