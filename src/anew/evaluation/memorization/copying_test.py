"""The copying test: did the generator see these real items, or others like them?

Held-out items were kept from training at random. If a generator only learned the distribution, held-out items are therefore exchangeable
with training items, however good, sharp, blurred or collapsed its samples are. The scan takes the samples that lie
suspiciously near to a real item, and tests whether these are training items more often than chance explains. It permutes the
labels of real items, never those of samples, so its p-value is exact for any generator.

Legend for shapes: m samples, n pooled real items (train and held-out), r permutations, g steps of the scan.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Bools, Int32s, Integers, Numbers
from anew.evaluation.memorization.bit_rows import BitRows
from anew.evaluation.memorization.item_groups import group_labels, group_numbers
from anew.evaluation.memorization.thresholds import ALPHA

Array = NDArray[np.float64]
Indices = Integers  # of any width: those of ten million items take 40 MB

PERMUTATIONS = 999  # so the smallest p is 0.001, well below ALPHA
# The scan looks at 4 samples, then at 12% more each time; chosen: keeps its table small.
FIRST_STEP, STEP_GROWTH = 4, 1.12
# Steps of the scan that count as independent: neighbouring steps see nearly the same samples
NUM_INDEPENDENT_STEPS = 10


@dataclass(frozen=True, slots=True)
class NearestReal:
    """The nearest real item of each sample, all (m,).

    Attributes:
        item: Index of the nearest real item.
        distance: Distance to that item, at least 0.
        scale: That item's distance to its own nearest real item, whatever their labels.
        nearest_own: Index of that item's own nearest real item, -1 if there is none.
    """

    item: Indices
    distance: Array
    scale: Array
    nearest_own: Indices

    @property
    def ratio(self) -> Array:
        """distance / scale, (m,): below 1 if a sample is closer than real items are to each other there; 1 if both are 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.distance / self.scale
        return np.where(self.scale > 0.0, ratio, np.where(self.distance > 0.0, np.inf, 1.0))

    def order(self, rng: np.random.Generator) -> Indices:
        """(m,) indices of the samples, the most suspicious first; ties go to the larger scale, then at random."""
        tie_break = rng.random(len(self.item))
        return np.asarray(np.lexsort((tie_break, -self.scale, self.ratio)), dtype=np.intp)

    def with_limit(self, limit: float) -> NearestReal:
        """The same, where distances beyond the limit count as usual: their ratio is 1 or more."""
        scale = np.where(self.distance > limit, np.minimum(self.scale, self.distance), self.scale)
        return NearestReal(self.item, self.distance, scale, self.nearest_own)

    def take(self, rows: Numbers) -> NearestReal:
        """The nearest items of some of the samples. rows: (k,) indices."""
        return NearestReal(self.item[rows], self.distance[rows], self.scale[rows], self.nearest_own[rows])


class Distance(ABC):
    """Exact nearest neighbours among items that are all given at the start: real ones, samples, planted copies.

    Attributes:
        name: Its name in reports.
        resolution: About the smallest difference between two distances; 0 if they are continuous.
        at_once: Queries of one search where several searches take no longer than one of all queries; 0 where they do.
        scale: Used as the distance of each real item to its nearest one; None: the distance itself.
        limit: Distance beyond which no item is suspiciously near, however far apart real items are there.
        farthest: Distances (q,) of the queries of a search beyond which an item need not be found; None: any item is looked for.
        tell: Called in a long search with the share that is done.
    """

    name = ""
    resolution = 0.0
    at_once = 0
    scale: float | None = None
    limit: float = np.inf
    farthest: Array | None = None
    tell: Callable[[float], None] = staticmethod(lambda share: None)

    @abstractmethod
    def nearest(self, queries: Indices, pool: Indices) -> tuple[Indices, Array]:
        """The nearest item of the pool for each query and its distance, both (m,); items of its group do not count.

        Args:
            queries, pool: Indices of items; the pool is sorted.

        Returns:
            Indices and distances; -1 and inf for a query without any neighbour.
        """

    def with_groups(self, groups: Integers) -> Self:
        """The distance of the same items in other groups. groups: (n,) of any integers."""
        regrouped = copy.copy(self)
        regrouped.set_groups(groups)
        return regrouped

    def set_groups(self, groups: Integers) -> None:
        """Divide the items into groups."""
        self._group = group_numbers(groups)

    def limit_of(self, real: Array) -> float:
        """The `limit` for data in which real items have these distances (h,) to their nearest ones."""
        return np.inf

    def end_search(self) -> None:
        """Let go of what searches hold, once there will be no more."""
        self.farthest = None

    def within(self, queries: Indices, pool: Indices, without: Indices) -> Array:
        """An upper bound (m,) of the distance of each query to the pool, which is cheaper than the distance itself.

        Items of the group of `without`, (m,) one item for each query, do not count. The bound is inf if nothing is known.
        """
        return np.full(len(queries), np.inf)

    def are_same(self, queries: Indices, items: Indices) -> NDArray[np.bool_]:
        """Whether each query (m,) counts as identical to one item, (m,) indices, though the two are not equal."""
        return np.zeros(len(queries), dtype=np.bool_)

    def nearest_real(self, queries: Indices, pool: Indices) -> NearestReal:
        """The nearest item of each query with its scale. Without a neighbour it is the pool's first item, at inf."""
        item, distance = self.nearest(queries, pool)
        return self.with_scale(np.where(item < 0, pool[0], item), distance, pool)

    def with_scale(self, item: Indices, distance: Array, pool: Indices) -> NearestReal:
        """Add to items of the pool, and distances to them, the scale of each item in that pool."""
        if self.scale is not None:
            return NearestReal(item, distance, np.full(len(item), self.scale), np.full(len(item), -1, dtype=np.intp))
        different, where = np.unique(item, return_inverse=True)
        nearest_own, scale = self.nearest(different, pool)
        return NearestReal(item, distance, scale[where], nearest_own[where]).with_limit(self.limit)


class LabelPermutations:
    """The true labels of the pooled items (1: train) and `repeats` permutations of them, in which groups stay together.

    Labels are drawn only for groups that some sample is nearest to: the number of ones among them is hypergeometric, and
    their order is random.

    Attributes:
        rows: (1 + r, columns) labels of those groups, the true ones first.
        share: Share of the pooled items that are training items.
    """

    def __init__(
        self,
        train: Bools,
        groups: Int32s,
        pool: Indices,
        items: Indices,
        *,
        repeats: int = PERMUTATIONS,
        rng: np.random.Generator,
    ) -> None:
        """
        Args:
            train: (n,) or longer, whether each item is a training item.
            groups: The group of each item, of the same length.
            pool: Indices of the pooled items.
            items: Indices of the items whose labels will be looked up.
            repeats: Number of permutations, r.
            rng: Generator of the permutations.

        Raises:
            ValueError: A group has both labels.
        """
        labels = group_labels(groups, train, pool)
        column_groups = np.unique(groups[items])
        num_columns = len(column_groups)
        num_train = rng.hypergeometric(labels.num_train, labels.num_held_out, num_columns, size=repeats)  # (r,)
        # Ranks of all permutations at once would take a gigabyte for 100,000 groups
        permuted = (_is_chosen(rng.random(num_columns).argsort()[:count], num_columns) for count in num_train.tolist())
        self.rows = BitRows(chain([labels.is_train[column_groups]], permuted))  # (1 + r, groups)
        self.share = float(train[pool].mean())
        self._groups, self._column_groups = groups, column_groups

    def with_planted(self, row: int, items: Indices, repeats: int) -> LabelPermutations:
        """Labels in which permutation `row` (from 1), with these items as training items, replaces the true labels.

        The samples are independent of these labels, so only planted copies can be found. `repeats` other permutations are kept.
        """
        truth = self.rows.row(row)
        truth[self.columns(items)] = 1
        relabelled = copy.copy(self)
        relabelled.rows = self.rows.with_first(truth, without=row, count=repeats)
        return relabelled

    def are_train(self, items: Indices) -> Bools:
        """(k,) whether each item is a training item, by the true labels."""
        return self.rows.first(self.columns(items))

    def columns(self, items: Indices) -> Indices:
        """(k,) the column of `rows` that holds the label of each item."""
        return np.asarray(np.searchsorted(self._column_groups, self._groups[items]), dtype=np.intp)


def _is_chosen(chosen: Indices, count: int) -> Bools:
    """(count,) whether each of so many entries is among the chosen ones."""
    flags = np.zeros(count, dtype=np.bool_)
    flags[chosen] = True
    return flags


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Result of the scan.

    Attributes:
        p: p-value of the permutation test.
        k: Number of the most suspicious samples at which the statistic is largest.
        hits: How many of those are nearest to a training item.
        expected: How many would be by chance.
        decisive: Index of the distance with the largest statistic.
        order: (m,) the samples, the most suspicious first.
        alarm: Critical value: the statistic that a share of the permutations reaches, the significance level.
    """

    p: float
    k: int
    hits: int
    expected: float
    decisive: int
    order: Indices
    alarm: float = math.inf


def scan(
    nearests: Sequence[NearestReal], labels: LabelPermutations, rng: np.random.Generator, level: float = ALPHA
) -> ScanResult:
    """Run the scan, a test of the exchangeability of labels, over one or more distances of the same samples.

    The test statistic is the largest over distances and steps. All are compared with the same permutations, so the p-value of
    the largest is exact.

    Args:
        nearests: Nearest items of the samples, by each distance.
        labels: Labels of the real items, and permutations of them.
        rng: Generator that decides ties.
        level: Significance level, for the critical value.
    """
    orders = [nearest.order(rng) for nearest in nearests]
    tables = [
        scan_statistics(labels.rows, labels.columns(nearest.item[order]), _steps(nearest, order), labels.share)
        for nearest, order in zip(nearests, orders, strict=True)
    ]
    largest = np.stack([table.max(axis=1, initial=-np.inf) for table in tables])  # (distances, 1 + r)
    statistics = largest.max(axis=0)
    decisive = int(largest[:, 0].argmax())
    p, alarm = p_value(statistics), float(np.quantile(statistics[1:], 1.0 - level, method="higher"))
    nearest, order = nearests[decisive], orders[decisive]
    columns = labels.columns(nearest.item[order])
    every_step = np.arange(FIRST_STEP, int((nearest.ratio < 1.0).sum()) + 1)
    if not len(every_step):
        return ScanResult(p, 0, 0, 0.0, decisive, order, alarm)
    by_step = scan_statistics(BitRows([labels.rows.row(0)]), columns, every_step, labels.share)[0]
    k = int(every_step[by_step.argmax()])
    hits = int(labels.rows.first(columns[:k]).sum())
    return ScanResult(
        p=p,
        k=k,
        hits=hits,
        expected=k * labels.share,
        decisive=decisive,
        order=order,
        alarm=alarm,
    )


def p_value(statistics: Array) -> float:
    """p of the first of the statistics (1 + r,) against the others; a tolerance keeps ties in spite of rounding."""
    return float((statistics[1:] >= statistics[0] - 1e-9).sum() + 1) / len(statistics)


def _steps(nearest: NearestReal, order: Indices) -> Indices:
    """The numbers (g,), rising, of most suspicious samples at which the scan looks.

    Only samples that are closer to a real item than real items are to each other can be copies. With other distances, the scan would notice
    that any model leans a little to its training items.
    """
    return steps_to(int((nearest.ratio[order] < 1.0).sum()))


def steps_to(last_step: int) -> Indices:
    """4, 5, 6, ..., each 12% larger than the one before, and `last_step`; nothing if `last_step` is below 4."""
    if last_step < FIRST_STEP:
        return np.zeros(0, dtype=np.intp)
    count = int(np.log(max(last_step / FIRST_STEP, 1.0)) / np.log(STEP_GROWTH)) + 1
    return np.unique(np.append(np.round(FIRST_STEP * STEP_GROWTH ** np.arange(count)), last_step).astype(np.intp))


def scan_statistics(rows: BitRows, columns: Indices, steps: Indices, share: float) -> Array:
    """The signed root of the binomial deviance of the share of train labels at each step, (1 + r, g).

    It is a standardised count whose tails also hold for shares near 0 and 1: with 9 training items to 1 held-out item, the
    plain standardised count cannot exceed sqrt(k / 9). Several samples at one item count as one in its variance.
    """
    if not len(steps):
        return np.zeros((len(rows), 0))
    columns = columns[: steps[-1]]
    running_counts = (np.cumsum(part, axis=1, dtype=np.int32) for part in rows.parts(columns))
    hits = np.concatenate([counts[:, steps - 1] for counts in running_counts])  # (1 + r, g)
    square = np.cumsum(2 * count_earlier(columns) + 1)[steps - 1]  # sum of squared numbers of samples at one group
    hit_share = hits / steps
    effective = steps.astype(np.float64) ** 2 / square
    return deviance_root(hit_share, share) * np.sqrt(effective)


def deviance_root(hit_share: Array, share: float) -> Array:
    """sqrt(2 KL(hit_share || share)) of Bernoulli distributions, negative if hit_share is below share."""
    with np.errstate(divide="ignore", invalid="ignore"):
        hit_term = np.where(hit_share > 0.0, hit_share * np.log(hit_share / share), 0.0)
        miss_term = np.where(hit_share < 1.0, (1.0 - hit_share) * np.log((1.0 - hit_share) / (1.0 - share)), 0.0)
    return np.asarray(np.sign(hit_share - share) * np.sqrt(np.maximum(2.0 * (hit_term + miss_term), 0.0)))


def count_earlier(values: Indices) -> Indices:
    """How often each value (k,) occurs before its own position."""
    order = np.argsort(values, kind="stable")
    run_starts = np.flatnonzero(np.diff(values[order], prepend=-1))
    rank_in_run = np.arange(len(values)) - np.repeat(run_starts, np.diff(np.append(run_starts, len(values))))
    counts = np.empty(len(values), dtype=np.intp)
    counts[order] = rank_in_run
    return counts


@dataclass(frozen=True, slots=True)
class ReferenceResult:
    """Result of the reference test.

    Attributes:
        p: p-value of the permutation test.
        k: Number of the smallest ratios at which the statistic is largest.
        copied: How many samples among these are more than real items explain.
    """

    p: float
    k: int
    copied: float


def reference_test(
    samples: Array, real: Array, pairs: Indices, rng: np.random.Generator, repeats: int = PERMUTATIONS
) -> ReferenceResult:
    """Test whether samples are closer to real items than real items are to each other.

    This is more powerful than the scan if few items are held out, but not free of assumptions: a generator that is sharper
    or less varied than its data is closer without copying anything.

    A real item is closer to its nearest item than that is to others only if both are each other's nearest. If both pose as
    samples, they are equally close: pairs are permuted together, and count as one in the variance.

    Args:
        samples: (m,) ratios of samples; small is close.
        real: (h,) ratios of real items that pose as samples, each compared with all other real items.
        pairs: (h,) any integers, equal for two real items that are each other's nearest.
        rng: Generator of the permutations.
        repeats: Number of permutations, r.
    """
    ratios = np.concatenate([samples, real])
    order = np.lexsort((rng.random(len(ratios)), ratios))
    steps, share = steps_to(int((ratios < 1.0).sum())), len(samples) / len(ratios)
    if not len(steps):
        return ReferenceResult(1.0, 0, 0.0)
    pair = np.unique(pairs, return_inverse=True)[1]
    columns = np.concatenate([np.arange(len(samples)), len(samples) + pair])[order]
    unit = np.arange(len(samples) + int(pair.max(initial=-1)) + 1)
    # This number keeps the expected share of samples among the ratios
    permuted = unit < round(share * len(unit))
    rows = BitRows(chain([unit < len(samples)], (rng.permutation(permuted) for _ in range(repeats))))
    table = scan_statistics(rows, columns, steps, share)  # (1 + r, g)
    k = int(steps[int(table[0].argmax())])
    hits = int((columns[:k] < len(samples)).sum())
    expected = (k - hits) * share / (1.0 - share)  # samples that the real items among the first k explain
    return ReferenceResult(p_value(table.max(axis=1)), k, max(hits - expected, 0.0))


def bonferroni_p(*p_values: float) -> float:
    """p of several tests together: the smallest times their number (Bonferroni), at most 1."""
    return min(len(p_values) * min(p_values), 1.0)


def least_copies(share: float) -> int:
    """How many copies a scan needs to reach ALPHA if all of them rank first.

    share: Share of the real items that are training items: the chance of a hit.
    """
    return int(np.ceil(np.log(ALPHA / NUM_INDEPENDENT_STEPS) / np.log(share)))


def held_out_needed(copies: float, train: int) -> int:
    """How many held-out items make `copies` copies enough, with `train` training items; inverse of `least_copies`."""
    share = float((ALPHA / NUM_INDEPENDENT_STEPS) ** (1.0 / max(copies, 1e-9)))
    return int(np.ceil(train * (1.0 - share) / share)) if share > 0.0 else 10**12
