"""Sizes of memorization tests in limited time: the first is small, and its time says how large the next one may be.

A test sees only copies of the training items that it compares, and each copy says more if there are more held-out items
that it could have been near instead (`evidence`). Time goes into pairs of samples and real items, and into each of both. The size with the
most evidence is taken, among those for which there is time. If several are enough to prove copying, the one with most
training items is taken: a copy of an item that is not compared looks like any other sample, and hides the rest (docs/log.md,
2026-11-27).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import partial
from typing import NamedTuple

from anew.evaluation.inputs import RealItems
from anew.evaluation.memorization.brief_test import stand_ins
from anew.evaluation.memorization.controls import MAX_CONTROLS
from anew.evaluation.memorization.copying_test import NUM_INDEPENDENT_STEPS
from anew.evaluation.memorization.thresholds import ALPHA, PLANTED_RATES

SAMPLES_STEP = 1.2  # ratio of neighbouring numbers of samples that are considered; chosen: finer gains nothing
# Another test is worth its time if it has at least this many times the evidence, or the training items: the first test has as many
# held-out items, and where no more are there, further training items add little evidence, but a copy of them may be found; chosen.
MIN_GROWTH = 1.5
MIN_VARIABLE = 0.25  # least share of a test's time that grows with the comparisons: two measured times are noisy
CAUTION = 0.9  # share of the time left that is planned with; a test that turns out slower leaves samples out
# If the next test had more than so many times the real items, one in a quarter of the time comes before it: a test of thousands of
# proteins was not over in time, and the report was left with the first 64. Both chosen.
MAX_GROWTH, MIDDLE_SHARE = 16, 0.25
# Time for the features of a real item, as a share of the fixed time of a query. Measured: 0.2 for sprites.
ITEM_SHARE = 0.2
# Nats with which the scan can prove the highest planted rate of copies, if all of them rank before other samples.
MIN_EVIDENCE = -math.log(ALPHA / NUM_INDEPENDENT_STEPS)
# A test is planned for this many times MIN_EVIDENCE: digits were caught in 95% of the draws at 5.1 nats, sprites at 6.7.
PLANNED = 0.8
SPARE_SAMPLES_FACTOR = 1.15  # samples are drawn for this many times MIN_EVIDENCE, as some may be left out; chosen


class ComparisonSize(NamedTuple):
    """Numbers of samples and real items that a test compares."""

    num_samples: int
    num_real: int

    def within(self, num_samples: int, num_real: int) -> ComparisonSize:
        """The size of what was compared, if there were only so many of either."""
        return ComparisonSize(min(self.num_samples, num_samples), min(self.num_real, num_real))


FIRST_SIZE = ComparisonSize(num_samples=64, num_real=128)  # its pace says how large the next test can be


class SizeSchedule:
    """Plans the sizes of a series of tests, each of which is run from the beginning.

    Args:
        num_samples: Number of samples.
        query_cost: Fixed time of a sample, whatever it is compared with, in comparisons.
    """

    def __init__(self, num_samples: int, query_cost: int = 0) -> None:
        self.num_samples, self.query_cost = num_samples, query_cost
        self.size = ComparisonSize(min(FIRST_SIZE.num_samples, num_samples), FIRST_SIZE.num_real)
        self._times: list[tuple[float, float]] = []  # (comparisons, seconds)
        self._reading = 0.0  # seconds for each real item

    def add(self, size: ComparisonSize, seconds: float, reading: float = 0.0, *, controls: bool = True) -> None:
        """Record a test.

        Args:
            size: The number of items that it compared.
            seconds: How long it took.
            reading: Seconds of reading each of its real items, which are not part of the former.
            controls: Whether it had controls.
        """
        self._times.append((comparisons(*size, self.query_cost, controls=controls), max(seconds, 1e-3)))
        self._reading = reading  # the first, of few items, is mostly fixed
        self.size = size

    def next(self, seconds: float, available: RealItems, max_real: int) -> ComparisonSize | None:
        """The size of the next test; None if nothing more is left to compare, or there is no time for much more.

        Args:
            seconds: Time left.
            available: Numbers of real items in the data.
            max_real: Number of real items that can be compared: all, or as many as memory holds.
        """
        whole = ComparisonSize(self.num_samples, max_real)
        size = self._best(CAUTION * seconds, available, max_real)
        if size.num_real > MAX_GROWTH * self.size.num_real:
            middle = self._best(MIDDLE_SHARE * seconds, available, max_real)
            size = middle if self._is_worthwhile(middle, available) else size
        if not self._is_worthwhile(size, available, 1.0 if size == whole else MIN_GROWTH):
            return None
        self.size = size
        return size

    def second_trial(self, seconds: float, available: RealItems, max_real: int) -> ComparisonSize | None:
        """The size of a test that tells how long a larger one takes, in a share of these seconds; None if two tests did.

        The time of the first test is mostly fixed, so it overrates larger ones: threefold for digits. For the arguments see `next`.
        """
        if len(self._times) > 1:
            return None
        size = self._best(MIDDLE_SHARE * seconds, available, max_real)
        return size if comparisons(*size) > comparisons(*self.size) else None

    def affords(self, size: ComparisonSize, seconds: float) -> bool:
        """Whether a test of this size ends in so many seconds, as far as the measured times tell."""
        return self.seconds(size) <= CAUTION * seconds

    def _is_worthwhile(self, size: ComparisonSize, available: RealItems, min_growth: float = MIN_GROWTH) -> bool:
        """Whether a test of this size says enough more than the latest."""
        growth = evidence(size, available) - evidence(self.size, available)
        train, latest_train = (available.split(compared.num_real).train for compared in (size, self.size))
        return growth > (min_growth - 1.0) * evidence(self.size, available) or (
            growth > 0.0 and train > min_growth * latest_train
        )

    def _best(self, seconds: float, available: RealItems, max_real: int) -> ComparisonSize:
        """The size of the test that proves most in these seconds. For the other arguments see `next`."""

        def seconds_with_reading(samples: int, real: int) -> float:
            return self.seconds(ComparisonSize(samples, real)) + self._reading * real

        # 0 real items if even one takes longer
        sizes = [
            ComparisonSize(n, bisect_right(range(1, max_real + 1), seconds, key=partial(seconds_with_reading, n)))
            for n in sample_counts(self.num_samples)
        ]
        return max(sizes, key=partial(_worth, available=available))

    def seconds(self, size: ComparisonSize) -> float:
        """Seconds that a test of this size is expected to take, besides reading."""
        fixed, pace = self._costs()
        return fixed + pace * comparisons(*size, self.query_cost)

    def _costs(self) -> tuple[float, float]:
        """The fixed seconds of a test, and the seconds of each comparison, from the last two tests."""
        pairs, spent = self._times[-1]
        if len(self._times) == 1:
            return 0.0, spent / pairs
        pace, (other_pairs, other_spent) = spent / pairs, self._times[-2]
        if pairs > other_pairs:  # else memory held no more than before
            slope = (spent - other_spent) / (pairs - other_pairs)
            pace = min(max(slope, MIN_VARIABLE * spent / pairs), spent / pairs)
        return spent - pace * pairs, pace


def sample_counts(num_samples: int) -> list[int]:
    """The numbers of samples that are considered, rising up to all of them."""
    counts = [num_samples]
    while counts[-1] > FIRST_SIZE.num_samples:
        counts.append(max(int(counts[-1] / SAMPLES_STEP), FIRST_SIZE.num_samples))
    return counts[::-1]


def evidence(size: ComparisonSize, available: RealItems) -> float:
    """The evidence of the scan in nats if all samples were copies.

    Each copy that can be seen contributes -log of the probability that the item nearest by chance is a training item. 10% of
    copies give a tenth of it. Without held-out items, the number of copies that can be seen is returned.
    """
    compared = available.split(size.num_real)
    if not compared.train:
        return 0.0
    visible = size.num_samples * compared.train / available.train
    return visible * (math.log1p(compared.held_out / compared.train) if available.held_out else 1.0)


def _worth(size: ComparisonSize, available: RealItems) -> tuple[float, int, float]:
    """A sort key that rises with what a test can prove."""
    nats = evidence(size, available)
    return min(PLANTED_RATES[-1] * nats, PLANNED * MIN_EVIDENCE), available.split(size.num_real).train, nats


def samples_needed(available: RealItems) -> int:
    """How many samples a test of all real items needs to prove the highest planted rate; 0 if no number suffices."""
    nats = PLANTED_RATES[-1] * evidence(ComparisonSize(1, available.total), available)
    return math.ceil(SPARE_SAMPLES_FACTOR * MIN_EVIDENCE / nats) if nats > 0.0 else 0


def comparisons(samples: int, real: int, query_cost: int = 0, *, controls: bool = True) -> float:
    """The number of comparisons of a brief test, up to a factor; real items that pose as samples are included."""
    num_controls = min(MAX_CONTROLS, real // 4) if controls else 0
    queries = samples + num_controls + min(stand_ins(samples), real)
    return queries * (real + query_cost) + ITEM_SHARE * query_cost * real
