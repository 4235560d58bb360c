"""Anew: new data from your data: the right model for it, in the time you have, with measured evidence that it is new."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from anew.core.version import __version__

if TYPE_CHECKING:
    from anew.api.catalog import example, examples, settings
    from anew.api.measure import compare, evaluate, look, score, walk
    from anew.api.training import load, resume, train
    from anew.errors import AnewError, BudgetError, ConfigError, DataError, RunError, TrainingError, UserError
    from anew.sampling.interpolation import Walk
    from anew.sampling.model import Model
    from anew.sampling.samples import Samples
    from anew.sampling.scores import Scores

_HOMES = {
    "anew.api": (
        "compare",
        "evaluate",
        "example",
        "examples",
        "load",
        "look",
        "resume",
        "score",
        "settings",
        "train",
        "walk",
    ),
    "anew.sampling.model": ("Model",),
    "anew.sampling.samples": ("Samples",),
    "anew.sampling.scores": ("Scores",),
    "anew.sampling.interpolation": ("Walk",),
    "anew.errors": ("AnewError", "BudgetError", "ConfigError", "DataError", "RunError", "TrainingError", "UserError"),
}
_HOME = {name: home for home, members in _HOMES.items() for name in members}

__all__ = [
    "AnewError",
    "BudgetError",
    "ConfigError",
    "DataError",
    "Model",
    "RunError",
    "Samples",
    "Scores",
    "TrainingError",
    "UserError",
    "Walk",
    "__version__",
    "compare",
    "evaluate",
    "example",
    "examples",
    "load",
    "look",
    "resume",
    "score",
    "settings",
    "train",
    "walk",
]


if not TYPE_CHECKING:  # a checker of types that saw it would take every name, also a wrong one

    def __getattr__(name: str) -> Any:
        # PEP 562: torch is imported by the first thing that needs it, not by `import anew`.
        if name in _HOME:
            return getattr(importlib.import_module(_HOME[name]), name)
        raise AttributeError(f"module 'anew' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
