"""The tree of questions: a prefix code in the order of spelling, short for common tokens."""

from __future__ import annotations

import numpy as np
import pytest

from anew.estimators.context_mixing.code_tree import CodeTree, build_tree


def tree(size: int = 40, seed: int = 0) -> tuple[CodeTree, np.ndarray]:
    rng = np.random.default_rng(seed)
    spellings = [bytes(rng.integers(97, 100, rng.integers(1, 5))) for _ in range(size)]
    weights = rng.pareto(1.0, size) + 0.1
    return build_tree(spellings, weights), weights


def test_each_path_leads_to_its_token() -> None:
    code, _ = tree()
    for token, depth in enumerate(code.depth):
        node = 0
        for place in range(depth):
            assert code.nodes[token, place] == node
            assert code.levels[node] == place
            node = int(code.children[node, code.bits[token, place]])
        assert node == -1 - token


def test_children_have_higher_numbers() -> None:
    generated, _ = tree()
    parents, bits = np.nonzero(generated.children >= 0)
    assert (generated.children[parents, bits] > parents).all()


def test_shared_answers_are_those_of_both_paths() -> None:
    generated, _ = tree(25)
    for a in range(25):
        for b in range(25):
            common = 0
            while (
                common < min(generated.depth[a], generated.depth[b])
                and generated.bits[a, common] == generated.bits[b, common]
            ):
                common += 1
            assert generated.shared[a, b] == common


@pytest.mark.parametrize("seed", range(3))
def test_the_code_is_near_the_entropy(seed: int) -> None:
    generated, weights = tree(200, seed)
    shares = weights / weights.sum()
    assert (shares * generated.depth).sum() < -(shares * np.log2(shares)).sum() + 2


def test_two_tokens_are_one_question() -> None:
    generated = build_tree([b"a", b"b"], np.ones(2))
    assert generated.children.tolist() == [[-1, -2]]
