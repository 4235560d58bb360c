"""How many samples are copies: the fewest that must be left out until a test finds nothing more.

If the copies were left out, a test of the other samples would find something no more often than its level says. The fewest samples without
which p exceeds the level are therefore a lower bound of the number of copies, which allows for the matches that chance gives in this data:
a bound by the inversion of a test. The most suspicious are left out first, since without them p rises fastest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anew.evaluation.memorization.copying_test import Indices, LabelPermutations, NearestReal, ScanResult, scan
from anew.evaluation.memorization.match_test import MatchResult, MatchTest
from anew.functional.intervals import TAIL

NUM_ESTIMATES = 3  # estimates by the scan, by the match test and by identical samples; the largest bound counts
COUNT_ALPHA = TAIL / NUM_ESTIMATES  # level of each bound at which the largest one is the lower end of a 95% interval
MEDIAN_P = 0.5  # a test of samples without copies has a larger p half of the time


class CopyCount(NamedTuple):
    """The number of samples that are copies.

    Attributes:
        copied: Estimated number, which is too large as often as too small.
        low: Lower end of its 95% interval.
    """

    copied: int
    low: int


NO_COPIES = CopyCount(0, 0)


class CopyCounts(NamedTuple):
    """The number of samples that are copies, by all estimates.

    Attributes:
        copied, low: See `CopyCount`; the largest of the estimates.
        plain_low: `low` without the scan, so that no sample counts which only leans to the data.
    """

    copied: int
    low: int
    plain_low: int


def count_copies(
    p_without: Callable[[int], float], max_count: int, remaining: Callable[[], float] = lambda: math.inf
) -> CopyCount:
    """The number of copies by one test, which is run about log2(max_count) times for each of the two numbers.

    Args:
        p_without: The p of the test without the `c` most suspicious samples.
        max_count: The largest c, which `p_without` need not take: without all of them nothing is found.
        remaining: Seconds left. Once there are none, both numbers are those that are certain by then: too small, never too large.
    """
    p_values: dict[int, float] = {}

    def fewest(level: float, low: int) -> int:
        """The first c from `low` on whose p is above the level."""
        high = min((count for count, p in p_values.items() if p > level), default=max_count)
        while low < high and remaining() > 0.0:
            middle = (low + high) // 2
            p_values[middle] = p_without(middle)
            low, high = (low, middle) if p_values[middle] > level else (middle + 1, high)
        return low

    low = fewest(COUNT_ALPHA, 0)
    return CopyCount(fewest(MEDIAN_P, low), low)


def largest(*counts: CopyCount) -> CopyCount:
    """The largest estimate and the largest lower end of some tests."""
    return CopyCount(*map(max, zip(*counts, strict=True)))


@dataclass(frozen=True, slots=True)
class SampleTests:
    """Both tests of the samples of a memorization test.

    Attributes:
        nearests: Nearest items of the samples, by each distance.
        labels: Labels of the real items, the true ones in their first row.
        scan: The scan of `nearests`.
        match_test, match: The match test, and its result.
    """

    nearests: Sequence[NearestReal]
    labels: LabelPermutations
    scan: ScanResult
    match_test: MatchTest
    match: MatchResult


def count_by_tests(
    tests: SampleTests,
    identical: CopyCount,
    is_scan_confirmed: bool,
    rng: np.random.Generator,
    remaining: Callable[[], float],
) -> CopyCounts:
    """The number of copies by all estimates.

    Args:
        tests: The tests.
        identical: The number of copies among the samples that are identical to training items.
        is_scan_confirmed: Whether the scan found copies, and the reference test confirms it; else it does not count.
        rng: Generator of permutations, and of ties.
        remaining: See `count_copies`.
    """
    labels, rows = tests.labels, np.arange(len(tests.nearests[0].item))
    by_matches = count_by_matches(tests.match_test, tests.match, rows, labels, rng, remaining)
    plain = largest(by_matches, identical)
    if not is_scan_confirmed:
        return CopyCounts(*plain, plain.low)
    by_scan = count_by_scan(tests.nearests, tests.scan, labels, rng, remaining)
    return CopyCounts(*largest(plain, by_scan), plain.low)


def count_by_scan(
    nearests: Sequence[NearestReal],
    result: ScanResult,
    labels: LabelPermutations,
    rng: np.random.Generator,
    remaining: Callable[[], float],
) -> CopyCount:
    """The number of copies by the scan, of whose samples those are left out that are close to a training item.

    Args:
        nearests: Nearest items of the samples, by each distance.
        result: The scan of these.
        labels: Labels of the real items, the true ones in their first row.
        rng: Generator that decides ties.
        remaining: See `count_copies`.
    """
    nearest = nearests[result.decisive].take(result.order)
    is_hit = labels.are_train(nearest.item) & (nearest.ratio < 1.0)
    hits = result.order[is_hit]

    def p_without(count: int) -> float:
        rows = np.setdiff1d(result.order, hits[:count])
        return scan([nearest.take(rows) for nearest in nearests], labels, rng).p

    return count_copies(p_without, len(hits), remaining)


def count_by_matches(
    match_test: MatchTest,
    result: MatchResult,
    rows: Indices,
    labels: LabelPermutations,
    rng: np.random.Generator,
    remaining: Callable[[], float],
) -> CopyCount:
    """The number of copies by the match test. Passages of one text are left out together.

    Args:
        match_test, result: The test, and its result.
        rows: (m,) the queries that are samples.
        labels: Labels of the real items, the true ones in their first row.
        rng: Generator of the permutations.
        remaining: See `count_copies`.
    """
    group = match_test.groups[result.rows]
    first = np.unique(group, return_index=True)[1]
    members = [result.rows[group == group[i]] for i in np.sort(first)]
    num_rows = np.cumsum([0, *map(len, members)])

    def p_without(count: int) -> float:
        left_out = [row for rows_of_text in members[:count] for row in rows_of_text.tolist()]
        return match_test.p(np.setdiff1d(rows, left_out), labels, rng)

    copied, low = count_copies(p_without, len(members), remaining)
    return CopyCount(int(num_rows[copied]), int(num_rows[low]))
