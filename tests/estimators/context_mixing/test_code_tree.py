"""The tree of questions: a prefix code in the order of spelling, short for common tokens."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators.context_mixing.code_tree import CodeTree, build_tree


def tree(size: int = 40, seed: int = 0) -> tuple[CodeTree, np.ndarray]:
    source = np.random.default_rng(seed)
    spellings = [bytes(source.integers(97, 100, source.integers(1, 5))) for _ in range(size)]
    weights = source.pareto(1.0, size) + 0.1
    return build_tree(spellings, weights), weights


def test_each_path_leads_to_its_token() -> None:
    made, _ = tree()
    for token, depth in enumerate(made.depth):
        node = 0
        for place in range(depth):
            assert made.nodes[token, place] == node
            assert made.levels[node] == place
            node = int(made.children[node, made.bits[token, place]])
        assert node == -1 - token


def test_children_have_higher_numbers() -> None:
    made, _ = tree()
    parents, bits = np.nonzero(made.children >= 0)
    assert (made.children[parents, bits] > parents).all()


def test_shared_answers_are_those_of_both_paths() -> None:
    made, _ = tree(25)
    for a in range(25):
        for b in range(25):
            common = 0
            while common < min(made.depth[a], made.depth[b]) and made.bits[a, common] == made.bits[b, common]:
                common += 1
            assert made.shared[a, b] == common


@pytest.mark.parametrize("seed", range(3))
def test_the_code_is_near_the_entropy(seed: int) -> None:
    made, weights = tree(200, seed)
    shares = weights / weights.sum()
    assert (shares * made.depth).sum() < -(shares * np.log2(shares)).sum() + 2


def test_two_tokens_are_one_question() -> None:
    made = build_tree([b"a", b"b"], np.ones(2))
    assert made.children.tolist() == [[-1, -2]]
