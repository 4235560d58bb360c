"""Values as a tree."""

from __future__ import annotations

import numpy as np

from anew.estimators.closed_fields import ClosedFields
from anew.families.transformer.drawing.value_tree import NO_NODE, NO_VALUE, ValueTree

VALUES = [[(1, 2, 9), (1, 3, 9), (2, 9)], [(1, 9), (4, 4, 9)]]  # the values of two views


def tree() -> ValueTree:
    values = [value for of_view in VALUES for value in of_view]
    closed = ClosedFields(
        views=np.array([[0, 255, 0, 0], [2, 255, 0, 0]]),
        rates=np.zeros(2),
        owners=np.repeat(np.arange(2), [3, 2]),
        starts=np.cumsum([0, *map(len, values)]),
        tokens=np.concatenate(values),
        pairs=np.zeros((0, 2), dtype=np.int64),
    )
    return ValueTree.build(closed, 10)


def test_each_value_is_a_path_and_no_other_path_is() -> None:
    values = tree()
    for number, value in enumerate(value for of_view in VALUES for value in of_view):
        nodes = values.roots[[0 if number < 3 else 1]]
        for token in value:
            nodes = values.after(nodes, np.array([token]))
            assert values.first[nodes] <= number <= values.last[nodes]
        assert values.values[nodes] == number
    nodes = values.after(np.append(values.roots, NO_NODE), np.array([4, 2, 1]))
    assert nodes.tolist() == [NO_NODE] * 3


def test_nodes_know_their_edges_and_values() -> None:
    values = tree()
    owners, edges = values.children(values.roots)
    assert owners.tolist() == [0, 0, 1, 1] and values.tokens[edges].tolist() == [1, 2, 1, 4]
    nodes = values.num_roots + edges
    assert values.first[nodes].tolist() == [0, 2, 3, 4] and values.last[nodes].tolist() == [1, 2, 3, 4]
    assert (values.values[nodes] == NO_VALUE).all()
