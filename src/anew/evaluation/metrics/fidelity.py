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


def fidelity_scores(comparison: FeatureComparison, skip: Callable[[str, str], None]) -> Iterator[Score]:
    """Yield all scores of embedded items, the most important first. skip: called with (metric, reason) if time is up."""
    for metric in feature_metrics():
        if comparison.over(0.85) and len(comparison.sets.samples) > MAX_ITEMS_WITHOUT_SAVING:
            skip(metric.label, "out of time")
            continue
        yield from (replace(score, counted=comparison.sets.counted) for score in metric.compute(comparison))
