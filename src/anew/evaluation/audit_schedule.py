"""How much an audit for copies compares in limited time: audits of few items first, whose times say what the next may look at.

An audit sees only copies of the training items that it compares, and a copy says the more, the more held-out items it could
have been near instead (`evidence`). Samples and real items take time together, and a sample takes time of its own, whatever it
is compared with: of the numbers that there is time for, those of most evidence are taken.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from anew.evaluation.memorization.audit import MOST_CONTROLS, stand_ins

SAMPLES_STEP = 1.2  # ratio of the numbers of samples that are weighed against each other; chosen: finer gains nothing
WORTHWHILE = 1.5  # times as much evidence as before, from which on another audit is worth its time
LEAST_VARIABLE = 0.25  # of the time of an audit, that grows with the comparisons whatever two times say: they are noisy
FIRST_FIXED = 0.3  # of the time of the first audit does not grow with it; measured: 0.4 for sprites, 0.5 for digits
CAUTION = 0.7  # of the time left is planned with: were nothing fixed, an audit would take all of it


class AuditSize(NamedTuple):
    """Samples and real items that an audit compares."""

    samples: int
    real: int


FIRST_AUDIT = AuditSize(samples=64, real=128)  # whose pace says how many more there is time for


class RealItems(NamedTuple):
    """Real items that there are in all."""

    train: int
    held_out: int

    @property
    def total(self) -> int:
        return self.train + self.held_out

    def part(self, n: int) -> RealItems:
        """The first n as an audit takes them, see `AuditPool.head`."""
        held_out = min(self.held_out, max(n // 2, n - self.train))
        return RealItems(min(self.train, n - held_out), held_out)


class AuditSchedule:
    """Sizes of audits, each of which is run from the beginning.

    Args:
        n_samples: Samples that there are.
        query_cost: Time that a sample takes whatever it is compared with, in comparisons.
    """

    def __init__(self, n_samples: int, query_cost: int = 0) -> None:
        self.n_samples, self.query_cost = n_samples, query_cost
        self.size = AuditSize(min(FIRST_AUDIT.samples, n_samples), FIRST_AUDIT.real)
        self._times: list[tuple[float, float]] = []  # (comparisons, seconds)

    def add(self, size: AuditSize, seconds: float) -> None:
        """Record the time of an audit."""
        self._times.append((self._comparisons(*size), max(seconds, 1e-3)))

    def next(self, seconds: float, there_are: RealItems, most_real: int) -> AuditSize | None:
        """What to look at next; None where there is nothing more to look at, or no time for much more.

        Args:
            seconds: Time left.
            there_are: Real items that there are.
            most_real: Real items that can be compared, all or as many as memory holds.
        """
        affordable = self._affordable(CAUTION * seconds)
        sizes = [
            AuditSize(n, largest_within(affordable, most_real, partial(self._comparisons, n)))
            for n in sample_counts(self.n_samples)
        ]
        size = max(sizes, key=lambda size: evidence(size, there_are))
        is_last = size == AuditSize(self.n_samples, most_real)
        latest = evidence(self.size, there_are)
        if size.real < 1 or evidence(size, there_are) <= (1.0 if is_last else WORTHWHILE) * latest:
            return None
        self.size = size
        return size

    def _comparisons(self, samples: int, real: int) -> float:
        return comparisons(samples, real, self.query_cost)

    def seconds(self, size: AuditSize) -> float:
        """Seconds that an audit of this size is expected to take."""
        fixed, pace = self._costs()
        return fixed + pace * self._comparisons(*size)

    def _affordable(self, seconds: float) -> float:
        """Comparisons of an audit of these seconds."""
        fixed, pace = self._costs()
        return max(seconds - fixed, 0.0) / pace

    def _costs(self) -> tuple[float, float]:
        """Seconds of an audit whatever its size, and of each comparison. Two audits tell what is fixed; of the first alone a
        part counts as fixed."""
        pairs, spent = self._times[-1]
        pace = (1.0 - FIRST_FIXED) * spent / pairs
        other_pairs, other_spent = self._times[-2] if len(self._times) > 1 else (pairs, spent)
        if pairs > other_pairs:  # not where memory held no more than before
            slope = (spent - other_spent) / (pairs - other_pairs)
            pace = min(max(slope, LEAST_VARIABLE * spent / pairs), spent / pairs)
        return spent - pace * pairs, pace


def sample_counts(n_samples: int) -> list[int]:
    """Numbers of samples that are weighed against each other, rising up to all of them."""
    counts = [n_samples]
    while counts[-1] > FIRST_AUDIT.samples:
        counts.append(max(int(counts[-1] / SAMPLES_STEP), FIRST_AUDIT.samples))
    return counts[::-1]


def evidence(size: AuditSize, there_are: RealItems) -> float:
    """Evidence that the scan would have were all samples copies, in nats: for each copy that can be seen, how unlikely it is
    that an item which is nearest by chance is a training item. A tenth of it is what 10% of copies give; without held-out
    items, the number of copies that can be seen."""
    compared = there_are.part(size.real)
    if not compared.train:
        return 0.0
    visible = size.samples * compared.train / there_are.train
    return visible * (math.log1p(compared.held_out / compared.train) if there_are.held_out else 1.0)


def comparisons(samples: int, real: int, query_cost: int = 0) -> float:
    """Pairs of items that a brief audit compares, up to a factor; real items that pose as samples are compared too."""
    queries = samples + min(MOST_CONTROLS, real // 2) + min(stand_ins(samples), real)
    return queries * (real + query_cost)


def largest_within(pairs: float, max_count: int, pairs_of: Callable[[int], float]) -> int:
    """The largest count for which there is time.

    Args:
        pairs: Pairs that may be compared.
        max_count: Upper bound of the count.
        pairs_of: Pairs that a count takes; rises with it.

    Returns:
        The count, 0 where even one takes more pairs.
    """
    return bisect_right(range(1, max_count + 1), pairs, key=pairs_of)
