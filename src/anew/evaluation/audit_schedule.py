"""How much an audit for copies compares in limited time: audits of few items first, whose times say what the next may look at.

An audit sees only copies of the training items that it compares, and a copy says the more, the more held-out items it could
have been near instead (`evidence`). Samples and real items take time together, and either takes time of its own, too. Of the
numbers that there is time for, those of most evidence are taken; where several are enough to prove anything, those with most
training items: copies that nobody could see are samples like all the others, among which the rest is lost (docs/log.md,
2026-11-27).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from anew.evaluation.memorization.audit import MOST_CONTROLS, stand_ins
from anew.evaluation.memorization.copying_test import LOOKS
from anew.evaluation.memorization.thresholds import ALPHA, RATES

SAMPLES_STEP = 1.2  # ratio of the numbers of samples that are weighed against each other; chosen: finer gains nothing
WORTHWHILE = 1.5  # times as much evidence as before, from which on another audit is worth its time
LEAST_VARIABLE = 0.25  # of the time of an audit, that grows with the comparisons whatever two times say: they are noisy
# Times as long as by the first audit, a comparison of a later one takes: it also plants copies, and its items are in no
# cache. Measured: 1.2 to 1.9 for digits, .9 for sounds, 1.3 for sprites.
LATER = 1.3
CAUTION = 0.9  # of the time left is planned with; an audit that turns out slower leaves samples out
# Of what a query takes whatever it is compared with, what any real item takes: its features. Measured: .2 for sprites.
ITEM_SHARE = 0.2
# Nats from which on the scan can prove the highest planted rate of copies, were they all the nearest of the samples.
LEAST_EVIDENCE = -math.log(ALPHA / LOOKS)
# Times as much, that an audit is planned for: digits were caught in 95% of the draws at 5.1 nats, sprites at 6.7.
PLANNED = 0.8
MARGIN = 1.15  # times as much, that samples are drawn for: some may be left out; chosen


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
        self._reading = 0.0  # seconds of each real item

    def add(self, size: AuditSize, seconds: float, reading: float = 0.0) -> None:
        """Record the time of an audit, and that of reading each of its real items, which is not part of it."""
        self._times.append((self._comparisons(*size), max(seconds, 1e-3)))
        self._reading = max(self._reading, reading)

    def next(self, seconds: float, available: RealItems, most_real: int) -> AuditSize | None:
        """What to look at next; None where there is nothing more to look at, or no time for much more.

        Args:
            seconds: Time left.
            available: Real items that there are.
            most_real: Real items that can be compared, all or as many as memory holds.
        """
        sizes = [
            AuditSize(n, largest_within(CAUTION * seconds, most_real, partial(self._seconds_with_reading, n)))
            for n in sample_counts(self.n_samples)
        ]
        size = max(sizes, key=partial(_worth, available=available))
        is_last = size == AuditSize(self.n_samples, most_real)
        latest = evidence(self.size, available)
        if size.real < 1 or evidence(size, available) <= (1.0 if is_last else WORTHWHILE) * latest:
            return None
        self.size = size
        return size

    def _comparisons(self, samples: int, real: int) -> float:
        return comparisons(samples, real, self.query_cost)

    def seconds(self, size: AuditSize) -> float:
        """Seconds that an audit of this size is expected to take, besides reading."""
        fixed, pace = self._costs()
        return fixed + pace * self._comparisons(*size)

    def _seconds_with_reading(self, samples: int, real: int) -> float:
        return self.seconds(AuditSize(samples, real)) + self._reading * real

    def _costs(self) -> tuple[float, float]:
        """Seconds of an audit whatever its size, and of each comparison. Two audits tell what is fixed."""
        pairs, spent = self._times[-1]
        if len(self._times) == 1:
            return 0.0, LATER * spent / pairs
        pace, (other_pairs, other_spent) = spent / pairs, self._times[-2]
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


def evidence(size: AuditSize, available: RealItems) -> float:
    """Evidence that the scan would have were all samples copies, in nats: for each copy that can be seen, how unlikely it is
    that an item which is nearest by chance is a training item. A tenth of it is what 10% of copies give; without held-out
    items, the number of copies that can be seen."""
    compared = available.part(size.real)
    if not compared.train:
        return 0.0
    visible = size.samples * compared.train / available.train
    return visible * (math.log1p(compared.held_out / compared.train) if available.held_out else 1.0)


def _worth(size: AuditSize, available: RealItems) -> tuple[float, int, float]:
    """Rises with what an audit can prove."""
    nats = evidence(size, available)
    return min(RATES[-1] * nats, PLANNED * LEAST_EVIDENCE), available.part(size.real).train, nats


def samples_needed(available: RealItems) -> int:
    """Samples with which an audit of all real items can prove the highest planted rate of copies; 0 where none suffice."""
    nats = RATES[-1] * evidence(AuditSize(1, available.total), available)
    return math.ceil(MARGIN * LEAST_EVIDENCE / nats) if nats > 0.0 else 0


def comparisons(samples: int, real: int, query_cost: int = 0) -> float:
    """Pairs of items that a brief audit compares, up to a factor; real items that pose as samples are compared too."""
    queries = samples + min(MOST_CONTROLS, real // 4) + min(stand_ins(samples), real)
    return queries * (real + query_cost) + ITEM_SHARE * query_cost * real


def largest_within(seconds: float, max_count: int, seconds_of: Callable[[int], float]) -> int:
    """The largest count for which there is time.

    Args:
        seconds: Seconds that there are.
        max_count: Upper bound of the count.
        seconds_of: Seconds that a count takes; rises with it.

    Returns:
        The count, 0 where even one takes longer.
    """
    return bisect_right(range(1, max_count + 1), seconds, key=seconds_of)
