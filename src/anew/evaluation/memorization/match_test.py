"""The match test: are more samples identical or nearly identical to training items than chance gives in this data?

The scan (see `copying_test`) compares labels alone. It holds for any generator, but six copies prove nothing by it where
nine of thirteen real items are training items: six in a row happen by chance once in nine times. This test counts what
real items do among themselves as well.

- A *match* is an item that lies within a third of the distance (NEAR) that its nearest real item has from all other real
  ones. In d dimensions chance gives one neighbour in 3^d so close; an identical item always is, but where the
  nearest item has a twin: then a match says nothing, on either side.
- Real items pose as samples, each against all the others: what they match is what chance gives. In a family of variants
  that may be much, and is so for samples too. Of samples only matches with training items count, since no others are copies.
  Matches with items that stand alone come first, and the test looks at the first 4, 5, 6, ... of them, equal ones together;
  which of them are samples' is permuted. Several samples at one item count as one.
- This assumes that samples match real items by chance no more often than real items match each other. That is wrong for
  data without repeats (a list of all names) and a generator that reaches them, so the labels must agree: as many matches
  with held-out items as with training items, for their numbers, refute it (AGREES), and so do more matches with held-out
  items than real items have among themselves (UNUSUAL). If the labels disagree, they have to prove copying by themselves.

Legend for shapes: m samples, h real items that pose as samples, r permutations, c matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.memorization.copying_test import (
    PERMUTATIONS,
    Array,
    Distance,
    Indices,
    LabelPermutations,
    NearestReal,
    p_value,
    scan_statistics,
    steps_to,
)
from anew.functional.intervals import beta_cumulative, clopper_pearson

NEAR = 1.0 / 3.0  # of an item's distance to its nearest real one, within which a sample is nearly identical to it
AGREES = 0.25  # p of the labels of the matched items up to which they agree that training items are preferred
UNUSUAL = 0.05  # p of as many matches with held-out items, up to which real matches do not explain those of samples
PARTS = 16  # that stand-ins are left out in: more would change their scales less, and take longer
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MatchResult:
    """Result of the match test.

    Attributes:
        p: p-value of the test.
        rows: Samples that match a training item.
        copied: How many of those chance does not explain; low, high: ends of its 95% interval.
    """

    p: float
    rows: Indices
    copied: float
    low: float
    high: float


NOTHING = MatchResult(1.0, np.zeros(0, dtype=np.intp), 0.0, 0.0, 0.0)


def nearest_of_stand_ins(distance: Distance, stand_ins: Indices, pool: Indices) -> NearestReal:
    """The nearest other real item of each of some items of the pool, with the scale that item has without the stand-in: at least
    that, since stand-ins that are each other's nearest are left out a part at a time."""
    near = distance.nearest_real(stand_ins, pool)
    nearest_own, scale = near.nearest_own.copy(), near.scale.copy()
    for rows in np.array_split(np.flatnonzero(near.nearest_own == stand_ins), PARTS):
        other_rows = np.setdiff1d(pool, stand_ins[rows])
        if len(rows) and len(other_rows):
            nearest_own[rows], scale[rows] = distance.nearest(near.item[rows], other_rows)
    return replace(near, nearest_own=nearest_own, scale=scale)


@dataclass(frozen=True)
class MatchTest:
    """The match test of one audit.

    Attributes:
        nearests: Nearest items of all queries, samples and planted copies, by each distance.
        real: Nearest items of the real items that pose as samples, by each distance.
        steps: The least difference between two distances, by each distance; 0 where they are continuous.
        n_pool, n_held_out: Real items in all, and those of them that were held out.
        group_share: Share of the groups that are training items.
    """

    nearests: Sequence[NearestReal]
    real: Sequence[NearestReal]
    steps: Sequence[float]
    n_pool: int
    n_held_out: int
    group_share: float

    def run(
        self, rows: Indices, labels: LabelPermutations, source: np.random.Generator, repeats: int = PERMUTATIONS
    ) -> MatchResult:
        """The least p of all distances, times their number. rows: (m,) the queries that are samples; labels: with the
        truth in their first row."""
        results = [
            self._of_distance(nearest.take(rows), real, step, labels, source, repeats)
            for nearest, real, step in zip(self.nearests, self.real, self.steps, strict=True)
            if len(real.item)
        ]
        best = min(results, key=lambda result: result.p, default=NOTHING)
        return replace(best, p=min(best.p * len(results), 1.0)) if results else NOTHING

    def _of_distance(
        self,
        samples: NearestReal,
        real: NearestReal,
        step: float,
        labels: LabelPermutations,
        source: np.random.Generator,
        repeats: int,
    ) -> MatchResult:
        is_train = labels.rows[0, labels.columns(samples.item)].astype(bool)
        sample_rows, n_repeated = _one_per_item(samples)
        ratio, is_sample = _matches(samples.take(sample_rows[is_train[sample_rows]]), real, step, source)
        steps = _ends_of_ties(steps_to(len(ratio)), ratio)
        if not len(steps):
            return NOTHING
        n_samples = len(samples.item) - n_repeated
        n_expected = n_samples * (1.0 - self.n_held_out / self.n_pool)  # chance divides them between both parts
        share = n_expected / (n_expected + len(real.item))
        flags = _permuted(is_sample, share, repeats, source)  # (1 + r, c)
        table = scan_statistics(flags, np.arange(len(ratio)), steps, share)
        largest, best = table[1:].max(axis=1), int(table[0].argmax())
        results = []
        for step_index in (best, len(steps) - 1):  # all matches are a second chance for the labels to agree
            k = int(steps[step_index])
            near = sample_rows[_ratio(samples.take(sample_rows), step) <= ratio[k - 1]]
            n_real_matches = k - int(is_sample[:k].sum())
            p = p_value(np.append(table[0, step_index], largest))
            p_labels, agree = self._label_p(labels, samples.item[near], n_samples, len(real.item), n_real_matches)
            results.append(p if agree else max(p, p_labels))
        return self._counted(min(results), samples, real, labels)

    def _label_p(
        self, labels: LabelPermutations, items: Indices, n_samples: int, n_real: int, real_matches: int
    ) -> tuple[float, bool]:
        """p of so many training items among those that samples match, and whether that is enough: not where samples match
        held-out items more often than real items match each other."""
        column = labels.columns(items)
        is_train = labels.rows[0, column].astype(bool)
        n_train, n_held_out = (len(np.unique(column[members])) for members in (is_train, ~is_train))
        p = binomial_tail(n_train, n_train + n_held_out, self.group_share)
        pairs, real_pairs = n_samples * self.n_held_out, n_real * self.n_pool
        share = pairs / max(pairs + real_pairs, 1)
        is_usual = not n_held_out or binomial_tail(n_held_out, n_held_out + real_matches, share) > UNUSUAL
        return p, p <= AGREES and is_usual

    def _counted(self, p: float, samples: NearestReal, real: NearestReal, labels: LabelPermutations) -> MatchResult:
        """Number of copies: samples that match training items, repeats included, less those that chance explains."""
        is_train = labels.rows[0, labels.columns(samples.item)].astype(bool)
        rows, n = np.flatnonzero(_is_match(samples) & is_train), len(samples.item)
        by_chance = n * float(_is_match(real).mean()) * (1.0 - self.n_held_out / self.n_pool)
        low, high = clopper_pearson(len(rows), n)
        copied, low, high = (max(count - by_chance, 0.0) for count in (float(len(rows)), low * n, high * n))
        return MatchResult(p, rows, copied, low, high)


def _matches(samples: NearestReal, real: NearestReal, step: float, source: np.random.Generator) -> tuple[Array, Flags]:
    """Matches of samples, each with another item, and of real items, the least likely first: (c,) ratios, (c,) whether a match
    is a sample's."""
    real = real.take(_one_per_item(real)[0])
    is_sample = np.arange(len(samples.item) + len(real.item)) < len(samples.item)
    ratio = np.concatenate([_ratio(samples, step), _ratio(real, step)])
    order = np.lexsort((source.random(len(ratio)), ratio))
    return ratio[order], is_sample[order]


def _ends_of_ties(steps: Indices, ratio: Array) -> Indices:
    """The steps, each moved on to where the ratios (c,), which rise, change: between equal ones only chance would be seen."""
    return np.unique(np.searchsorted(ratio, ratio[steps - 1], side="right")) if len(steps) else steps


def _ratio(near: NearestReal, step: float) -> Array:
    """The ratio with half a step added to both distances: to be identical to an item whose neighbours are one edit away
    says less than to be one edit away from an item whose neighbours are eight edits away."""
    return (near.distance + step / 2.0) / (near.scale + step / 2.0)


def _one_per_item(near: NearestReal) -> tuple[Indices, int]:
    """Rows that match their nearest item, the closest of those that match the same one; how many others there are."""
    rows = np.flatnonzero(_is_match(near))
    rows = rows[np.argsort(near.ratio[rows], kind="stable")]
    first = np.unique(near.item[rows], return_index=True)[1]
    return rows[first], len(rows) - len(first)


def _is_match(near: NearestReal) -> Flags:
    return near.ratio <= NEAR * (1.0 + 1e-6)  # a third of a distance in float32 is one


def _permuted(is_sample: Flags, share: float, repeats: int, source: np.random.Generator) -> NDArray[np.uint8]:
    """(1 + r, c) whether each match is a sample's: as it is, then each with the probability `share`."""
    drawn = source.random((repeats, len(is_sample))) < share
    return np.concatenate([is_sample[None], drawn]).astype(np.uint8)


def binomial_tail(hits: int, n: int, share: float) -> float:
    """The chance of at least so many hits among n, each with probability `share`."""
    return 1.0 if hits <= 0 else beta_cumulative(share, hits, n - hits + 1.0)
