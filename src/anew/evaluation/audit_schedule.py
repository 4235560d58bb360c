"""How much an audit for copies compares in limited time: audits of few items first, whose times say what the next may look at.

An audit sees the copies of training items that it looks at, so what it can find grows with samples times the share of the
training items that are compared. Its time grows with both, but a sample takes time of its own, whatever it is compared with: so
samples are few until all real items are looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from anew.evaluation.memorization.audit import MOST_CONTROLS, stand_ins

FEW_SAMPLES = (
    300  # enough to tell that a tenth are copies; more are taken once all real items are compared (docs/log.md)
)
WORTHWHILE = 1.5  # times as many comparisons as before, from which on another audit is worth its time
LEAST_VARIABLE = 0.25  # of the time of an audit, that grows with the comparisons whatever two times say: they are noisy
FIRST_FIXED = 0.3  # of the time of the first audit does not grow with it; measured: 0.4 for sprites, 0.5 for digits
CAUTION = 0.7  # of the time left is planned with: were nothing fixed, an audit would take all of it


class AuditSize(NamedTuple):
    """Samples and real items that an audit compares."""

    samples: int
    real: int


FIRST_AUDIT = AuditSize(samples=64, real=128)  # whose pace says how many more there is time for


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

    def next(self, seconds: float, n_real: int) -> AuditSize | None:
        """What to look at next; None where there is nothing more to look at, or no time for much more.

        Args:
            seconds: Time left.
            n_real: Real items that there are.
        """
        latest, total = self._times[-1][0], max(n_real, 1)
        affordable = self._affordable(CAUTION * seconds)
        few = min(self.n_samples, max(FEW_SAMPLES, self.size.samples))
        real = largest_within(affordable, total, partial(self._comparisons, few))
        samples = few
        if real == total:
            samples = max(few, largest_within(affordable, self.n_samples, partial(self._comparisons, real=total)))
        size = AuditSize(samples, real)
        is_last = size == AuditSize(self.n_samples, total)
        if real < 1 or self._comparisons(*size) <= (1.0 if is_last else WORTHWHILE) * latest:
            return None
        self.size = size
        return size

    def _comparisons(self, samples: int, real: int) -> float:
        return comparisons(samples, real, self.query_cost)

    def _affordable(self, seconds: float) -> float:
        """Comparisons of an audit of these seconds. Two audits tell what is fixed; of the first alone a part counts as fixed."""
        pairs, spent = self._times[-1]
        pace = (1.0 - FIRST_FIXED) * spent / pairs
        other_pairs, other_spent = self._times[-2] if len(self._times) > 1 else (pairs, spent)
        if pairs > other_pairs:  # not where memory held no more than before
            slope = (spent - other_spent) / (pairs - other_pairs)
            pace = min(max(slope, LEAST_VARIABLE * spent / pairs), spent / pairs)
        fixed = spent - pace * pairs
        return max(seconds - fixed, 0.0) / pace


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
