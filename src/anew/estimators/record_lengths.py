"""How likely a record is to end, by how long it is already: the hazard of the lengths of known records.

Counts of contexts do not know a place, and a network that has seen few records hardly does, so that samples of records which all
have one length end anywhere.

Legend for shapes: n targets, V vocabulary, T longest known length, in tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from anew.core.arrays import Bools, Doubles, Floats, Ints

# A length has this share of its probability from its own count, and the other half from those near it; chosen.
EXACT_SHARE = 0.5
QUARTILES_IN_DEVIATIONS = 1.34  # the quartiles of a normal distribution are so far apart
MAX_LOG_ODDS = 16.0  # that a record ends where every known one has ended
NEWTON_STEPS = 20  # steps of the fit of two weights, which usually ends sooner
RIDGE = 1.0  # penalty of the weights, as much as one target more or less
ENOUGH_PROGRESS = 1e-7  # nats a target; the fit ends when a step gains less
MIN_PROBABILITY = 1e-12  # probability of an end that counts as none, or as certain


class EndModel:
    """Changes the probability of an end by the length of a record: logit p' = logit p + w0 * (log odds by lengths) + w1.

    Args:
        lengths: (T + 1,) as `count_lengths` gives them.
        weights: (2,) w0 and w1; 0 leaves probabilities as they are.
    """

    def __init__(self, lengths: Ints, weights: Doubles) -> None:
        self.weights = weights
        self._shift = end_log_odds(lengths) * weights[0] + weights[1]  # (T + 2,)

    @classmethod
    def fit(cls, lengths: Ints, log_probs: Floats, places: Ints, is_end: Bools) -> EndModel:
        """Fit the weights to held-out targets by logistic regression.

        Args:
            lengths: (T + 1,).
            log_probs: (n,) log-probability that each target is an end, before.
            places: (n,) the number of the target in its record, from 1.
            is_end: (n,) whether it is one.
        """
        log_odds = end_log_odds(lengths)
        probability = np.clip(np.exp(log_probs.astype(np.float64)), MIN_PROBABILITY, 1.0 - MIN_PROBABILITY)
        offset = np.log(probability) - np.log1p(-probability)
        features = np.stack((log_odds[np.minimum(places, len(log_odds) - 1)], np.ones(len(places))), 1)  # (n, 2)
        weights = np.zeros(2)
        loss = cls._loss(offset, is_end, weights)
        for _ in range(NEWTON_STEPS):
            predicted = 1.0 / (1.0 + np.exp(-(offset + features @ weights)))
            gradient = features.T @ (predicted - is_end) + RIDGE * weights
            curvature = (features * (predicted * (1.0 - predicted))[:, None]).T @ features + RIDGE * np.eye(2)
            step, last_loss = np.linalg.solve(curvature, gradient), loss
            while (loss := cls._loss(offset + features @ (weights - step), is_end, weights - step)) > last_loss:
                step /= 2.0
            weights = weights - step
            if last_loss - loss < ENOUGH_PROGRESS * len(places):
                break
        # Longer than usual must never mean less likely to end
        return cls(lengths, weights if weights[0] > 0.0 else np.zeros(2))

    @staticmethod
    def _loss(log_odds: Doubles, is_end: Bools, weights: Doubles) -> float:
        nats = np.logaddexp(0.0, np.where(is_end, -log_odds, log_odds)).sum()
        return float(nats + RIDGE / 2.0 * (weights**2).sum())

    def weigh(self, log_probs: Floats, end_id: int, places: Ints | int) -> Floats:
        """(n, V) log-probabilities with those of an end changed, and the others in proportion. places: (n,), or that of all rows."""
        shift = self._shift[np.minimum(places, len(self._shift) - 1)]  # (n,) or a number
        end = np.exp(log_probs[:, end_id].astype(np.float64))
        changed_log_probs: Floats = log_probs - np.log1p(end * np.expm1(shift)).astype(np.float32)[:, None]
        changed_log_probs[:, end_id] += shift
        return changed_log_probs


def count_lengths(sequences: Sequence[Ints], end_id: int) -> Ints:
    """(T + 1,) how many records have so many targets; the first entry is the number of records that do not end with `end_id`, and are not
    whole. sequences: token ids, of which the first of each record is not a target."""
    lengths = [len(ids) - 1 if len(ids) > 1 and ids[-1] == end_id else 0 for ids in sequences]
    return np.bincount(np.array(lengths, dtype=np.int64), minlength=2)


def end_log_odds(counts: Ints) -> Doubles:
    """(T + 2,) log odds that a record ends with target t, given that it has not ended before; the last entry is for all later ones.
    Entry 0 is not used.

    A length has half of its probability from its own count, half from a normal kernel by the normal reference rule (Silverman,
    "Density Estimation for Statistics and Data Analysis", 1986, eq. 3.28 with the spread of 3.30), and each as much as one
    more record would give to all.
    """
    whole, num_cut = counts[1:].astype(np.float64), float(counts[0])
    total = whole.sum() + num_cut
    if not whole.sum():
        return np.zeros(len(counts) + 1)
    lengths = np.arange(1, len(counts), dtype=np.float64)
    own_share = whole / total
    bandwidth = _bandwidth(lengths, whole)
    near = np.maximum(_smoothed(own_share / _smoothed(np.ones(len(own_share)), bandwidth), bandwidth), 0.0)
    smallest = 1.0 / (total + 1.0)
    probability = (1.0 - smallest) * (EXACT_SHARE * own_share + (1.0 - EXACT_SHARE) * near) + smallest / len(lengths)
    alive = np.cumsum(probability[::-1])[::-1] + num_cut / total
    hazard = np.clip(probability / alive, np.exp(-MAX_LOG_ODDS), None)
    log_odds = np.log(hazard) - np.log(np.maximum(1.0 - hazard, np.exp(-MAX_LOG_ODDS)))
    return np.concatenate(([0.0], log_odds, log_odds[-1:]))


def _smoothed(x: Doubles, bandwidth: float) -> Doubles:
    """(T,) the sum of x (T,) with weights exp(-(distance / bandwidth)^2 / 2), by FFT: T may be large."""
    half = np.exp(-0.5 * (np.arange(len(x)) / bandwidth) ** 2)
    kernel = np.concatenate((half, [0.0], half[:0:-1]))  # (2 T,) as on a circle, so that the ends do not meet
    return np.asarray(np.fft.irfft(np.fft.rfft(x, len(kernel)) * np.fft.rfft(kernel), len(kernel))[: len(x)])


def _bandwidth(lengths: Doubles, counts: Doubles) -> float:
    total = float(counts.sum())
    mean = (lengths * counts).sum() / total
    deviation = math.sqrt((counts * (lengths - mean) ** 2).sum() / total)
    low, high = np.searchsorted(np.cumsum(counts), (0.25 * total, 0.75 * total))
    spread = float(high - low) / QUARTILES_IN_DEVIATIONS
    narrower = min(deviation, spread) if spread else deviation
    return float(max(1.0, 1.06 * narrower * total**-0.2))
