"""Closeness and variety of any items by their features: the figures that every kind of data has.

Each figure compares n samples with n held-out items. Its floor puts n training items in the samples' place, its ceiling n
items of a naive generator. What a feature is, the kind of data says (`Evaluation.embedder`) or the user.

Legend for shapes: n items of each set, d features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anew.evaluation.metrics.statistics import (
    Grams,
    Score,
    frechet_distance,
    interval,
    mean_interval,
    median_bandwidth,
    nearest_others,
    neighbourhood,
    rbf_kernel,
    resample,
    vendi_score,
)
from anew.evaluation.metrics.two_sample import two_sample_auc

PAIRS_MOST = 2_000  # items of figures that compare all pairs: time and memory grow with the square
QUICK = 300  # figures of so few items take no time worth saving; only their intervals do
TWINS = 0.01  # of held-out items have a nearest other that is as close as what counts as a repeated sample


@dataclass(frozen=True, slots=True)
class Features:
    """Embedded items, as many of each: (n, d). naive: of a generator that knows next to nothing, None without one.

    what: of the features, one clause for readers ("128 features of the random-convolution embedding"); noun: of items.
    """

    samples: NDArray[Any]
    held: NDArray[Any]
    train: NDArray[Any]
    naive: NDArray[Any] | None = None
    what: str = "features"
    noun: str = "items"

    def first(self, n: int) -> Features:
        """The first n of each."""
        naive = None if self.naive is None else self.naive[:n]
        return Features(self.samples[:n], self.held[:n], self.train[:n], naive, self.what, self.noun)


Over = Callable[[float], bool]  # whether a share of the time is spent


class Likeness:
    """All figures of some features. over: whether a share of the evaluation's time is spent; leave_out: (what, why)."""

    def __init__(self, features: Features, seed: int, over: Over, leave_out: Callable[[str, str], None]) -> None:
        self.all, self.few = features, features.first(PAIRS_MOST)
        self.seed, self.over, self.leave_out = seed, over, leave_out

    def scores(self) -> Iterator[Score]:
        """The most important first; what there is no time for is left out by name."""
        steps: list[tuple[str, Callable[[], Iterator[Score]]]] = [
            ("Fréchet distance", self._frechet),
            ("kernel distance", self._kernel),
            ("precision, recall, density and coverage", self._neighbours),
            ("diversity", self._diversity),
            ("repeated samples", self._repeats),
            ("how well a classifier tells samples", self._classifier),
        ]
        for name, step in steps:
            if self.over(0.85) and len(self.all.samples) > QUICK:
                self.leave_out(name, "the time was spent")
                continue
            yield from step()

    def _source(self, what: str) -> str:
        return f"samples against held-out {self.all.noun}, {self.all.what}, {what}"

    def _ceiling(self, f: Features, figure: Callable[[NDArray[Any], NDArray[Any]], float]) -> float | None:
        return None if f.naive is None or len(f.naive) < len(f.samples) else figure(f.naive, f.held)

    def _frechet(self) -> Iterator[Score]:
        f, n = self.all, len(self.all.samples)
        value = frechet_distance(f.samples, f.held)
        drawn = resample(frechet_distance, (f.samples, f.held), seed=self.seed, late=lambda: self.over(0.65))
        low, high = interval(value, drawn)
        floor, ceiling = frechet_distance(f.train, f.held), self._ceiling(f, frechet_distance)
        source = self._source("Gaussians fitted")
        yield Score("frechet_distance", value, _least(low, 0.0), high, floor, "lower", n, source, ceiling)

    def _kernel(self) -> Iterator[Score]:
        f, n = self.few, len(self.few.samples)
        width = median_bandwidth(f.train)

        def kernel(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
            return rbf_kernel(a, b, width)

        grams = Grams.of(f.samples, f.held, kernel)

        def against(a: NDArray[Any], b: NDArray[Any]) -> float:
            return Grams(kernel(a, a), grams.bb, kernel(a, b)).distance()

        value, source = grams.distance(), np.random.default_rng(self.seed)
        weights = source.multinomial(n, np.full(n, 1.0 / n), size=(2, 100)).astype(np.float64)
        low, high = interval(value, grams.weighted(weights[0], weights[1]))
        p = grams.permuted(source)
        said = self._source(
            f"unbiased squared maximum mean discrepancy, RBF kernel as wide as the median distance, permutation p = {p:.2g}"
        )
        floor, ceiling = against(f.train, f.held), self._ceiling(f, against)
        yield Score("kernel_distance", value, low, high, floor, "lower", n, said, ceiling, p)

    def _neighbours(self) -> Iterator[Score]:
        f = self.few
        made, real = neighbourhood(f.held, f.samples), neighbourhood(f.held, f.train)
        naive = None if f.naive is None else neighbourhood(f.held, f.naive)
        for name in ("precision", "recall", "clipped", "coverage"):
            rows, floor = getattr(made, name), float(getattr(real, name).mean())
            ceiling = None if naive is None else float(getattr(naive, name).mean())
            low, high = mean_interval(rows, self.seed)
            clipped = name == "clipped"
            said = self._source("5 nearest neighbours" + ", radii and counts clipped" * clipped)
            called = "density" if clipped else name
            value, n = float(rows.mean()), len(f.samples)
            yield Score(called, value, low, high, floor, "higher", n, said, ceiling)

    def _diversity(self) -> Iterator[Score]:
        f = self.all

        def ratio(a: NDArray[Any], b: NDArray[Any]) -> float:
            return vendi_score(a) / vendi_score(b)

        value = ratio(f.samples, f.held)
        drawn = resample(ratio, (f.samples, f.held), seed=self.seed, late=lambda: self.over(0.85))
        low, high = interval(value, drawn)
        source = self._source("ratio of Vendi scores (effective number of different items)")
        floor, ceiling = ratio(f.train, f.held), self._ceiling(f, ratio)
        yield Score("diversity", value, low, high, floor, "higher", len(f.samples), source, ceiling)

    def _repeats(self) -> Iterator[Score]:
        """Samples that another sample repeats: as close to it as the closest hundredth of held-out items are to another."""
        f = self.few
        usual = float(np.quantile(nearest_others(f.held), TWINS))
        rows = (nearest_others(f.samples) <= usual).astype(np.float64)
        low, high = mean_interval(rows, self.seed)

        def share(a: NDArray[Any], _: NDArray[Any]) -> float:
            return float((nearest_others(a) <= usual).mean())

        said = self._source(
            f"closer to another sample than {1 - TWINS:.0%} of held-out {f.noun} are to another of them"
        )
        floor, ceiling = share(f.train, f.held), self._ceiling(f, share)
        yield Score("duplicate_share", float(rows.mean()), low, high, floor, "lower", len(rows), said, ceiling)

    def _classifier(self) -> Iterator[Score]:
        f = self.few
        told = two_sample_auc(f.samples, f.held, self.seed)

        def told_apart(a: NDArray[Any], b: NDArray[Any]) -> float:
            return two_sample_auc(a, b, self.seed).auc

        floor, ceiling = told_apart(f.train, f.held), self._ceiling(f, told_apart)
        said = self._source("a kernel classifier trained on one half and read on the other, 0.5: not to be told apart")
        yield Score("two_sample_auc", told.auc, told.low, told.high, floor, "lower", told.n, said, ceiling)


def _least(value: float | None, least: float) -> float | None:
    return None if value is None else max(value, least)
