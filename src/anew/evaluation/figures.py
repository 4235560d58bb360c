"""The metrics of all figures that a report can hold, but for those of named parts of a mixed model."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from anew.evaluation import memorization, metrics, modalities
from anew.evaluation.metrics.bits import REFERENCES, UNITS, bits_spec
from anew.evaluation.metrics.item_statistics import ItemStatistic
from anew.evaluation.score import MetricSpec


def all_specs() -> list[MetricSpec]:
    """The metrics at the top level of modules, and bits per unit with their reference rows; each name once."""
    bits = [bits_spec(unit, reference) for unit in UNITS for reference in ("", *REFERENCES)]
    return list({spec.name: spec for spec in (*bits, *_specs())}.values())


def _specs() -> Iterator[MetricSpec]:
    for package in (metrics, modalities, memorization):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            yield from _specs_in(vars(importlib.import_module(module.name)).values())


def _specs_in(values: object) -> Iterator[MetricSpec]:
    for value in values if hasattr(values, "__iter__") else ():
        if isinstance(value, MetricSpec):
            yield value
        elif isinstance(value, ItemStatistic):
            yield value.spec
