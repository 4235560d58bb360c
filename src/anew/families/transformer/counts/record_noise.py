"""Records of random symbols: the expert of `fixed_share` that bounds the cost of a record unlike any in the data.

A record of n of V - 1 symbols and its end cost (n + 1) log2(V) bits under the uniform distribution. All records of n symbols together
need the probability (V - 1)^n V^(-c (n + 1)), so that none costs more than c times that: with c = 1.15 and V = 28, 0.4% for records
of 3 symbols and 1.8% for all of 2 and more. Under the uniform distribution, records of n symbols have hardly more than one V-th of
its prior weight, which long records can do with: there a few bits are a small part.

So short records have the probability that they need, and the others what the uniform distribution gives them. Both together are one
expert: random symbols whose end comes early at first. Samples are drawn with the uniform distribution in its place, since two in a
hundred would be noise.

Legend for shapes: n targets, V tokens that can follow others.
"""

from __future__ import annotations

import math

import numpy as np

from anew.core.arrays import Doubles, Floats, Int32s, Ints
from anew.families.transformer.counts.fixed_share import PRIOR, log_of

# Bits of a record of noise, as a multiple of those under the uniform distribution.
COST_LIMIT = 1.15
# Records of fewer symbols may cost more: there are few of them, and those that are not in the data say little.
FEWEST_SYMBOLS = 2
# Probability of all short records at most, which costs other records up to 0.045 bits: it is enough for records of 2 symbols where V
# is 20 or more, of 3 where it is 15, of 6 where it is 5.
MAX_SHARE = 0.03


class RecordNoise:
    """Random symbols, and an end that comes early at first.

    Args:
        uniform: (vocabulary,) the uniform distribution over tokens that can follow others.
        end_id: The last id of a record; None if there is none, so that this is the uniform distribution.

    Attributes:
        end_id: The last id of a record; None for the uniform distribution.
        prior: (E,) prior weights of mixture, network and this.
    """

    def __init__(self, uniform: Floats, end_id: int | None) -> None:
        num_tokens = int(np.count_nonzero(uniform))
        # Records without symbols always end
        self._uniform, self.end_id = log_of(uniform), end_id if num_tokens > 1 else None
        self._vocab = max(2, num_tokens)
        # Of what the records of a length need, with each further symbol
        decay = (self._vocab - 1) / self._vocab**COST_LIMIT
        of_all = self._vocab**-COST_LIMIT / (1.0 - decay)  # what records of all lengths need together
        self._fewest = max(FEWEST_SYMBOLS, math.ceil(math.log(MAX_SHARE / of_all) / math.log(decay)))
        self._share, self._ending = of_all * decay**self._fewest, 1.0 - decay
        mixture, network, noise = PRIOR
        added = 0.0 if self.end_id is None else self._share
        self.prior: Doubles = np.array((mixture - added, network, noise + added))

    def log_probs(self, targets: Ints, places: Ints) -> Doubles:
        """(n,) nats of targets (n,). places: (n,) the number of each in its record, from 1."""
        of_uniform: Doubles = self._uniform[targets]  # (n,)
        if self.end_id is None:
            return of_uniform
        ends = self._end_rate(places - 1)  # (n,)
        others = np.log1p(-ends) - math.log1p(-1.0 / self._vocab) + of_uniform  # (n,)
        return np.where(targets == self.end_id, np.log(ends), others)

    def _end_rate(self, symbols: Ints) -> Doubles:
        """(n,) probability that a record ends after so many symbols (n,) if it has not ended before."""
        beyond = np.maximum(symbols - self._fewest, 0)  # (n,)
        # Short records as a multiple of those of the uniform distribution, among records of so many symbols and more; the multiple, since
        # both become 0 in long records
        multiple = self._share / PRIOR[-1] * (1.0 - 1.0 / self._vocab) ** -np.minimum(symbols, self._fewest)
        multiple = multiple * self._vocab ** ((1.0 - COST_LIMIT) * beyond)  # (n,)
        ending = np.where(symbols >= self._fewest, self._ending, 0.0)  # (n,) share of the short ones that ends here
        rates: Doubles = (1.0 / self._vocab + multiple * ending) / (1.0 + multiple)
        return rates


class RecordNoises:
    """Several kinds of noise next to each other.

    Attributes:
        prior: (2 + k,) prior weights of mixture, network and each kind: the mixture gives what they need.
    """

    def __init__(self, *noises: RecordNoise) -> None:
        self.noises = noises
        network, shares = PRIOR[1], [float(noise.prior[-1]) for noise in noises]
        self.prior: Doubles = np.array((1.0 - network - sum(shares), network, *shares))

    @classmethod
    def of_records(cls, noise: RecordNoise, uniform: Floats, occurring: Int32s) -> RecordNoises:
        """The noise that records are scored with and, if only some of its tokens occur in the data, that of those which do: of 15
        codes for nucleotides most data have four.

        Args:
            noise: That of `uniform`, see `RecordNoise`; it stands alone if its records have no end.
            occurring: (k,) ids of the tokens that occur.
        """
        of_data = np.zeros_like(uniform)
        of_data[occurring] = uniform[occurring]
        if noise.end_id is None or np.count_nonzero(of_data) == np.count_nonzero(uniform):
            return cls(noise)
        return cls(noise, RecordNoise(of_data / of_data.sum(), noise.end_id))

    def log_probs(self, targets: Ints, places: Ints) -> Doubles:
        """(n, k) nats of targets (n,) under each kind. places: see `RecordNoise.log_probs`."""
        return np.stack([noise.log_probs(targets, places) for noise in self.noises], 1)
