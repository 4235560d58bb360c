"""The values of closed fields as a tree, whose nodes limit the next token of a sample.

Legend for shapes: n samples, K values, N tokens of all values, M nodes, E edges, T views, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anew.core.arrays import Bools, Ints
from anew.estimators.closed_fields import ClosedFields

NO_NODE = NO_VALUE = -1  # where there is none


@dataclass(frozen=True, slots=True)
class ValueTree:
    """Nodes are beginnings of values. Nodes at smaller depth come first, and the edge number i leads to the node num_roots + i.

    Attributes:
        roots: (T,) the node before any token of a view's values.
        starts: (M + 1,) where the edges of each node begin.
        tokens: (E,) what each edge adds.
        first, last: (M,) numbers of the first and of the last value that begin so.
        values: (M,) the value that is complete there; NO_VALUE for others.
        num_roots: Nodes without tokens.
        vocab_size: V.
    """

    roots: Ints
    starts: Ints
    tokens: Ints
    first: Ints
    last: Ints
    values: Ints
    num_roots: int
    vocab_size: int

    @classmethod
    def build(cls, closed: ClosedFields, vocab_size: int) -> ValueTree:
        """The tree of checked values."""
        lengths = np.diff(closed.starts)
        views, first, node_of = np.unique(closed.owners, return_index=True, return_inverse=True)
        roots = np.full(len(closed.views), NO_NODE)
        roots[views] = np.arange(len(views))
        firsts, lasts = [first], [np.append(first[1:], len(lengths)) - 1]
        keys: list[Ints] = []
        values = [np.full(len(views), NO_VALUE)]
        num_nodes = len(views)
        for depth in range(int(lengths.max())):
            longer = np.flatnonzero(lengths > depth)
            edge_keys = node_of[longer] * vocab_size + closed.tokens[closed.starts[longer] + depth]
            unique, begins, child = np.unique(edge_keys, return_index=True, return_inverse=True)
            node_of[longer] = num_nodes + child
            keys.append(unique)
            firsts.append(longer[begins])
            lasts.append(firsts[-1] + np.bincount(child) - 1)
            complete = np.full(len(unique), NO_VALUE)
            ends = lengths[longer] == depth + 1
            complete[child[ends]] = longer[ends]
            values.append(complete)
            num_nodes += len(unique)
        edges = np.concatenate(keys)
        starts = np.searchsorted(edges // vocab_size, np.arange(num_nodes + 1))
        all_firsts, all_lasts, all_values = (np.concatenate(part) for part in (firsts, lasts, values))
        return cls(roots, starts, edges % vocab_size, all_firsts, all_lasts, all_values, len(views), vocab_size)

    def children(self, nodes: Ints) -> tuple[Ints, Ints]:
        """All edges of nodes (n,): the index of the node among these, and the number of the edge."""
        counts = self.starts[nodes + 1] - self.starts[nodes]
        owners = np.repeat(np.arange(len(nodes)), counts)
        edges = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + self.starts[nodes][owners]
        return owners, edges

    def after(self, nodes: Ints, tokens: Ints) -> Ints:
        """(n,) the nodes after nodes (n,) and tokens (n,); NO_NODE where no value goes on so, and after NO_NODE."""
        owners, edges = self.children(np.maximum(nodes, 0))
        is_taken: Bools = self.tokens[edges] == tokens[owners]
        children = np.full(len(nodes), NO_NODE)
        children[owners[is_taken]] = self.num_roots + edges[is_taken]
        return np.where(nodes == NO_NODE, NO_NODE, children)
