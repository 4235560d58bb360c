"""Contexts and network together: a weighted sum of their log odds. The weights are fitted to held-out text, and keep learning in
each document.

Legend for shapes: T tokens of a text, D questions of the longest path, V tokens, n rows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from anew.core.arrays import Doubles, Floats, Int32s, Ints
from anew.core.machine.compiled import compiled, compiled_inner
from anew.estimators.context_mixing.code_tree import CodeTree
from anew.estimators.context_mixing.counts import Index
from anew.estimators.context_mixing.mixing import ONE, Tables, sigmoid

NUM_JOINT_INPUTS = 3  # log odds of the contexts, those of the network, and a constant
NUM_LEVELS = 8  # depths of a question that have weights of their own; chosen
NUM_TRUSTS = 6  # magnitudes of log odds that have weights of their own; chosen
# Probability of reaching a question below which the network alone answers it: the contexts would cost time and gain nothing
MIN_REACH = 1e-5
QUARTER = np.float32(0.25)  # weight of each of the four sums
WeightRows = tuple[Index, Index, Index, Index]
JointLogits = tuple[np.float32, np.float32, np.float32, np.float32]


class JointWeights(NamedTuple):
    """Four sets of weights, whose sums are averaged.

    Attributes:
        by_order: (NUM_TOKEN_ORDERS * NUM_LEVELS, NUM_JOINT_INPUTS) by the order of the longest context that was seen and the depth
            of the question.
        by_trust: (NUM_TRUSTS * NUM_TRUSTS, NUM_JOINT_INPUTS) by how confident contexts and network are.
        by_node: (V-1, NUM_JOINT_INPUTS) by the question.
        by_last: (V+1, NUM_JOINT_INPUTS) by the last token + 1, 0 without one.
    """

    by_order: Floats
    by_trust: Floats
    by_node: Floats
    by_last: Floats


@compiled_inner
def _trust(log_odds: np.float32) -> Index:
    return min(np.int64(abs(log_odds)), np.int64(NUM_TRUSTS - 1))


@compiled_inner
def joint_rows(
    contexts: np.float32, network: np.float32, order: Index, level: Index, node: Index, last: Index
) -> WeightRows:
    """The row of each set of weights that belongs to a question."""
    trust = _trust(contexts) * NUM_TRUSTS + _trust(network)
    return order * NUM_LEVELS + min(level, NUM_LEVELS - 1), trust, node, last


@compiled_inner
def _joint_logit(weights: Floats, row: Index, contexts: np.float32, network: np.float32) -> np.float32:
    return np.float32(weights[row, 0] * contexts + weights[row, 1] * network + weights[row, 2])


@compiled_inner
def joint_logits(joint: JointWeights, rows: WeightRows, contexts: np.float32, network: np.float32) -> JointLogits:
    """The log odds under each set of weights."""
    return (
        _joint_logit(joint.by_order, rows[0], contexts, network),
        _joint_logit(joint.by_trust, rows[1], contexts, network),
        _joint_logit(joint.by_node, rows[2], contexts, network),
        _joint_logit(joint.by_last, rows[3], contexts, network),
    )


@compiled_inner
def mean_logit(logits: JointLogits) -> np.float32:
    """The mean of the four log odds."""
    return (logits[0] + logits[1] + logits[2] + logits[3]) * QUARTER


@compiled_inner
def learn_joint(
    joint: JointWeights,
    table: Floats,
    tree: CodeTree,
    token: Index,
    contexts: Floats,
    network: Floats,
    selectors: tuple[Index, Index],
    count: Index,
    rate: np.float32,
) -> None:
    """Update the weights by the first `count` answers of a token. All sets learn from the error of their mean, not each from its own.

    All answers are learned after the whole token, since `next_token_probabilities` computes the probabilities of all tokens before
    any answer is known.
    """
    order, last = selectors
    for d in range(count):
        context_logit, network_logit, node = contexts[d], network[d], np.int64(tree.nodes[token, d])
        rows = joint_rows(context_logit, network_logit, order, np.int64(d), node, last)
        p = sigmoid(table, mean_logit(joint_logits(joint, rows, context_logit, network_logit)))
        step = (np.float32(tree.bits[token, d]) - p) * rate
        _learn_row(joint.by_order, rows[0], context_logit, network_logit, step)
        _learn_row(joint.by_trust, rows[1], context_logit, network_logit, step)
        _learn_row(joint.by_node, rows[2], context_logit, network_logit, step)
        _learn_row(joint.by_last, rows[3], context_logit, network_logit, step)


@compiled_inner
def _learn_row(weights: Floats, row: Index, contexts: np.float32, network: np.float32, step: np.float32) -> None:
    weights[row, 0] += step * contexts
    weights[row, 1] += step * network
    weights[row, 2] += step


@compiled
def joint_log_probs(
    ids: Int32s,
    contexts: Floats,
    network: Floats,
    orders: Ints,
    tree: CodeTree,
    joint: JointWeights,
    tables: Tables,
    previous: Index,
    rate: np.float32,
    log_probs: Doubles,
) -> None:
    """Log-probabilities (T,) of a text under contexts and network together. The weights learn from it where the rate is above 0.

    Args:
        ids: (T,).
        contexts: (T, D) log odds, as `read` gives them.
        network: (T, D) log odds, as `network_path_logits` gives them.
        orders: (T,) as `read` gives them.
        previous: The token before the first + 1, 0 without one.
        log_probs: Receives the log-probabilities.
    """
    table, last = tables.probabilities, np.int64(previous)
    for t in range(len(ids)):
        token = np.int64(ids[t])
        reach, num_asked = np.float64(1), np.int64(0)
        for d in range(tree.depth[token]):
            context_logit, network_logit, node = contexts[t, d], network[t, d], np.int64(tree.nodes[token, d])
            if reach >= MIN_REACH:
                rows = joint_rows(context_logit, network_logit, orders[t], np.int64(d), node, last)
                p = sigmoid(table, mean_logit(joint_logits(joint, rows, context_logit, network_logit)))
                num_asked = np.int64(d + 1)
            else:
                p = sigmoid(table, network_logit)
            reach *= p if tree.bits[token, d] else ONE - p
        if rate > 0:
            learn_joint(joint, table, tree, token, contexts[t], network[t], (orders[t], last), num_asked, rate)
        last = token + 1
        log_probs[t] = math.log(reach)


@compiled_inner
def joint_of(rows: JointWeights, row: Index) -> JointWeights:
    """The weights of one row, not a copy."""
    return JointWeights(rows.by_order[row], rows.by_trust[row], rows.by_node[row], rows.by_last[row])
