"""Fidelity and diversity of any items by their features: the metrics that every modality has."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import replace

from anew.evaluation import metrics
from anew.evaluation.metrics.feature_sets import MAX_ITEMS_WITHOUT_SAVING, FeatureComparison, FeatureMetric
from anew.evaluation.score import Score


def feature_metrics() -> list[FeatureMetric]:
    """The metrics that files of this package export, in the order in which they are computed."""
    modules = [
        importlib.import_module(f"{metrics.__name__}.{info.name}") for info in pkgutil.iter_modules(metrics.__path__)
    ]
    exports = [getattr(module, "EXPORT", None) for module in modules]
    return sorted((e for e in exports if isinstance(e, FeatureMetric)), key=lambda metric: (metric.order, metric.label))


def fidelity_scores(comparison: FeatureComparison, cut_off: Callable[[str], None]) -> Iterator[Score]:
    """Yield all scores of embedded items, the most important first. cut_off: called with the name of a metric for which time is up."""
    for metric in feature_metrics():
        if comparison.over(0.85) and len(comparison.sets.samples) > MAX_ITEMS_WITHOUT_SAVING:
            cut_off(metric.label)
            continue
        yield from (replace(score, counted=comparison.sets.counted) for score in metric.compute(comparison))
