"""Detection limit of an audit: copies are planted among the samples, at falling rates, and searched for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from anew.core.wording import percent
from anew.evaluation.memorization import copying_test
from anew.evaluation.memorization.copying_test import (
    FOUND,
    Array,
    Indices,
    LabelPermutations,
    NearestReal,
    ReferenceResult,
    ScanResult,
)
from anew.evaluation.memorization.match_test import MatchTest
from anew.evaluation.memorization.result import CAUGHT, RATES, PlantedControl
from anew.evaluation.memorization.scan_picture import ScanPicture, picture_of, planted_shares

DRAWS = 20  # of planted copies at each rate; a rate counts as caught where 9 of 10 are found
DRAW_PERMUTATIONS = 399  # of each draw: enough for p = 0.01, and there are up to 200 draws
PICTURE_SEED = 0
CLOSER = 0.25  # p of the reference test up to which samples count as closer than real items are to each other


@dataclass
class Detection:
    """Draws of planted copies at one rate: how often the test found them, until the answer is clear."""

    caught: int = 0
    missed: int = 0
    slowest: float = 0.0  # seconds of a draw so far

    @property
    def draws(self) -> int:
        return self.caught + self.missed

    @property
    def rate(self) -> float:
        return self.caught / self.draws

    @property
    def decided(self) -> bool:
        """After DRAWS; sooner where too many were missed to reach CAUGHT, or where none of half as many was."""
        none_missed = not self.missed and self.caught >= DRAWS // 2
        return self.draws >= DRAWS or self._misses_left() <= 0 or none_missed

    @property
    def needed_seconds(self) -> float:
        """The least time in which it could be decided, were every draw as slow as the slowest so far."""
        return min(DRAWS - self.draws, self._misses_left()) * self.slowest

    def _misses_left(self) -> int:
        """Number of further misses that would decide that the rate is not caught."""
        return int((1.0 - CAUGHT) * DRAWS) + 1 - self.missed

    def record(self, is_caught: bool, seconds: float = 0.0) -> None:
        """Count a draw. is_caught: whether the test found its copies; seconds: how long that took."""
        self.slowest = max(self.slowest, seconds)
        if is_caught:
            self.caught += 1
        else:
            self.missed += 1


@dataclass(frozen=True)
class Planting:
    """Planted copies of one audit.

    Attributes:
        nearests: Nearest items of samples, then exact, then disturbed copies, by each distance.
        labels: Labels of the real items.
        base: Samples that are not suspicious.
        ratios: Ratios of real items that pose as samples, by each distance.
        match_test: Match test of the same queries.
        planted: (2, e) training items that exact and disturbed copies are made of.
        n_samples: How many samples there are.
    """

    nearests: Sequence[NearestReal]
    labels: LabelPermutations
    base: Indices
    ratios: Sequence[Array]
    match_test: MatchTest
    planted: NDArray[np.intp]
    n_samples: int

    def run(
        self, source: np.random.Generator, n_visible: float, remaining: Callable[[], float], skipped: list[str]
    ) -> list[PlantedControl]:
        """Share of planted copies that is caught, from the highest rate down to one that is not. Reuses all distances.

        Args:
            source: Of all that is drawn.
            n_visible: Samples whose copies can be seen.
            remaining: The seconds left, see `detect`.
            skipped: Is extended by what there was no time for.
        """
        controls: list[PlantedControl] = []
        for planted_row, variant in enumerate(("exact", "disturbed")):
            for rate in reversed(RATES):
                count = round(rate * n_visible)
                if count < 1:
                    break
                caught = detect(partial(self._is_found, source, planted_row, count), remaining)
                if caught is None:
                    skipped.append(f"{variant} planted copies of {percent(rate)} of the samples or fewer")
                    break
                controls.append(PlantedControl(variant, rate, caught))
                if caught < CAUGHT:
                    break
        return controls

    def picture(self, scan: ScanResult, controls: Sequence[PlantedControl]) -> ScanPicture | None:
        """The scan as a picture, with exact copies planted at the least rate that was caught, or else the highest."""
        of_samples = self.nearests[scan.decisive].take(np.arange(self.n_samples))
        picture = picture_of(of_samples, scan, self.labels)
        exact = [control for control in controls if control.kind == "exact"]
        if picture is None or not exact:
            return picture
        rate = min((control.rate for control in exact if control.caught >= CAUGHT), default=exact[0].rate)
        source = np.random.default_rng(PICTURE_SEED)  # of its own: what is measured does not depend on what is drawn
        chosen, rows = self._plant(source, 0, max(1, round(rate * self.n_samples)))
        truth = self.labels.planted(1, self.planted[0][chosen], DRAW_PERMUTATIONS)
        shares = planted_shares(self.nearests[scan.decisive].take(rows), picture.ranks, truth, source)
        return replace(picture, planted=shares, planted_rate=rate)

    def _is_found(self, source: np.random.Generator, planted_row: int, count: int, truth_row: int) -> bool:
        """Plant `count` exact (planted_row 0) or disturbed (1) copies: does either test find them, with fewer permutations?
        truth_row: the permutation of the labels that is the truth."""
        chosen, rows = self._plant(source, planted_row, count)
        truth = self.labels.planted(truth_row, self.planted[planted_row][chosen], DRAW_PERMUTATIONS)
        if self.match_test.run(rows, truth, source, DRAW_PERMUTATIONS).p <= FOUND:
            return True
        nearests = [nearest.take(rows) for nearest in self.nearests]
        if copying_test.scan(nearests, truth, source).p > FOUND:
            return False
        return combined_p(0.0, least_reference(nearests, self.ratios, source, DRAW_PERMUTATIONS)) <= FOUND

    def _plant(self, source: np.random.Generator, planted_row: int, count: int) -> tuple[Indices, Indices]:
        """The planted items to use, and the rows of samples with some replaced by them."""
        n_planted = self.planted.shape[1]
        rows = self.base.copy() if len(self.base) == self.n_samples else source.choice(self.base, self.n_samples)
        chosen = source.choice(n_planted, count, replace=False)
        rows[source.choice(self.n_samples, count, replace=False)] = self.n_samples + planted_row * n_planted + chosen
        return chosen, rows


def detect(draw: Callable[[int], bool], remaining: Callable[[], float]) -> float | None:
    """The share of draws of one rate that are caught; None where the seconds that remain are too few to know.

    draw: plants and looks, given the number of the draw from 1 on; the time is asked for before each."""
    detection = Detection()
    while not detection.decided:
        if remaining() <= detection.needed_seconds:
            return None
        begin = time.monotonic()
        is_caught = draw(1 + detection.draws)
        detection.record(is_caught, time.monotonic() - begin)
    return detection.rate


def least_reference(
    nearests: Sequence[NearestReal],
    ratios: Sequence[Array],
    source: np.random.Generator,
    repeats: int = copying_test.PERMUTATIONS,
) -> ReferenceResult | None:
    """The reference test of each distance: the least p, times their number; None without real items to compare with."""
    results = [
        copying_test.reference_test(nearest.ratio, real, source, repeats)
        for nearest, real in zip(nearests, ratios, strict=False)
    ]
    if not results:
        return None
    best = min(results, key=lambda result: result.p)
    return ReferenceResult(min(best.p * len(results), 1.0), best.k, best.copied)


def combined_p(p: float, reference: ReferenceResult | None) -> float:
    """p of the scan where samples are also closer to real items than those are to each other, else of that if larger.

    Any model that has learned from its training items leans to them, and with enough samples the scan sees it: phrases,
    strokes. Copies lie closer than that."""
    return p if reference is None or reference.p <= CLOSER else max(p, reference.p)


def detection_limit(planted: Sequence[PlantedControl]) -> float | None:
    """The least rate that was caught of both kinds, exact and disturbed; higher ones were then caught too."""
    exact, disturbed = (
        {p.rate for p in planted if p.kind == kind and p.caught >= CAUGHT} for kind in ("exact", "disturbed")
    )
    return min(exact & disturbed, default=None)
