"""Sets of embedded items, and the interface of metrics on them, which every modality has.

A file of this package with `EXPORT = FeatureMetric(...)` is found by `feature_metrics`; nothing else needs to know
its name.

Legend for shapes: n items of each set, d features.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace

import numpy as np

from anew.core.arrays import Integers
from anew.data.types import ItemT
from anew.evaluation import metrics
from anew.evaluation.measure import CLOSENESS, Questions
from anew.evaluation.metrics.bootstrap import RESAMPLES, interval, log_interval, resample
from anew.evaluation.metrics.distances import Rows
from anew.evaluation.metrics.duplicate_groups import KeysOf, duplicate_groups
from anew.evaluation.score import MetricSpec, Score

MAX_PAIR_ITEMS = 2_000  # items in metrics that compare all pairs: time and memory grow with the square
MAX_ITEMS_WITHOUT_SAVING = 300  # metrics of no more items take no time worth saving; only their intervals do

Statistic = Callable[[Rows, Rows], float]


@dataclass(frozen=True, slots=True)
class FeatureSets:
    """Embedded items, as many of each: (n, d).

    Attributes:
        samples: Features of the samples.
        held_out: Features of held-out items.
        train: Features of training items; they take the samples' place for the real baseline.
        naive: Features of samples of a naive generator, None without one.
        description: Description of the features, one clause ("128 features of the random-convolution embedding").
        noun: Name of the items, plural.
        counted: What a row of the samples is, singular: a sample, or a piece of one.
        detail: More detailed features of the first items, for classifiers; None if classifiers use these, too.
        tail: Share of training items at either end of a feature, beyond which means and variances of features limit it; 0 for no
            limit.
        views: Numbers of features that belong together, in order: a classifier takes those that tell more. () for all.
        sample_groups, held_out_groups, train_groups: Group number of each of the first items, at least MAX_PAIR_ITEMS or all;
            near-duplicates share one. None if that is not known.
    """

    samples: Rows
    held_out: Rows
    train: Rows
    naive: Rows | None = None
    _: KW_ONLY
    description: str = "features"
    noun: str = "items"
    counted: str = "sample"
    detail: FeatureSets | None = None
    tail: float = 0.0
    views: tuple[int, ...] = ()
    sample_groups: Integers | None = None
    held_out_groups: Integers | None = None
    train_groups: Integers | None = None

    @classmethod
    def with_duplicates(
        cls, rows: Iterable[Rows], items: Sequence[Sequence[ItemT]], keys_of: KeysOf[ItemT]
    ) -> FeatureSets:
        """Rows of samples, held-out and training items, with the groups of their near-duplicates.

        keys_of: Returns a number for each of some items, which near-duplicates share.
        """
        sample_groups, held_out_groups, train_groups = duplicate_groups(items, keys_of)
        return cls(*rows, sample_groups=sample_groups, held_out_groups=held_out_groups, train_groups=train_groups)

    def head(self, n: int) -> FeatureSets:
        """The first n items of each set."""
        naive = None if self.naive is None else self.naive[:n]
        detail = None if self.detail is None else self.detail.head(n)
        return replace(
            self,
            samples=self.samples[:n],
            held_out=self.held_out[:n],
            train=self.train[:n],
            naive=naive,
            detail=detail,
            sample_groups=None if self.sample_groups is None else self.sample_groups[:n],
            held_out_groups=None if self.held_out_groups is None else self.held_out_groups[:n],
            train_groups=None if self.train_groups is None else self.train_groups[:n],
        )


@dataclass(frozen=True, slots=True)
class FeatureComparison:
    """Inputs of a feature metric.

    Attributes:
        pair_sets: The first MAX_PAIR_ITEMS, for metrics that compare all pairs.
        seed: Seed of everything that is drawn.
        over: Whether a share of the evaluation's time is spent; intervals end early then.
    """

    sets: FeatureSets
    pair_sets: FeatureSets
    seed: int
    over: Callable[[float], bool]

    @classmethod
    def of(cls, sets: FeatureSets, seed: int, over: Callable[[float], bool]) -> FeatureComparison:
        return cls(sets, sets.head(MAX_PAIR_ITEMS), seed, over)

    def source(self, method: str, sets: FeatureSets | None = None) -> str:
        """The `source` of a score: data and method. sets: the items it was computed from, by default `self.sets`."""
        sets = sets or self.sets
        return f"samples against held-out {sets.noun}, {sets.description}, {method}"

    def baselines(self, sets: FeatureSets, statistic: Statistic) -> tuple[float, float | None]:
        """The statistic with training items, and with naive samples (None if too few), in the samples' place."""
        real = statistic(sets.train, sets.held_out)
        if sets.naive is None or len(sets.naive) < len(sets.samples):
            return real, None
        return real, statistic(sets.naive, sets.held_out)

    def bootstrap_score(
        self,
        spec: MetricSpec,
        statistic: Statistic,
        method: str,
        time_share: float,
        minimum: float = -np.inf,
        *,
        is_ratio: bool = False,
    ) -> Score:
        """The score of a statistic of all samples and held-out items: see `bootstrap_score`.

        Args:
            spec, statistic, minimum, is_ratio: See there.
            method: How it is computed, a clause for its source.
            time_share: Share of the evaluation's time after which the bootstrap stops.
        """
        sets = self.sets
        if sets.naive is not None and len(sets.naive) < len(sets.samples):
            sets = replace(sets, naive=None)
        return bootstrap_score(
            spec,
            statistic,
            sets,
            seed=self.seed,
            source=self.source(method),
            minimum=minimum,
            is_ratio=is_ratio,
            out_of_time=lambda: self.over(time_share),
        )


def bootstrap_score(
    spec: MetricSpec,
    statistic: Statistic,
    sets: FeatureSets,
    *,
    seed: int,
    source: str,
    minimum: float = -np.inf,
    repeats: int = RESAMPLES,
    is_ratio: bool = False,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Score:
    """The score of a statistic of samples and held-out items, such as a distance, with its interval and baselines.

    Args:
        statistic: Function of two sets of rows.
        sets: Rows of all sets; naive samples take the samples' place for the naive baseline.
        seed: Seed of the bootstrap.
        source: How the statistic was measured, one clause.
        minimum: Smallest possible value of the statistic, at which the interval is cut.
        repeats: Number of resamples.
        is_ratio: Whether it is a ratio, which varies by factors.
        out_of_time: Whether the bootstrap has to stop.
    """
    value = statistic(sets.samples, sets.held_out)
    resampled = resample(statistic, (sets.samples, sets.held_out), seed=seed, repeats=repeats, out_of_time=out_of_time)
    low, high = log_interval(value, resampled) if is_ratio else interval(value, resampled, minimum=minimum)
    return Score(
        spec,
        value,
        low=low,
        high=high,
        real_baseline=statistic(sets.train, sets.held_out),
        naive_baseline=None if sets.naive is None else statistic(sets.naive, sets.held_out),
        n=len(sets.samples),
        source=source,
    )


@dataclass(frozen=True, slots=True)
class FeatureMetric:
    """One computation on embedded items that gives one score or several.

    Attributes:
        label: Its name in a note that there was no time for it.
        compute: Yields its scores.
        order: Metrics with a lower order are computed first, so they are the last to be left out for lack of time.
        questions: The questions that it helps to answer.
    """

    label: str
    compute: Callable[[FeatureComparison], Iterator[Score]]
    order: int
    questions: Questions = CLOSENESS


def feature_metrics() -> list[FeatureMetric]:
    """The metrics that files of this package export, in the order in which they are computed."""
    modules = [
        importlib.import_module(f"{metrics.__name__}.{info.name}") for info in pkgutil.iter_modules(metrics.__path__)
    ]
    exports = [getattr(module, "EXPORT", None) for module in modules]
    return sorted((e for e in exports if isinstance(e, FeatureMetric)), key=lambda metric: (metric.order, metric.label))


def fidelity_scores(
    comparison: FeatureComparison, note_out_of_time: Callable[[str, Questions], None]
) -> Iterator[Score]:
    """Yield all scores of embedded items, the most important first.

    note_out_of_time: called with a metric for which time is up, and the questions that it helps to answer.
    """
    for metric in feature_metrics():
        if comparison.over(0.85) and len(comparison.sets.samples) > MAX_ITEMS_WITHOUT_SAVING:
            note_out_of_time(metric.label, metric.questions)
            continue
        yield from (replace(score, counted=comparison.sets.counted) for score in metric.compute(comparison))
