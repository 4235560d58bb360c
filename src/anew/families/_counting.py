"""The counting head of the Transformer: Kneser-Ney probabilities, joined to the network's by a gate that sees how sure
each side is and how well it did on the tokens before.

log p = a log p_network + b log p_counts - log Z, where (a, b) = features . gate, fitted on held-out tokens. The
likelihood is concave in the gate, so Newton's method finds the one optimum in a few steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anew.maths.ngram import ARRAYS, KneserNey
from anew.spec import Batch

EXTRA = 12  # features beside one for each order: see `_features`
MEMORY = 0.97  # what a token's weight among those before shrinks to with every further one
PRIOR = 4.0  # tokens' worth of doubt: means over few tokens lie near 0
WORST = -8.0  # nats that one token may count at most, so that features stay in the range of the fit
AT_ONCE = 8_388_608  # log-probabilities that are joined at a time; bounds memory
KINDS = {"contexts": torch.int64, "starts": torch.int64, "tokens": torch.int32}
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Pair = tuple[Floats, Floats]


class Past:
    """How well network and counts foretold the tokens so far in n rows: decayed means of their log-probabilities.

    A record without relatives in the train part, or a text by another hand, shows itself by counts that did badly.
    """

    def __init__(self, n: int) -> None:
        self._sums, self._weight = np.zeros((n, 2)), 0.0

    @property
    def means(self) -> Doubles:
        """(n, 2) nats of network and counts, 0 before the first token."""
        return self._sums / (self._weight + PRIOR)

    def add(self, network: NDArray[np.floating], counts: NDArray[np.floating]) -> None:
        """The next token of every row came; (n,) log-probabilities that each side gave it."""
        self._sums *= MEMORY
        self._sums[:, 0] += np.maximum(network, WORST)
        self._sums[:, 1] += np.maximum(counts, WORST)
        self._weight = MEMORY * self._weight + 1.0

    def offer(self, network: Floats, counts: Floats) -> None:
        """(n, V) log-probabilities of what comes next, kept until `came` says what it was."""
        self._offered = network, counts

    def came(self, tokens: Ints) -> None:
        """tokens: (n,) that were drawn after the last offer."""
        rows = np.arange(len(tokens))
        self.add(*(side[rows, tokens] for side in self._offered))


class Counting(nn.Module):
    """Counts and gate as buffers. n targets, V vocabulary, F features."""

    gate: Tensor

    def __init__(self, vocab: int, order: int) -> None:
        super().__init__()
        self.vocab, self.order = vocab, order
        gate = torch.zeros(order + 1 + EXTRA, 2, dtype=torch.float64)
        gate[-1] = 0.5
        self.register_buffer("gate", gate)
        self._model: KneserNey | None = None
        self._gate = gate.numpy()
        self.register_load_state_dict_post_hook(lambda module, _: module.forget())  # type: ignore[no-untyped-call]

    @property
    def ready(self) -> bool:
        """Whether anything has been counted."""
        return "contexts_0" in self._buffers

    def learn(self, sequences: Iterable[Ints]) -> None:
        """Count token sequences that do not continue each other."""
        model = KneserNey.fit(sequences, self.vocab, self.order)
        for name, array in model.arrays().items():
            self.register_buffer(name, torch.from_numpy(array).to(self.gate.device))
        self.forget()

    def make_room(self, shapes: Mapping[str, torch.Size]) -> None:
        """Empty buffers for a state dict, whose names come without prefix."""
        for k in range(self.order + 1):
            for name in ARRAYS:
                if f"{name}_{k}" in shapes:
                    kind = KINDS.get(name, torch.float32)
                    empty = torch.zeros(shapes[f"{name}_{k}"], dtype=kind, device=self.gate.device)
                    self.register_buffer(f"{name}_{k}", empty)
        self.forget()

    def forget(self) -> None:
        """The buffers have changed."""
        self._model = None

    @property
    def model(self) -> KneserNey:
        if self._model is None:
            arrays = {name: buffer.cpu().numpy() for name, buffer in self.named_buffers() if name != "gate"}
            self._model = KneserNey.restore(self.vocab, arrays)
            self._gate = self.gate.cpu().numpy()
        return self._model

    def contexts(self, ids: Ints) -> Ints:
        """ids: (B, L) -> contexts (order+1, B*L) of what follows each id, none across rows."""
        rows, length = ids.shape
        # A walk wants a target at each place: a row grows by one, whose value is never looked at.
        grown = np.zeros((rows, length + 1), dtype=np.int64)
        grown[:, :-1] = ids
        places = np.arange(1, length + 1)
        at = (np.arange(rows)[:, None] * (length + 1) + places).ravel()
        return self.model.walk(grown.ravel(), np.tile(places, rows), at)

    def last(self, ids: Ints) -> Ints:
        """ids: (n, L) -> contexts (order+1, n) of what follows each row."""
        recent = ids[:, max(0, ids.shape[1] - self.order) :].tolist()
        return np.array([self.model.tail(row) for row in recent], dtype=np.int64).T

    def past(self, found: Ints, network: Floats, targets: Ints) -> Doubles:
        """found: (order+1, B*L) contexts, network: (B*L, V) log-probabilities, targets: (B, L) -> (B*L, 2) how each side
        did on a row's targets before each one."""
        past, out = Past(len(targets)), np.empty((*targets.shape, 2))
        for place, told in enumerate(self.told(found, network, targets).transpose(2, 0, 1)):
            out[:, place] = past.means
            past.add(*told)
        return out.reshape(-1, 2)

    def told(self, found: Ints, network: Floats, targets: Ints) -> Floats:
        """Contexts, network and targets as for `past` -> (2, B, L) log-probabilities that each side gave the targets."""
        flat = targets.ravel()
        sides = network[np.arange(len(flat)), flat], np.log(self.model.probability(found, flat))
        return np.stack(sides).reshape(2, *targets.shape)

    def mix(self, found: Ints, network: Floats, past: Doubles) -> Floats:
        """found: (order+1, n) contexts, network: (n, V) log-probabilities, past: (n, 2) -> (n, V) log-probabilities of both
        together."""
        counted = self.model.distribution(found)
        score = self._joined(found, (np.exp(network), network), (counted, np.log(counted)), past)
        score -= np.log(np.exp(score).sum(1, keepdims=True))
        return score

    def probability(self, found: Ints, logits: Floats, past: Past) -> Floats:
        """found: (order+1, n) contexts, logits: (n, V) of the network -> (n, V) in proportion to the joint probability.
        `past` is told what both sides say and wants to hear what came."""
        network, counted = softmax(logits), self.model.distribution(found)
        counts = np.log(counted)
        score = self._joined(found, network, (counted, counts), past.means)
        past.offer(network[1], counts)
        np.exp(score, out=score)
        return score

    def _joined(self, found: Ints, network: Pair, counts: Pair, past: Doubles) -> Floats:
        """(n, V) joint log-probabilities up to each row's constant, at most 0."""
        weights = (self._features(found, network, counts, past) @ self._gate).astype(np.float32)
        score: Floats = weights[:, :1] * network[1]
        score += weights[:, 1:] * counts[1]
        score -= score.max(1, keepdims=True)
        return score

    def fit(self, found: Ints, network: Floats, targets: Ints, past: Doubles) -> None:
        """Set the gate from held-out targets (n,)."""
        counted = self.model.distribution(found)
        counts = np.log(counted)
        features = self._features(found, (np.exp(network), network), (counted, counts), past)
        start = np.zeros(self.gate.shape)
        start[-1] = 0.5
        self.gate.copy_(torch.from_numpy(newton(start, features, network, counts, targets)))
        self.forget()

    def _features(self, found: Ints, network: Pair, counts: Pair, past: Doubles) -> Doubles:
        """(n, F): the longest order seen (one of order+1), log of the types that followed it, the mass it leaves to
        shorter ones, entropy and peak of the network, entropy and peak of the counts, how both did before with squares
        and product, 1.

        network, counts: each (n, V) probabilities and their logarithms. past: (n, 2)."""
        n, order = found.shape[1], self.order
        if n == 1:
            return self._feature_row(found[:, 0].tolist(), network, counts, past[0].tolist())
        longest = (found >= 0).sum(0) - 1  # (n,)
        out = np.zeros((n, order + 1 + EXTRA))
        out[np.arange(n), longest] = 1.0
        for k in set(longest.tolist()):
            rows = np.flatnonzero(longest == k)
            level, context = self.model.levels[k], found[k, rows]
            out[rows, order + 1] = np.log(np.maximum(level.starts[context + 1] - level.starts[context], 1))
            out[rows, order + 2] = level.backoff[context]
        for place, (chance, log) in ((order + 3, network), (order + 5, counts)):
            out[:, place] = -np.vecdot(chance, log)
            out[:, place + 1] = chance.max(1)
        out[:, order + 7 : order + 9] = past
        out[:, order + 9 : order + 11] = past**2
        out[:, order + 11] = past[:, 0] * past[:, 1]
        out[:, -1] = 1.0
        return out

    def _feature_row(self, found: Sequence[int], network: Pair, counts: Pair, past: Sequence[float]) -> Doubles:
        """`_features` of one target in plain numbers: most of a sampler's single step is the cost of calls."""
        order = self.order
        longest = sum(place >= 0 for place in found) - 1
        level, context = self.model.levels[longest], found[longest]
        out = np.zeros((1, order + 1 + EXTRA))
        row = out[0]
        row[longest] = 1.0
        row[order + 1] = math.log(max(int(level.starts[context + 1]) - int(level.starts[context]), 1))
        row[order + 2] = level.backoff[context]
        for place, (chance, log) in ((order + 3, network), (order + 5, counts)):
            row[place] = -chance[0].dot(log[0])
            row[place + 1] = chance[0].max()
        one, two = past
        row[order + 7 :] = (one, two, one * one, two * two, one * two, 1.0)
        return out


def newton(
    gate: Doubles, features: Doubles, network: Floats, counts: Floats, targets: Ints, ridge: float = 1e-4
) -> Doubles:
    """The gate (F, 2) of highest mean log-likelihood less ridge |gate|^2, by damped Newton steps."""
    n, rows = len(targets), np.arange(len(targets))
    chosen = np.stack((network[rows, targets], counts[rows, targets]), 1).astype(np.float64)  # (n, 2)

    def look(gate: Doubles) -> tuple[float, Floats]:
        weights = (features @ gate).astype(np.float32)
        log = _normalise(weights[:, :1] * network + weights[:, 1:] * counts)
        return float(ridge * (gate**2).sum() - log[rows, targets].mean(dtype=np.float64)), log

    loss, log = look(gate)
    for _ in range(12):
        probability = np.exp(log)
        mean = np.stack([np.einsum("nv,nv->n", probability, side) for side in (network, counts)], 1)  # (n, 2)
        slope = features.T @ (mean - chosen) / n + 2 * ridge * gate  # (F, 2)
        step = np.linalg.solve(_curvature(features, probability, network, counts, mean, ridge), slope.ravel())
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
    features: Doubles, probability: Floats, network: Floats, counts: Floats, mean: NDArray[np.floating], ridge: float
) -> Doubles:
    """(2F, 2F): second derivative of the loss; each target adds the covariance of both log-probabilities."""
    wide = features.shape[1]
    out = np.zeros((wide, 2, wide, 2))
    sides = (network, counts)
    for i in range(2):
        for j in range(i, 2):
            shared = np.einsum("nv,nv,nv->n", probability, sides[i], sides[j]) - mean[:, i] * mean[:, j]
            block = features.T @ (features * shared[:, None]) / len(features)
            out[:, i, :, j] = block
            out[:, j, :, i] = block.T
    return out.reshape(2 * wide, 2 * wide) + 2 * ridge * np.eye(2 * wide)


def softmax(logits: Floats) -> Pair:
    """(n, V) -> probabilities and their logarithms."""
    log = logits - logits.max(1, keepdims=True)
    chance = np.exp(log)
    total = chance.sum(1, keepdims=True)
    log -= np.log(total)
    chance /= total
    return chance, log


def _normalise(score: Floats) -> Floats:
    """(n, V) scores -> log-probabilities, in place."""
    score -= score.max(1, keepdims=True)
    score -= np.log(np.exp(score).sum(1, keepdims=True))
    return score


def sequences(sweep: Iterable[Batch], most: int) -> Iterator[Ints]:
    """Token sequences of a sweep's batches, at most `most` tokens in all."""
    left = most
    for batch in sweep:
        counted = None if batch.mask is None else batch.mask.sum(1).long().tolist()
        for i, row in enumerate(batch.x.cpu().numpy()):
            ids = row if counted is None else row[: int(counted[i]) + 1]
            yield ids[:left].astype(np.int64)
            left -= len(ids)
            if left <= 0:
                return
