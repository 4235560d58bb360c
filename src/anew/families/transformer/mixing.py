"""The gate that joins several log-probabilities of the same targets into one.

log p = sum of w_i log p_i - log Z, where the weights w = features . gate are fitted on held-out targets. The likelihood is
concave in the gate, so Newton's method finds the one optimum in a few steps.

Legend for shapes: n targets, V vocabulary, F features, S sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


def joined(features: Doubles, gate: Doubles, sides: Sequence[Floats]) -> Floats:
    """features: (n, F), gate: (F, S), sides: S of (n, V) -> (n, V) joint log-probabilities up to each row's constant, at
    most 0."""
    weights = (features @ gate).astype(np.float32)
    score: Floats = weights[:, :1] * sides[0]
    for i, side in enumerate(sides[1:], 1):
        score += weights[:, i : i + 1] * side
    score -= score.max(1, keepdims=True)
    return score


def normalise(score: Floats) -> Floats:
    """(n, V) scores of at most 0 -> log-probabilities, in place."""
    score -= np.log(np.exp(score).sum(1, keepdims=True))
    return score


def newton(features: Doubles, sides: Sequence[Floats], targets: Ints, ridge: float = 1e-4) -> Doubles:
    """The gate (F, S) of highest mean log-likelihood less ridge |gate|^2, by damped Newton steps from equal weights."""
    n, rows = len(targets), np.arange(len(targets))
    chosen = np.stack([side[rows, targets] for side in sides], 1).astype(np.float64)  # (n, S)
    gate = np.zeros((features.shape[1], len(sides)))
    gate[-1] = 1 / len(sides)  # the last feature is 1

    def look(gate: Doubles) -> tuple[float, Floats]:
        log = normalise(joined(features, gate, sides))
        return float(ridge * (gate**2).sum() - log[rows, targets].mean(dtype=np.float64)), log

    loss, log = look(gate)
    for _ in range(12):
        probability = np.exp(log)
        mean = np.stack([np.einsum("nv,nv->n", probability, side) for side in sides], 1)  # (n, S)
        slope = features.T @ (mean - chosen) / n + 2 * ridge * gate  # (F, S)
        step = np.linalg.solve(_curvature(features, probability, sides, mean, ridge), slope.ravel())
        size = 1.0
        while True:
            tried = gate - size * step.reshape(gate.shape)
            other, log_other = look(tried)
            if other < loss or size < 1e-3:
                break
            size /= 2
        if other >= loss:
            return gate
        done = loss - other < 1e-6
        gate, loss, log = tried, other, log_other
        if done:
            break
    return gate


def _curvature(
    features: Doubles, probability: Floats, sides: Sequence[Floats], mean: NDArray[np.floating], ridge: float
) -> Doubles:
    """(S F, S F): second derivative of the loss; each target adds the covariance of its log-probabilities."""
    wide, many = features.shape[1], len(sides)
    out = np.zeros((wide, many, wide, many))
    for i in range(many):
        for j in range(i, many):
            shared = np.einsum("nv,nv,nv->n", probability, sides[i], sides[j]) - mean[:, i] * mean[:, j]
            block = features.T @ (features * shared[:, None]) / len(features)
            out[:, i, :, j] = block
            out[:, j, :, i] = block.T
    return out.reshape(many * wide, many * wide) + 2 * ridge * np.eye(many * wide)


def softmax(logits: Floats) -> tuple[Floats, Floats]:
    """(n, V) -> probabilities and their logarithms."""
    log = logits - logits.max(1, keepdims=True)
    chance = np.exp(log)
    total = chance.sum(1, keepdims=True)
    log -= np.log(total)
    chance /= total
    return chance, log
