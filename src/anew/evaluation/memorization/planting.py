"""What an audit would have caught: copies are planted among the samples, at falling rates, and looked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.memorization import statistics
from anew.evaluation.memorization.result import CAUGHT, RATES, Planted, percent
from anew.evaluation.memorization.statistics import FOUND, Array, Excess, Indices, Labels, Nearest

DRAWS = 20  # of planted copies at each rate; a rate counts as caught where 9 of 10 are found
DRAW_PERMUTATIONS = 399
CLOSER = 0.25  # p of the reference test up to which samples count as closer than real items are to each other


@dataclass(frozen=True)
class Planting:
    """Planted copies of one audit. nears, labels: of its samples and planted items, by each distance. base: samples that are
    not suspicious. apart: see `Audit`. sources: (2, e) training items that exact and disturbed copies are made of, which
    follow the `samples` samples in this order."""

    nears: Sequence[Nearest]
    labels: Labels
    base: Indices
    apart: Sequence[Array]
    sources: NDArray[np.intp]
    samples: int

    def run(
        self, source: np.random.Generator, whole: float, left: Callable[[], float], notes: list[str]
    ) -> list[Planted]:
        """How often copies are caught, from the highest rate down to one that is not. Nothing is searched anew.

        whole: samples whose copies can be seen; left: the seconds left, see `caught_share`; what they were too few for
        joins the notes."""
        found: list[Planted] = []
        for which, kind in enumerate(("exact", "disturbed")):
            for rate in reversed(RATES):
                count = round(rate * whole)
                if count < 1:
                    break
                caught = caught_share(partial(self._draw, source, which, count), left)
                if caught is None:
                    notes.append(
                        f"Not measured: {kind} planted copies at {percent(rate)} of the samples or fewer in the copying "
                        "test (the time was spent)."
                    )
                    break
                found.append(Planted(kind, rate, caught))
                if caught < CAUGHT:
                    break
        return found

    def _draw(self, source: np.random.Generator, which: int, count: int, number: int) -> bool:
        """Plant `count` exact (which = 0) or disturbed (1) copies among the samples: are they found?"""
        size, every = self.sources.shape[1], self.samples
        rows = self.base.copy() if len(self.base) == every else source.choice(self.base, every)
        chosen = source.choice(size, count, replace=False)
        rows[source.choice(every, count, replace=False)] = every + which * size + chosen
        truth = self.labels.planted(number, self.sources[which][chosen], DRAW_PERMUTATIONS)
        mixed = [near.take(rows) for near in self.nears]
        if statistics.scan(mixed, truth, source).p > FOUND:
            return False
        return proved(0.0, least_excess(mixed, self.apart, source, DRAW_PERMUTATIONS)) <= FOUND


def caught_share(draw: Callable[[int], bool], left: Callable[[], float]) -> float | None:
    """The share of draws of one rate that are caught; None where the seconds left are too few to know.

    draw: plants and looks, given the number of the draw. The slowest so far tells how long the next ones take."""
    caught, missed, slowest = 0, 0, 0.0
    while caught + missed < DRAWS and missed <= (1.0 - CAUGHT) * DRAWS and (missed or caught < DRAWS // 2):
        fewest = min(DRAWS - caught - missed, int((1.0 - CAUGHT) * DRAWS) + 1 - missed)  # draws that settle it
        if left() <= fewest * slowest:
            return None
        begin = time.monotonic()
        seen = draw(1 + caught + missed)
        slowest = max(slowest, time.monotonic() - begin)
        caught, missed = caught + seen, missed + (not seen)
    return caught / (caught + missed)


def least_excess(
    made: Sequence[Nearest], apart: Sequence[Array], source: np.random.Generator, repeats: int = statistics.PERMUTATIONS
) -> Excess | None:
    """The reference test of each distance: the least p, times their number; None without real items to compare with."""
    tests = [statistics.reference_test(n.ratio, real, source, repeats) for n, real in zip(made, apart, strict=False)]
    if not tests:
        return None
    best = min(tests, key=lambda e: e.p)
    return Excess(min(best.p * len(tests), 1.0), best.k, best.copied)


def proved(p: float, excess: Excess | None) -> float:
    """p of the scan where samples are also closer to real items than those are to each other, else of that if larger.

    Any model that has learned from its training items leans to them, and with enough samples the scan sees it: phrases,
    strokes. Copies lie closer than that."""
    return p if excess is None or excess.p <= CLOSER else max(p, excess.p)


def limit_of(planted: Sequence[Planted]) -> float | None:
    """The least rate that was caught of both kinds, exact and disturbed; higher ones were then caught too."""
    caught = [{p.rate for p in planted if p.kind == kind and p.caught >= CAUGHT} for kind in ("exact", "disturbed")]
    return min(caught[0] & caught[1], default=None)
