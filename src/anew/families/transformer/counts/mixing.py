"""The gate that mixes several log-probabilities of the same targets into one.

log p = sum of w_i log p_i - log Z, where the weights w = features . gate are fitted to held-out targets. The likelihood is concave
in the gate, so that Newton's method finds its only optimum in a few steps. Elsewhere weights stay within the bounds that nearly all
of those of held-out targets have: on text unlike theirs, they would else be so far below zero that the most improbable token of all
became nearly certain, again and again (docs/log.md, 2026-12-01).

Legend for shapes: n targets, V vocabulary, F features, S models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Doubles, Floats, Ints
from anew.core.machine.threads import one_thread

RIDGE = 1e-4  # weight of the penalty of the squared gate
MAX_NEWTON_STEPS = 12  # the fit usually ends sooner; otherwise this bounds its time
MIN_STEP = 1e-3  # a direction is given up below this share of a Newton step: the loss is flat to its last digits
ENOUGH_PROGRESS = 1e-6  # nats a target; the fit ends when a step gains less: a hundredth of what any report shows
# Share of the held-out targets whose weights are below the bounds, and above: at 0 single targets decide them (docs/log.md, 2026-12-01)
OUTSIDE = 0.01


class Gate(NamedTuple):
    """What makes weights of features.

    Attributes:
        matrix: (F, S).
        bounds: (2, S) least and largest weight of each model; None where there are none.
    """

    matrix: Doubles
    bounds: Doubles | None = None

    def weights(self, features: Doubles) -> Doubles:
        """(n, S) of features (n, F)."""
        weights: Doubles = features @ self.matrix
        return weights if self.bounds is None else weights.clip(self.bounds[0], self.bounds[1])

    def bounded_by(self, features: Doubles) -> Gate:
        """The same, with weights like those of nearly all of these features (n, F)."""
        return Gate(self.matrix, np.quantile(features @ self.matrix, (OUTSIDE, 1.0 - OUTSIDE), axis=0))

    def arrays(self, name: str, name_of_bounds: str) -> dict[str, NDArray[np.generic]]:
        """What a run keeps, by these names. Gates that were not fitted have no bounds, nor have those of older runs."""
        return {name: self.matrix} if self.bounds is None else {name: self.matrix, name_of_bounds: self.bounds}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[np.generic]], name: str, name_of_bounds: str) -> Gate:
        """The gate that `arrays` holds."""
        bounds = arrays.get(name_of_bounds)
        return cls(arrays[name].astype(np.float64), None if bounds is None else bounds.astype(np.float64))

    def check(self) -> None:
        """Raise ValueError if the bounds, if there are any, do not fit the matrix."""
        if self.bounds is None:
            return
        fits = self.bounds.shape == (2, self.matrix.shape[-1]) and np.isfinite(self.bounds).all()
        if not fits or (self.bounds[0] > self.bounds[1]).any():
            raise ValueError("the bounds of the gate are inconsistent")


def mix_log_probs(features: Doubles, gate: Gate, log_probs: Sequence[Floats]) -> Floats:
    """Joint log-probabilities up to each row's constant, at most 0.

    Args:
        features: (n, F).
        log_probs: S of (n, V).

    Returns:
        (n, V).
    """
    weights = gate.weights(features).astype(np.float32)  # (n, S)
    mixed: Floats = weights[:, :1] * log_probs[0]
    for i, model in enumerate(log_probs[1:], 1):
        mixed += weights[:, i : i + 1] * model
    mixed -= mixed.max(1, keepdims=True)
    return mixed


def normalize(mixed: Floats) -> Floats:
    """(n, V) scores of at most 0 -> log-probabilities, in place."""
    mixed -= np.log(np.exp(mixed).sum(1, keepdims=True))
    return mixed


def softmax(logits: Floats) -> tuple[Floats, Floats]:
    """(n, V) -> probabilities and their logarithms."""
    log_probs = logits - logits.max(1, keepdims=True)
    probs = np.exp(log_probs)
    total = probs.sum(1, keepdims=True)
    log_probs -= np.log(total)
    probs /= total
    return probs, log_probs


@one_thread()
def fit_gate(features: Doubles, log_probs: Sequence[Floats], targets: Ints) -> Gate:
    """The gate that maximizes mean log-likelihood minus RIDGE |gate|^2, by damped Newton steps from equal weights, with bounds.

    Args:
        features: (n, F); the last one is 1.
        log_probs: S of (n, V).
        targets: (n,).
    """
    return Gate(_fit_matrix(features, log_probs, targets)).bounded_by(features)


def _fit_matrix(features: Doubles, log_probs: Sequence[Floats], targets: Ints) -> Doubles:
    """(F, S) the matrix of `fit_gate`."""
    n, rows = len(targets), np.arange(len(targets))
    target_log_probs = np.stack([model[rows, targets] for model in log_probs], 1).astype(np.float64)  # (n, S)
    gate = np.zeros((features.shape[1], len(log_probs)))
    gate[-1] = 1 / len(log_probs)

    def evaluate(gate: Doubles) -> tuple[float, Floats]:
        """The loss, and the joint log-probabilities (n, V)."""
        mixed = normalize(mix_log_probs(features, Gate(gate), log_probs))
        return float(RIDGE * (gate**2).sum() - mixed[rows, targets].mean(dtype=np.float64)), mixed

    loss, mixed = evaluate(gate)
    for _ in range(MAX_NEWTON_STEPS):
        probs = np.exp(mixed)
        expected = np.stack([np.einsum("nv,nv->n", probs, model) for model in log_probs], 1)  # (n, S)
        gradient = features.T @ (expected - target_log_probs) / n + 2 * RIDGE * gate  # (F, S)
        hessian = _hessian(features, probs, log_probs, expected)
        direction = np.linalg.solve(hessian, gradient.ravel()).reshape(gate.shape)
        step_size = 1.0
        while True:
            next_gate = gate - step_size * direction
            next_loss, next_mixed = evaluate(next_gate)
            if next_loss < loss or step_size < MIN_STEP:
                break
            step_size /= 2
        if next_loss >= loss:
            return gate
        has_converged = loss - next_loss < ENOUGH_PROGRESS
        gate, loss, mixed = next_gate, next_loss, next_mixed
        if has_converged:
            break
    return gate


def _hessian(features: Doubles, probs: Floats, log_probs: Sequence[Floats], expected: NDArray[np.floating]) -> Doubles:
    """(F S, F S): second derivative of the loss; each target adds the covariance of its log-probabilities."""
    num_features, num_models = features.shape[1], len(log_probs)
    hessian = np.zeros((num_features, num_models, num_features, num_models))
    for i in range(num_models):
        for j in range(i, num_models):
            product = np.einsum("nv,nv,nv->n", probs, log_probs[i], log_probs[j])
            covariance = product - expected[:, i] * expected[:, j]  # (n,)
            block = features.T @ (features * covariance[:, None]) / len(features)
            hessian[:, i, :, j] = block
            hessian[:, j, :, i] = block.T
    size = num_features * num_models
    return hessian.reshape(size, size) + 2 * RIDGE * np.eye(size)
