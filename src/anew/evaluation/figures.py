"""Names of all figures that a report can hold, so that a misspelt one is noticed before anything is measured."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from anew.evaluation import memorization, metrics, modalities
from anew.evaluation.metrics.bits import REFERENCES, UNITS, bits_spec
from anew.evaluation.metrics.item_statistics import ItemStatistic
from anew.evaluation.score import MetricSpec


def figure_names() -> set[str]:
    """The names of metrics at the top level of modules, and of bits per unit with their reference rows."""
    bits_names = {bits_spec(unit, reference).name for unit in UNITS for reference in ("", *REFERENCES)}
    return bits_names | {spec.name for spec in _specs()}


def figure_titles() -> dict[str, str]:
    """The names of metrics at the top level of modules, by their titles in reports in lower case."""
    return {spec.title.lower(): spec.name for spec in _specs()}


def _specs() -> Iterator[MetricSpec]:
    for package in (metrics, modalities, memorization):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            yield from _specs_in(vars(importlib.import_module(module.name)).values())


def is_figure(name: str, names: set[str]) -> bool:
    """Whether a report can hold a figure of this name, which may be the bits of a named part of a mixed model."""
    return name in names or any(name.startswith(f"{bits_spec(unit).name}_") for unit in UNITS)


def _specs_in(values: object) -> Iterator[MetricSpec]:
    for value in values if hasattr(values, "__iter__") else ():
        if isinstance(value, MetricSpec):
            yield value
        elif isinstance(value, ItemStatistic):
            yield value.spec
