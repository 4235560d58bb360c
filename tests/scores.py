"""Scores of metrics by name, for tests."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from anew.evaluation import metrics, modalities
from anew.evaluation.memorization import result
from anew.evaluation.metrics.bits import REFERENCES, UNITS, bits_spec
from anew.evaluation.score import MetricSpec, Score


@cache
def catalogue() -> dict[str, MetricSpec]:
    """Every metric by its name."""
    modules = [result]
    for package in (metrics, modalities):
        infos = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        modules += [importlib.import_module(module.name) for module in infos]
    specs = {value for module in modules for value in vars(module).values() if isinstance(value, MetricSpec)}
    specs |= {bits_spec(unit, reference) for unit in UNITS for reference in ("", *REFERENCES)}
    by_name = {spec.name: spec for spec in specs}
    assert len(by_name) == len(specs), "two metrics have one name"
    return by_name


def score(
    name: str,
    value: float,
    low: float | None = None,
    high: float | None = None,
    real_baseline: float | None = None,
    **more: Any,
) -> Score:
    """A score of a metric that exists, or of one of that name that nobody knows."""
    spec = catalogue().get(name) or MetricSpec(name, name.replace("_", " ").capitalize())
    return Score(spec, value, low=low, high=high, real_baseline=real_baseline, **more)
