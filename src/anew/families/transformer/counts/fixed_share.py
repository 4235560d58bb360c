"""A floor under the mixture of network, counts and known records: no text costs much more than under the best of three experts,
which are the mixture itself, the network alone and the uniform distribution.

A gate that was fitted to held-out text of the same source may be very wrong on other text. Fixed share (Herbster and Warmuth,
"Tracking the best expert", Machine Learning 32, 1998) gives each expert the weight that it has earned on the tokens before, and
with each token returns a little weight to the prior, so that the best expert may change. Compared with any expert i, L tokens
cost at most log2(1 / PRIOR[i]) + (L - 1) log2(1 / (1 - SWITCH_RATE)) bits more: 0.03 for the mixture, 6 for the network and 8
for the uniform distribution, and 0.003 a token. In a record of a few symbols 8 bits are much: `record_noise` takes the place of the
uniform distribution where records are scored, which costs the mixture up to 0.045 bits more.

Legend for shapes: n rows, B records, L targets of a record, V vocabulary, E experts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from anew.core.arrays import Doubles, Floats, Ints

# Prior weights of mixture, network and uniform distribution: these shares of the first tokens are drawn from them. For the last
# one, 0.003 instead of 0.001 saves a record of noise 1.6 bits, and costs any record 0.003 (docs/log.md, 2026-11-26).
PRIOR = (0.977, 0.02, 0.003)
# Share of the weights that returns to the prior with each token: a document of 500 tokens may switch once; chosen.
SWITCH_RATE = 0.002
MIN_PROBABILITY = 1e-37  # its logarithm is used for a probability that fp32 rounds to zero


class FixedShare:
    """Weights of the experts in n rows that grow together.

    Args:
        prior: (E,) prior weights, which sum to 1.

    Attributes:
        weights: (n, E), rows sum to 1.
    """

    def __init__(self, n: int, prior: Sequence[float] | Doubles = PRIOR) -> None:
        self._prior: Doubles = np.array(prior)
        self.weights: Doubles = np.tile(self._prior, (n, 1))

    def mix(self, probabilities: Sequence[Floats]) -> Floats:
        """(n, V) probabilities of all experts together, from E of (n, V) or (V,)."""
        weights = self.weights.astype(np.float32)
        mixed: Floats = weights[:, :1] * probabilities[0]
        for i, expert in enumerate(probabilities[1:], 1):
            mixed += weights[:, i : i + 1] * expert
        return mixed

    def observe(self, log_probs: Doubles) -> Doubles:
        """Update the weights with the next token, to which the experts gave these log-probabilities (n, E), and all together the returned
        one (n,)."""
        largest = log_probs.max(1, keepdims=True)  # (n, 1)
        joint = self.weights * np.exp(log_probs - largest)  # (n, E)
        total = joint.sum(1, keepdims=True)  # (n, 1)
        self.weights = (1.0 - SWITCH_RATE) * (joint / total) + SWITCH_RATE * self._prior
        token_log_probs: Doubles = (np.log(total) + largest)[:, 0]
        return token_log_probs

    def select(self, rows: Ints) -> FixedShare:
        """Rows (k,) of these, by their numbers; a row may be taken several times."""
        selected = FixedShare(len(rows), self._prior)
        selected.weights[:] = self.weights[rows]
        return selected

    def restore_uniform(self) -> None:
        """Give the last expert, the uniform one, its prior weight again.

        It would fill a sample with noise after a prompt that is unlike anything in the data; the other experts continue with words of the
        data.
        """
        self.weights[:, :-1] *= (1.0 - self._prior[-1]) / self.weights[:, :-1].sum(1, keepdims=True)
        self.weights[:, -1] = self._prior[-1]


def uniform_distribution(vocab_size: int, never_targets: Collection[int]) -> Floats:
    """(V,) the uniform distribution over tokens that can follow others. never_targets: Ids of those that cannot."""
    is_target = ~np.isin(np.arange(vocab_size), list(never_targets))
    distribution: Floats = (is_target / max(1, is_target.sum())).astype(np.float32)
    return distribution


def expert_chances(experts: Sequence[Floats], tokens: Ints) -> Doubles:
    """(n, E) probabilities that experts gave tokens (n,). experts: (n, V) of both together and of the network, and (V,) uniform."""
    mixed, network, uniform = experts
    rows = np.arange(len(tokens))
    return np.stack((mixed[rows, tokens], network[rows, tokens], uniform[tokens]), 1).astype(np.float64)


def log_of(probabilities: Floats) -> Doubles:
    """Logarithms, finite where a probability was rounded to zero."""
    return np.log(np.maximum(probabilities, MIN_PROBABILITY).astype(np.float64))


def shared_log_probs(share: FixedShare, log_probs: Doubles) -> Doubles:
    """(n, L) log-probabilities of known targets under all experts together. log_probs: (n, L, E) under each."""
    joint = np.zeros(log_probs.shape[:2])
    for place in range(log_probs.shape[1]):
        joint[:, place] = share.observe(log_probs[:, place])
    return joint
