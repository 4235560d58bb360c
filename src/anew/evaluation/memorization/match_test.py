"""The match test: are more samples identical or nearly identical to training items than chance explains in this data?

The scan (see `copying_test`) compares labels only. It holds for any generator, but six copies prove nothing by it if nine of
thirteen real items are training items: six in a row happen by chance once in nine times. This test also counts how often
real items match each other.

- A *match* is an item whose distance to its nearest real item is at most a third (MATCH_RATIO) of that item's distance to the
  other real items. In d dimensions, one neighbour in 3^d is so close by chance. An identical item always matches, unless the
  nearest item has a twin: then a match says nothing, on either side.
- Real items pose as samples, each against all the others; their matches show what chance gives. In a family of variants that
  may be many, and then samples have many, too. For samples, only matches with training items count, since only these can be
  copies. Matches are ranked, those with isolated items first, and the test looks at the first 4, 5, 6, ... of them, equal ones
  together; which of them belong to samples is permuted. Several samples at one item count as one, and so do the passages
  of one text, on either side: texts that share a licence share all of its passages, and a glossary shares some with many.
- This assumes that samples match real items by chance no more often than real items match each other. The assumption is wrong
  for data without repeats (a list of all names) and a generator that reaches such items. Therefore the labels must agree. They do not
  if samples match held-out items as often as training items, for their numbers (LABEL_ALPHA), or if they match held-out items
  more often than real items match each other (HELD_OUT_ALPHA). In either case the labels must prove copying by themselves.

Legend for shapes: m samples, h real items that pose as samples, r permutations, c matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from anew.core.arrays import Int32s, Integers
from anew.evaluation.memorization.bit_rows import BitRows
from anew.evaluation.memorization.copying_test import (
    PERMUTATIONS,
    Array,
    Distance,
    Indices,
    LabelPermutations,
    NearestReal,
    bonferroni_p,
    p_value,
    scan_statistics,
    steps_to,
)
from anew.evaluation.memorization.item_groups import are_in
from anew.evaluation.memorization.thresholds import HELD_OUT_ALPHA, LABEL_ALPHA, MATCH_RATIO
from anew.functional.intervals import beta_cumulative

# Folds of stand-ins that are left out together: one fold made single variants look isolated; more take longer
STAND_IN_FOLDS = 16
AT_ONCE = 65_536  # real items from which stand-ins are chosen at once: bounds memory
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MatchResult:
    """Result of the match test.

    Attributes:
        p: p-value of the test.
        rows: Queries that match a training item by the distance with the smallest p, the closest ones first.
    """

    p: float
    rows: Indices


NO_MATCHES = MatchResult(1.0, np.zeros(0, dtype=np.intp))


@dataclass(frozen=True, slots=True)
class StandIns:
    """Real items that pose as samples.

    Attributes:
        items: (h,) their indices.
        units: (h,) numbers that are equal for stand-ins that pose as one sample: passages of one text.
    """

    items: Indices
    units: Indices

    def head(self, count: int) -> StandIns:
        """The first `count` of them."""
        return StandIns(self.items[:count], self.units[:count])

    def in_order(self) -> StandIns:
        """All of them, by rising index."""
        order = np.argsort(self.items)
        return StandIns(self.items[order], self.units[order])


def choose_stand_ins(pool: Indices, groups: Int32s, sizes: Indices, count: int, rng: np.random.Generator) -> StandIns:
    """Choose real items that pose as samples, in random order: of one group as many as samples have in one of theirs.

    Args:
        pool: Indices of the real items.
        groups: (n,) or longer, the group of each item.
        sizes: Numbers of samples in their groups.
        count: Number of stand-ins.
        rng: Generator of the choice.
    """
    items, is_new = _by_group(pool, groups[pool], rng)
    end = 0
    for part in _parts(len(is_new)):  # stretches of random ones of the sizes
        ends = end + np.cumsum(rng.choice(sizes, part.stop - part.start))
        is_new[ends[ends < len(is_new)]] = True
        end = int(ends[-1])
    units = np.cumsum(is_new, dtype=np.int32)
    units -= 1
    rank = np.arange(int(units[-1]) + 1, dtype=np.int32)
    rng.shuffle(rank)
    # Each unit has an item, so the first ones are among these
    early = np.concatenate([part.start + np.flatnonzero(rank[units[part]] < count) for part in _parts(len(units))])
    order = early[np.argsort(rank[units[early]], kind="stable")[:count]]
    return StandIns(items[order].astype(np.intp), units[order].astype(np.intp))


def _by_group(pool: Indices, groups: Int32s, rng: np.random.Generator) -> tuple[Indices, Flags]:
    """The items of one group after those of another, in random order within each, and whether each is the first of its group. Passages
    of a text are in random order, since those of a run would look too much alike where samples are shorter texts.

    groups: (n,) the group of each item of the pool.
    """
    is_new = np.ones(len(pool), dtype=np.bool_)
    if (groups[1:] > groups[:-1]).all():
        for part in _parts(len(pool)):  # so that all that is drawn later does not depend on this
            rng.random(part.stop - part.start)
        return pool, is_new
    order = np.lexsort((rng.random(len(pool)), groups))
    groups = groups[order]
    is_new[1:] = groups[1:] != groups[:-1]
    return pool[order], is_new


def _parts(count: int) -> list[slice]:
    """Parts of so many items, one after another."""
    return [slice(first, min(first + AT_ONCE, count)) for first in range(0, count, AT_ONCE)]


def nearest_of_stand_ins(distance: Distance, stand_ins: Indices, pool: Indices, groups: Int32s) -> NearestReal:
    """The nearest other real item of each stand-in, with the scale of that item when the group of the stand-in is left out.

    Where the ratio is below 1, the scale is exact. Elsewhere it may be an upper bound, which is at most the distance.
    Stand-ins whose group holds the nearest of their own nearest item are left out a fold at a time, so the scale may be a
    little too large.

    Args:
        distance: Distance over all items.
        stand_ins: (h,) indices of items of the pool.
        pool: Indices of the real items, rising.
        groups: (n,) or longer, the group of each item, by the grouping of the distance.
    """
    item, nearest_distance = distance.nearest(stand_ins, pool)
    item = np.where(item < 0, pool[0], item)
    nearest_own, scale = np.full(len(item), -1, dtype=np.intp), distance.within(item, pool, without=stand_ins)
    result = NearestReal(item, nearest_distance, scale, nearest_own)
    close = np.flatnonzero((result.ratio < 1.0) | _is_match(result))
    exact = distance.with_scale(item[close], nearest_distance[close], pool)
    nearest_own[close], scale[close] = exact.nearest_own, exact.scale
    queries = close[(exact.nearest_own >= 0) & (groups[exact.nearest_own] == groups[stand_ins[close]])]
    fold = np.unique(groups[stand_ins[queries]], return_inverse=True)[1] % STAND_IN_FOLDS
    for rows in (queries[fold == number] for number in range(STAND_IN_FOLDS)):
        other_rows = pool[~are_in(groups[pool], groups[stand_ins[rows]])]
        if len(rows) and len(other_rows):
            nearest_own[rows], scale[rows] = distance.nearest(item[rows], other_rows)
    return result


def nearests_of_stand_ins(
    distances: Sequence[Distance], stand_ins: StandIns, pool: Indices, groups: Int32s
) -> list[NearestReal]:
    """`nearest_of_stand_ins` by each distance, which gets its `limit` from these. The stand-ins are taken by rising index."""
    nearests = []
    for distance in distances:
        nearest = nearest_of_stand_ins(distance, stand_ins.in_order().items, pool, groups)
        distance.limit = distance.limit_of(nearest.distance)
        nearests.append(nearest.with_limit(distance.limit))
    return nearests


@dataclass(frozen=True)
class MatchTest:
    """The match test of one memorization test.

    Attributes:
        nearests: Nearest items of all queries, samples and planted copies, by each distance.
        groups: (q,) the group of each query.
        item_groups: (n,) or longer, the group of each real item.
        stand_ins: Real items that pose as samples.
        real: Nearest items of the stand-ins, by each distance.
        resolutions: Smallest difference between two distances, by each distance; 0 if they are continuous.
        num_pool, num_held_out: Numbers of all real items, and of held-out items among them.
        group_share: Share of the groups that are training items.
        label_level: Level at which the labels must confirm the test; 1: they only must not contradict it.
    """

    nearests: Sequence[NearestReal]
    groups: Int32s
    item_groups: Int32s
    stand_ins: StandIns
    real: Sequence[NearestReal]
    resolutions: Sequence[float]
    num_pool: int
    num_held_out: int
    group_share: float
    label_level: float = LABEL_ALPHA

    @cached_property
    def pairs(self) -> list[Indices]:
        """Numbers (h,) of the stand-ins, by each distance, that are equal for two which are each other's nearest."""
        return [mutual_pairs(self.stand_ins.items, nearest.item) for nearest in self.real]

    def run(
        self, rows: Indices, labels: LabelPermutations, rng: np.random.Generator, repeats: int = PERMUTATIONS
    ) -> MatchResult:
        """Run the test by each distance; p is the smallest of theirs, by Bonferroni.

        Args:
            rows: (m,) the queries that are samples.
            labels: Labels of the real items, the true ones in their first row.
            rng: Generator of the permutations.
            repeats: Number of permutations, r.
        """
        p_values = self._p_values(rows, labels, rng, repeats)
        if not p_values:
            return NO_MATCHES
        best = min(p_values, key=lambda i: p_values[i])
        p = bonferroni_p(*p_values.values())
        return MatchResult(p, self._matches(best, rows, labels))

    def p(
        self, rows: Indices, labels: LabelPermutations, rng: np.random.Generator, repeats: int = PERMUTATIONS
    ) -> float:
        """The p of `run`, in half the time."""
        p_values = self._p_values(rows, labels, rng, repeats)
        return bonferroni_p(*p_values.values()) if p_values else 1.0

    def _p_values(
        self, rows: Indices, labels: LabelPermutations, rng: np.random.Generator, repeats: int
    ) -> dict[int, float]:
        """p by each distance for which there are real items to compare with."""
        return {
            i: self._distance_p(i, rows, labels, rng, repeats) for i in range(len(self.real)) if len(self.real[i].item)
        }

    def _distance_p(
        self, distance: int, rows: Indices, labels: LabelPermutations, rng: np.random.Generator, repeats: int
    ) -> float:
        """p by one of the distances."""
        samples, real, resolution = self.nearests[distance].take(rows), self.real[distance], self.resolutions[distance]
        is_train = labels.are_train(samples.item)
        sample_rows, num_repeated = _independent_matches(samples, self.groups[rows], self.item_groups)
        real_rows = _independent_matches(real, self.stand_ins.units, self.item_groups)[0]
        train_rows = sample_rows[is_train[sample_rows]]
        ratio, is_sample = _rank_matches(samples.take(train_rows), real.take(real_rows), resolution, rng)
        steps = _ends_of_ties(steps_to(len(ratio)), ratio)
        if not len(steps):
            return 1.0
        num_samples = len(samples.item) - num_repeated
        # Whose nearest item is a training item by chance
        num_expected = num_samples * (1.0 - self.num_held_out / self.num_pool)
        share = num_expected / (num_expected + len(real.item))
        flags = _permute(is_sample, share, repeats, rng)  # (1 + r, c)
        table = scan_statistics(flags, np.arange(len(ratio)), steps, share)
        largest, best = table[1:].max(axis=1), int(table[0].argmax())
        results = []
        for step_index in (best, len(steps) - 1):  # all matches together give the labels a second chance to agree
            k = int(steps[step_index])
            matched_rows = sample_rows[_ratio(samples.take(sample_rows), resolution) <= ratio[k - 1]]
            num_real_matches = k - int(is_sample[:k].sum())
            p = p_value(np.append(table[0, step_index], largest))
            p_labels, agree = self._label_p(
                labels, samples.item[matched_rows], num_samples, len(real.item), num_real_matches
            )
            results.append(p if agree else max(p, p_labels))
        return min(results)

    def _label_p(
        self, labels: LabelPermutations, items: Indices, num_samples: int, num_real: int, real_matches: int
    ) -> tuple[float, bool]:
        """p of so many training items among the items that samples match, and whether the labels confirm the test.

        They do not if samples match held-out items more often than real items match each other.
        """
        column = labels.columns(items)
        is_train = labels.rows.first(column)
        num_train, num_held_out = (len(np.unique(column[members])) for members in (is_train, ~is_train))
        p = binomial_tail(num_train, num_train + num_held_out, self.group_share)
        pairs, real_pairs = num_samples * self.num_held_out, num_real * self.num_pool
        share = pairs / max(pairs + real_pairs, 1)
        is_usual = not num_held_out or binomial_tail(num_held_out, num_held_out + real_matches, share) > HELD_OUT_ALPHA
        return p, p <= self.label_level and is_usual

    def _matches(self, distance: int, rows: Indices, labels: LabelPermutations) -> Indices:
        """The queries that match training items, the closest ones first."""
        samples = self.nearests[distance].take(rows)
        is_train = labels.are_train(samples.item)
        matched = np.flatnonzero(_is_match(samples) & is_train)
        ratio = _ratio(samples.take(matched), self.resolutions[distance])
        return rows[matched[np.argsort(ratio, kind="stable")]]


def mutual_pairs(items: Indices, nearest: Indices) -> Indices:
    """(h,) numbers that are equal for two items which are each other's nearest. items, nearest: (h,) indices."""
    pairs = np.sort(np.stack([items, nearest], axis=1), axis=1)  # (h, 2)
    return np.asarray(np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1), dtype=np.intp)


def _rank_matches(
    samples: NearestReal, real: NearestReal, resolution: float, rng: np.random.Generator
) -> tuple[Array, Flags]:
    """Rank the matches of samples and of real items by their ratios, the least likely first.

    Returns:
        (c,) ratios, and (c,) whether each match belongs to a sample.
    """
    is_sample = np.arange(len(samples.item) + len(real.item)) < len(samples.item)
    ratio = np.concatenate([_ratio(samples, resolution), _ratio(real, resolution)])
    order = np.lexsort((rng.random(len(ratio)), ratio))
    return ratio[order], is_sample[order]


def _ends_of_ties(steps: Indices, ratio: Array) -> Indices:
    """Move each step on to the end of a run of equal ratios (c,), which rise: the order within a run is random."""
    return np.unique(np.searchsorted(ratio, ratio[steps - 1], side="right")) if len(steps) else steps


def _ratio(nearest: NearestReal, resolution: float) -> Array:
    """The ratio with half the resolution added to both distances.

    A sample that is identical to an item whose neighbours are one edit away says less than one that is one edit away from an item whose
    neighbours are eight edits away.
    """
    return (nearest.distance + resolution / 2.0) / (nearest.scale + resolution / 2.0)


def _independent_matches(nearest: NearestReal, groups: Integers, item_groups: Int32s) -> tuple[Indices, int]:
    """Rows of matches without those that others explain: the closest of each query's group and of each item's group.

    Args:
        nearest: Nearest items of the queries.
        groups: The group of each query, of the same length.

    Returns:
        Rows, and how many other rows match an item that a closer one matches.
    """
    matched = np.flatnonzero(_is_match(nearest))
    rows = matched[np.argsort(nearest.ratio[matched], kind="stable")]
    num_items = len(np.unique(nearest.item[rows]))
    for group in (item_groups[nearest.item], groups):
        rows = rows[np.sort(np.unique(group[rows], return_index=True)[1])]
    return rows, len(matched) - num_items


def _is_match(nearest: NearestReal) -> Flags:
    return nearest.ratio <= MATCH_RATIO * (1.0 + 1e-6)  # allows for the rounding of float32


def _permute(is_sample: Flags, share: float, repeats: int, rng: np.random.Generator) -> BitRows:
    """Whether each match belongs to a sample, (1 + r, c): the true row, then random ones with probability `share`."""
    return BitRows(chain([is_sample], (rng.random(len(is_sample)) < share for _ in range(repeats))))


def binomial_tail(hits: float, n: float, share: float) -> float:
    """The probability of at least `hits` hits among n, each with probability `share`. Both may be effective numbers."""
    return 1.0 if hits <= 0 else beta_cumulative(share, hits, n - hits + 1.0)
