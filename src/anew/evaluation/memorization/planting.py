"""Detection limit of a memorization test: plant copies among the samples, at falling rates, and see whether the tests find them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, NamedTuple

import numpy as np

from anew.core.wording import percent
from anew.data.types import ItemT
from anew.evaluation.memorization import copying_test
from anew.evaluation.memorization.copying_test import (
    Indices,
    LabelPermutations,
    NearestReal,
    ReferenceResult,
    ScanResult,
)
from anew.evaluation.memorization.item_type import ItemType
from anew.evaluation.memorization.match_test import MatchResult, MatchTest
from anew.evaluation.memorization.result import VARIANTS, PlantedControl, Variant
from anew.evaluation.memorization.scan_picture import ScanPicture, picture_of, planted_curve
from anew.evaluation.memorization.thresholds import ALPHA, DETECTION_POWER, PLANTED_RATES

DRAWS = 20  # draws of planted copies at each rate; chosen: more would be surer and take longer
MIN_CAUGHT = round(DETECTION_POWER * DRAWS)  # draws of them in which a test must find the copies: 18
DRAW_PERMUTATIONS = 399  # permutations in each draw: enough for p = ALPHA, and there are up to 200 draws
PICTURE_SEED = 0  # arbitrary: a picture must not change from call to call


@dataclass
class Detection:
    """Counts how often the test found planted copies of one rate, until it is clear whether it finds them."""

    caught: int = 0
    missed: int = 0
    slowest: float = 0.0  # seconds of a draw so far

    @property
    def draws(self) -> int:
        return self.caught + self.missed

    @property
    def decided(self) -> bool:
        """Whether it is clear: after DRAWS draws, after too many misses for DETECTION_POWER, or after DRAWS / 2 without a miss."""
        none_missed = not self.missed and self.caught >= DRAWS // 2
        return self.draws >= DRAWS or self._misses_left() <= 0 or none_missed

    @property
    def needed_seconds(self) -> float:
        """Seconds until the earliest decision, if every further draw takes as long as the slowest so far."""
        return min(DRAWS - self.draws, self._misses_left()) * self.slowest

    def _misses_left(self) -> int:
        """How many further misses would decide that the rate is not caught."""
        return DRAWS - MIN_CAUGHT + 1 - self.missed

    def record(self, is_caught: bool, seconds: float = 0.0) -> None:
        """Count a draw. is_caught: whether the test found its copies; seconds: how long that took."""
        self.slowest = max(self.slowest, seconds)
        if is_caught:
            self.caught += 1
        else:
            self.missed += 1


@dataclass(frozen=True)
class Planting:
    """Planted copies of one memorization test.

    Attributes:
        nearests: Nearest items of samples, then exact copies, then those of each alteration, by each distance.
        labels: Labels of the real items.
        base: Samples that are not suspicious.
        match_test: Match test of the same queries.
        planted: (1 + a, e) training items that exact copies and those of each of a alterations are made of.
        num_samples: Number of samples.
        level: Significance level of each test.
    """

    nearests: Sequence[NearestReal]
    labels: LabelPermutations
    base: Indices
    match_test: MatchTest
    planted: Indices
    num_samples: int
    level: float = ALPHA

    def run(
        self, rng: np.random.Generator, num_visible: float, remaining: Callable[[], float], skipped: list[str]
    ) -> list[PlantedControl]:
        """Measure how often planted copies are caught, from the highest rate down to one that is not.

        All distances are reused.

        Args:
            rng: Generator of all draws.
            num_visible: Number of samples whose copies could be seen.
            remaining: Returns the seconds left, see `detect`.
            skipped: Receives the names of what there was no time for.
        """
        controls: list[PlantedControl] = []
        rows_of: dict[Variant, Sequence[int]] = {"exact": (0,), "disturbed": range(1, len(self.planted))}
        for variant in VARIANTS:
            for rate in reversed(PLANTED_RATES):
                count = round(rate * num_visible)
                if count < 1:
                    break
                caught = self._least_caught(rng, rows_of[variant], count, remaining)
                if caught is None:
                    skipped.append(f"{variant} planted copies of {percent(rate)} of the samples or fewer")
                    break
                controls.append(PlantedControl(variant, rate, caught))
                if caught < DETECTION_POWER:
                    break
        return controls

    def _least_caught(
        self, rng: np.random.Generator, planted_rows: Sequence[int], count: int, remaining: Callable[[], float]
    ) -> float | None:
        """The share of draws in which copies of the row that is hardest to notice are caught; None if time is too short.

        A mixture of them would be caught for those that are easy, and says nothing of copies that are all of one alteration.
        """
        least = 1.0
        for row in planted_rows:
            caught = detect(partial(self._is_found, rng, row, count), remaining)
            if caught is None:
                return None
            least = min(least, caught)
            if least < DETECTION_POWER:
                break
        return least

    def picture(self, scan: ScanResult, controls: Sequence[PlantedControl], num_visible: float) -> ScanPicture | None:
        """The picture of the scan, with exact copies planted at the lowest rate that was caught and at which this curve crosses
        the line; without them if it does at none, as where another test catches them."""
        nearest = self.nearests[scan.decisive]
        picture = picture_of(nearest.take(np.arange(self.num_samples)), scan, self.labels)
        if picture is None:
            return None
        # A generator of its own, so that measurements do not depend on the picture
        rng = np.random.default_rng(PICTURE_SEED)
        caught = (c.rate for c in controls if c.variant == "exact" and c.caught >= DETECTION_POWER)
        for rate in sorted(caught):
            _, rows = self._plant(rng, np.arange(self.num_samples), 0, max(1, round(rate * num_visible)))
            planted = planted_curve(nearest.take(rows), picture.ranks, scan.alarm, self.labels, rng)
            if planted.raises_alarm:
                return replace(picture, planted=planted.shares, planted_rate=rate)
        return picture

    def _is_found(self, rng: np.random.Generator, planted_row: int, count: int, truth_row: int) -> bool:
        """Whether either test, with fewer permutations, finds copies that are planted among the samples.

        Args:
            rng: Generator of the draw.
            planted_row: The row of `planted`.
            count: Number of copies.
            truth_row: The permutation of the labels that takes the place of the true labels.
        """
        chosen, rows = self._plant(rng, self.base, planted_row, count)
        truth = self.labels.with_planted(truth_row, self.planted[planted_row][chosen], DRAW_PERMUTATIONS)
        if self.match_test.p(rows, truth, rng, DRAW_PERMUTATIONS) <= self.level:
            return True
        if copying_test.scan([nearest.take(rows) for nearest in self.nearests], truth, rng).p > self.level:
            return False
        nearests = [nearest.take(rows) for nearest in self.match_test.nearests]
        return combined_p(0.0, least_reference(nearests, self.match_test, rng, DRAW_PERMUTATIONS)) <= self.level

    def _plant(self, rng: np.random.Generator, base: Indices, planted_row: int, count: int) -> tuple[Indices, Indices]:
        """The planted items that are used, and the rows of samples in which they replace some. base: those samples."""
        num_planted = self.planted.shape[1]
        rows = base.copy() if len(base) == self.num_samples else rng.choice(base, self.num_samples)
        chosen = rng.choice(num_planted, count, replace=False)
        rows[rng.choice(self.num_samples, count, replace=False)] = self.num_samples + planted_row * num_planted + chosen
        return chosen, rows


def detect(draw: Callable[[int], bool], remaining: Callable[[], float]) -> float | None:
    """The share of draws of one rate that are caught; None if too little time is left to decide.

    Args:
        draw: Plants copies and returns whether a test finds them; gets the number of the draw, from 1 on.
        remaining: Returns the seconds left; called before each draw.
    """
    detection = Detection()
    while not detection.decided:
        if remaining() <= detection.needed_seconds:
            return None
        begin = time.monotonic()
        is_caught = draw(1 + detection.draws)
        detection.record(is_caught, time.monotonic() - begin)
    return detection.caught / detection.draws


def least_reference(
    nearests: Sequence[NearestReal],
    match_test: MatchTest,
    rng: np.random.Generator,
    repeats: int = copying_test.PERMUTATIONS,
) -> ReferenceResult | None:
    """Run the reference test by each distance and return the one with the smallest p, by Bonferroni; None without real items.

    Args:
        nearests: Nearest items of samples, by each distance.
        match_test: Holds the real items that pose as samples, and the nearest items of these.
        rng: Generator of the permutations.
        repeats: Number of permutations.
    """
    results = [
        copying_test.reference_test(nearest.ratio, real.ratio, pairs, rng, repeats)
        for nearest, real, pairs in zip(nearests, match_test.real, match_test.pairs, strict=False)
        if len(real.item)
    ]
    if not results:
        return None
    best = min(results, key=lambda result: result.p)
    return ReferenceResult(min(best.p * len(results), 1.0), best.k, best.copied)


def combined_p(p: float, reference: ReferenceResult | None) -> float:
    """p of the scan and the reference test together: the larger one, since both must find something.

    Any model leans to its training items (to phrases, strokes), and with enough samples the scan notices that. Copies are also
    closer to real items than real items are to each other, which the reference test confirms.
    """
    return p if reference is None else max(p, reference.p)


def detection_limit(planted: Sequence[PlantedControl]) -> float | None:
    """The lowest rate at which both exact and disturbed copies were caught, as at all higher rates; None: at no rate."""
    exact, disturbed = (
        {p.rate for p in planted if p.variant == copies and p.caught >= DETECTION_POWER} for copies in VARIANTS
    )
    return min(exact & disturbed, default=None)


class PlantedItems(NamedTuple, Generic[ItemT]):
    """Copies to plant.

    Attributes:
        sources: (1 + a, count) the items that copies were made of; those of exact ones in row 0, then those of each of a alterations.
        exact: Exact copies.
        altered: Altered copies, those of one alteration after those of another.
    """

    sources: Indices
    exact: list[ItemT]
    altered: list[ItemT]


def make_planted(
    item_type: ItemType[ItemT], real: Sequence[ItemT], train: Indices, count: int, rng: np.random.Generator
) -> PlantedItems[ItemT]:
    """Make copies to plant: `count` exact ones, and as many of each alteration.

    Args:
        item_type: How copies are made.
        train: Indices of training items.
        count: Number of copies of each kind.
        rng: Generator of all choices.
    """
    num_kinds = 1 + len(item_type.alterations)
    sources = np.stack([rng.choice(train, count, replace=count > len(train)) for _ in range(num_kinds)])
    exact, *others = (
        [item_type.copied(real[i], real[j], rng) for i, j in zip(row, np.roll(row, 1), strict=True)] for row in sources
    )
    altered = [alter(item, rng) for alter, row in zip(item_type.alterations, others, strict=True) for item in row]
    return PlantedItems(sources, exact, altered)


def planted_copies(num_samples: int) -> int:
    """How many copies of each kind are planted for so many samples."""
    return math.ceil(PLANTED_RATES[-1] * num_samples)


def unsuspicious_rows(scan: ScanResult, match: MatchResult, num_samples: int) -> Indices:
    """The samples among which copies are planted: all but those that may be copies, by the usual level even of texts, since a few
    copies beside samples that nearly raise an alarm would raise it."""
    rows = scan.order[scan.k :] if scan.p <= ALPHA and scan.k < num_samples else scan.order
    unmatched = rows[~np.isin(rows, match.rows)] if match.p <= ALPHA else rows
    return unmatched if len(unmatched) else rows
