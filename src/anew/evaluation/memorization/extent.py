"""How many samples are copies: the fewest that must be left out until a test finds nothing more.

If the copies were left out, a test of the other samples would find something no more often than its level says. So the fewest
samples without which p exceeds the level are a lower bound of the number of copies, with whatever chance gives in this data
allowed for: a bound by the inversion of a test. The most suspicious are left out first, since without them p rises fastest.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from anew.evaluation.memorization.copying_test import Indices, LabelPermutations, NearestReal, ScanResult, scan
from anew.evaluation.memorization.match_test import MatchResult, MatchTest
from anew.functional.intervals import TAIL

NUM_ESTIMATES = 3  # of the scan, the match test and identical samples, of which the largest bound counts
EXTENT_ALPHA = TAIL / NUM_ESTIMATES  # of each bound, so that the largest one is the lower end of a 95% interval
EVEN = 0.5  # a test of samples without copies has a larger p half of the time


class CopyCount(NamedTuple):
    """The number of samples that are copies.

    Attributes:
        copied: Estimated number, which is too large as often as too small.
        low: Lower end of its 95% interval.
    """

    copied: int
    low: int


NOTHING = CopyCount(0, 0)


def extent(p_without: Callable[[int], float], most: int) -> CopyCount:
    """The number of copies by one test.

    Args:
        p_without: The p of the test without the `c` most suspicious samples.
        most: The largest c, which `p_without` need not take: without all of them nothing is found.
    """

    def fewest(level: float) -> int:
        return bisect_right(range(most), level, key=p_without)

    low = fewest(EXTENT_ALPHA)
    return CopyCount(max(fewest(EVEN), low), low)


def largest(*extents: CopyCount) -> CopyCount:
    """The largest estimate and the largest lower end of some tests."""
    return CopyCount(*map(max, zip(*extents, strict=True)))


def extent_by_tests(
    nearests: Sequence[NearestReal],
    scan_result: ScanResult | None,
    match_test: MatchTest,
    match_result: MatchResult,
    labels: LabelPermutations,
    rng: np.random.Generator,
) -> CopyCount:
    """The number of copies by both tests.

    Args:
        nearests: Nearest items of the samples, by each distance.
        scan_result: The scan of these; None if the reference test does not confirm it.
        match_test, match_result: The match test, and its result.
        labels: Labels of the real items, the true ones in their first row.
        rng: Generator of permutations, and of ties.
    """
    by_scan = NOTHING if scan_result is None else extent_by_scan(nearests, scan_result, labels, rng)
    rows = np.arange(len(nearests[0].item))
    return largest(by_scan, extent_by_matches(match_test, match_result, rows, labels, rng))


def extent_by_scan(
    nearests: Sequence[NearestReal], result: ScanResult, labels: LabelPermutations, rng: np.random.Generator
) -> CopyCount:
    """The number of copies by the scan, of whose samples those are left out that are close to a training item.

    Args:
        nearests: Nearest items of the samples, by each distance.
        result: The scan of these.
        labels: Labels of the real items, the true ones in their first row.
        rng: Generator that decides ties.
    """
    nearest = nearests[result.decisive].take(result.order)
    is_hit = labels.rows[0, labels.columns(nearest.item)].astype(bool) & (nearest.ratio < 1.0)
    hits = result.order[is_hit]

    def p_without(count: int) -> float:
        rows = np.setdiff1d(result.order, hits[:count])
        return scan([nearest.take(rows) for nearest in nearests], labels, rng).p

    return extent(p_without, len(hits))


def extent_by_matches(
    match_test: MatchTest, result: MatchResult, rows: Indices, labels: LabelPermutations, rng: np.random.Generator
) -> CopyCount:
    """The number of copies by the match test. Passages of one text are left out together.

    Args:
        match_test, result: The test, and its result.
        rows: (m,) the queries that are samples.
        labels: Labels of the real items, the true ones in their first row.
        rng: Generator of the permutations.
    """
    group = match_test.groups[result.rows]
    first = np.unique(group, return_index=True)[1]
    members = [result.rows[group == group[i]] for i in np.sort(first)]
    num_rows = np.cumsum([0, *map(len, members)])

    def p_without(count: int) -> float:
        left_out = [row for rows_of_text in members[:count] for row in rows_of_text.tolist()]
        return match_test.p(np.setdiff1d(rows, left_out), labels, rng)

    copied, low = extent(p_without, len(members))
    return CopyCount(int(num_rows[copied]), int(num_rows[low]))
