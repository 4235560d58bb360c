"""Anew: new data from your data: the right model for it, in the time you have, with measured evidence that it is new.

    import anew

    model = anew.train("faces/", budget="10m")  # trains, samples and measures
    model.sample(16).save("new/")
    anew.load("runs/faces-1").sample(4, seed=1)

Make a model:     look, train, resume, load
Use it:           walk, again, export, serve, studio; model.sample, model.stream, model.score
Measure it:       evaluate, score, nearest, compare
Choose from:      settings, examples, example

A mistake of the caller raises anew.UserError, whose message is one sentence. `help(anew.train)` explains one function.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anew.core.version import __version__

if TYPE_CHECKING:
    from anew.api.catalog import example, examples, settings
    from anew.api.comparing import compare
    from anew.api.exporting import export
    from anew.api.measure import evaluate, look, nearest, score, walk
    from anew.api.sampling import again
    from anew.api.serving import serve
    from anew.api.studio_page import studio
    from anew.api.training import load, resume, train
    from anew.errors import AnewError, BudgetError, ConfigError, DataError, RunError, TrainingError, UserError
    from anew.exporting.base import Export
    from anew.sampling.interpolation import Walk
    from anew.sampling.model import Model
    from anew.sampling.samples import Samples
    from anew.sampling.scores import Scores

_HOMES = {
    **dict.fromkeys(
        ("AnewError", "BudgetError", "ConfigError", "DataError", "RunError", "TrainingError", "UserError"),
        "anew.errors",
    ),
    "Export": "anew.exporting.base",
    "Model": "anew.sampling.model",
    "Samples": "anew.sampling.samples",
    "Scores": "anew.sampling.scores",
    "Walk": "anew.sampling.interpolation",
}  # modules of what is not a verb

__all__ = [
    "AnewError",
    "BudgetError",
    "ConfigError",
    "DataError",
    "Export",
    "Model",
    "RunError",
    "Samples",
    "Scores",
    "TrainingError",
    "UserError",
    "Walk",
    "__version__",
    "again",
    "compare",
    "evaluate",
    "example",
    "examples",
    "export",
    "load",
    "look",
    "nearest",
    "resume",
    "score",
    "serve",
    "settings",
    "studio",
    "train",
    "walk",
]


if not TYPE_CHECKING:  # a checker of types that saw it would take every name, also a wrong one

    def __getattr__(name: str) -> object:
        # PEP 562: torch is imported by the first thing that needs it, not by `import anew`.
        if name in __all__:
            return getattr(importlib.import_module(_HOMES.get(name, "anew.api")), name)
        raise AttributeError(f"module 'anew' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
