"""A floor under the mixture of network, counts and known records: no text costs much more than under the best of three experts,
which are the mixture itself, the network alone and the uniform distribution.

A gate that was fitted on held-out text of the same source may go far astray on any other. Fixed share (Herbster and Warmuth,
"Tracking the best expert", Machine Learning 32, 1998) gives each expert the weight that it has earned on the tokens before, and
a little of the prior again with each token, so that the best one may change. Against any expert i, L tokens cost at most
log2(1 / PRIOR[i]) + (L - 1) log2(1 / (1 - SWITCH_RATE)) bits more: 0.03 for the mixture, 6 for the network and 8 for the
uniform distribution, and 0.003 a token.

No model can do much better on short noise: to give every string of 8 of 27 symbols at least uniform ** 1.15, 2% of what it
draws has to be noise, and 14% for strings of 4.

Legend for shapes: n rows, B records, L targets of a record, V vocabulary, E experts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Of mixture, network and uniform, from which so many of the first tokens are drawn; .003 instead of .001 for the last
# one saves a record of noise 1.6 bits and costs any .003 (docs/log.md, 2026-11-26).
PRIOR = (0.977, 0.02, 0.003)
# Share of the weights that returns to the prior with each token: a document of 500 tokens may switch once; chosen.
SWITCH_RATE = 0.002
LEAST_PROBABILITY = 1e-37  # whose logarithm stands for that of a probability that fp32 rounds to zero
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


class FixedShare:
    """Weights of the experts in n rows that grow together.

    Attributes:
        weights: (n, E), rows sum to 1.
    """

    def __init__(self, n: int) -> None:
        self.weights: Doubles = np.tile(np.array(PRIOR), (n, 1))

    def mix(self, probabilities: Sequence[Floats]) -> Floats:
        """E of (n, V) or (V,) probabilities -> those of all experts together (n, V)."""
        weights = self.weights.astype(np.float32)
        mixed: Floats = weights[:, :1] * probabilities[0]
        for i, expert in enumerate(probabilities[1:], 1):
            mixed += weights[:, i : i + 1] * expert
        return mixed

    def observe(self, log_probs: Doubles) -> Doubles:
        """Take what each expert gave the token that came.

        Args:
            log_probs: (n, E) of the experts.

        Returns:
            (n,) log-probability that all of them together gave it.
        """
        largest = log_probs.max(1, keepdims=True)  # (n, 1)
        joint = self.weights * np.exp(log_probs - largest)  # (n, E)
        total = joint.sum(1, keepdims=True)  # (n, 1)
        self.weights = (1.0 - SWITCH_RATE) * (joint / total) + SWITCH_RATE * np.array(PRIOR)
        token_log_probs: Doubles = (np.log(total) + largest)[:, 0]
        return token_log_probs

    def repeat(self, n: int) -> FixedShare:
        """n rows of what this one row has earned."""
        repeated = FixedShare(n)
        repeated.weights[:] = self.weights
        return repeated

    def restore_uniform(self) -> None:
        """Give the last expert, the uniform one, its prior weight again.

        After a prompt that is unlike anything in the data it would fill a sample with noise; the others go on from it in the
        words of the data.
        """
        self.weights[:, :-1] *= (1.0 - PRIOR[-1]) / self.weights[:, :-1].sum(1, keepdims=True)
        self.weights[:, -1] = PRIOR[-1]


def log_of(probabilities: Floats) -> Doubles:
    """Logarithms, finite where a probability was rounded to zero."""
    return np.log(np.maximum(probabilities, LEAST_PROBABILITY).astype(np.float64))


def shared_log_probs(share: FixedShare, log_probs: Doubles) -> Doubles:
    """(n, L) log-probabilities of known targets under all experts together. log_probs: (n, L, E) under each."""
    joint = np.zeros(log_probs.shape[:2])
    for place in range(log_probs.shape[1]):
        joint[:, place] = share.observe(log_probs[:, place])
    return joint
