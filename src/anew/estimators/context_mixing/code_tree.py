"""A binary code tree: tokens are its leaves, and each token a path of binary questions, shorter for common tokens.

Legend for shapes: V tokens, D questions of the longest path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Doubles, Int32s, Ints

Bytes = NDArray[np.uint8]


class CodeTree(NamedTuple):
    """Paths from the root, which is node 0; a child has a higher number than its parent.

    Attributes:
        depth: (V,) number of questions on the path of each token.
        bits: (V, D) answers on each path, 0 after its end.
        nodes: (V, D) questions on each path.
        shared: (V, V) number of first answers that two tokens share; on the diagonal the depth of the token.
        children: (V-1, 2) next question after either answer, or -1 - token at a leaf.
        levels: (V-1,) number of answers before each question.
    """

    depth: Ints
    bits: Bytes
    nodes: Int32s
    shared: Bytes
    children: Int32s
    levels: Int32s


def build_tree(spellings: Sequence[bytes], weights: Doubles) -> CodeTree:
    """The code tree of a vocabulary: tokens sorted by spelling and halved by weight recursively, so that similar spellings are close.

    spellings: Of the V tokens, at least two; weights: (V,) how common each is, above 0."""
    size = len(spellings)
    order = sorted(range(size), key=lambda token: (spellings[token], token))
    mass = np.concatenate(([0.0], np.cumsum(weights[order])))
    children = np.zeros((size - 1, 2), dtype=np.int32)
    paths: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    stack: list[tuple[int, int, list[tuple[int, int]]]] = [(0, size, [])]
    num_nodes = 0
    while stack:
        low, high, path = stack.pop()
        if path:
            parent, bit = path[-1]
            children[parent, bit] = num_nodes if high - low > 1 else -1 - order[low]
        if high - low == 1:
            paths[order[low]] = path
            continue
        middle = _middle(mass, low, high)
        stack.append((middle, high, [*path, (num_nodes, 1)]))
        stack.append((low, middle, [*path, (num_nodes, 0)]))
        num_nodes += 1
    depth = np.array([len(path) for path in paths], dtype=np.int64)
    bits = np.zeros((size, int(depth.max())), dtype=np.uint8)
    nodes = np.zeros(bits.shape, dtype=np.int32)
    for token, path in enumerate(paths):
        nodes[token, : len(path)], bits[token, : len(path)] = np.array(path).T
    levels = np.zeros(size - 1, dtype=np.int32)
    for token, path in enumerate(paths):
        levels[nodes[token, : len(path)]] = np.arange(len(path))
    return CodeTree(depth, bits, nodes, _shared_answers(nodes, depth), children, levels)


def _middle(mass: Doubles, low: int, high: int) -> int:
    """The index between low and high at which both sides have about the same weight. mass: cumulative weights."""
    half = (mass[low] + mass[high]) / 2
    middle = min(max(int(np.searchsorted(mass, half)), low + 1), high - 1)
    if middle > low + 1 and half - mass[middle - 1] < mass[middle] - half:
        middle -= 1
    return middle


def _shared_answers(nodes: Int32s, depth: Ints) -> Bytes:
    """`CodeTree.shared`: two paths share an answer wherever they share the question after it."""
    shared = np.zeros((len(depth), len(depth)), dtype=np.uint8)
    for level in range(1, nodes.shape[1]):
        tokens = np.flatnonzero(depth > level)
        column = nodes[tokens, level]
        by_node = tokens[np.argsort(column, kind="stable")]
        edges = np.flatnonzero(np.diff(np.sort(column))) + 1
        for group in np.split(by_node, edges):
            shared[np.ix_(group, group)] = level
    np.fill_diagonal(shared, depth)
    return shared
