"""Arguments that a verb does not have: a sentence in place of Python's own, which knows neither the nearest name nor settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anew.errors import ConfigError, did_you_mean

P = ParamSpec("P")
R = TypeVar("R")


def names_unknown_arguments(verb: Callable[P, R]) -> Callable[P, R]:
    """A verb that raises ConfigError where it is called with an argument that it does not have."""
    names = list(inspect.signature(verb).parameters)

    @functools.wraps(verb)
    def checked(*values: P.args, **named_values: P.kwargs) -> R:
        unknown = next((name for name in named_values if name not in names), None)
        if unknown is not None:
            raise ConfigError(f"{verb.__name__}() has no argument `{unknown}`{_hint(unknown, names)}")
        return verb(*values, **named_values)

    return checked


def _hint(unknown: str, names: list[str]) -> str:
    from anew.workflows.list_settings import list_settings

    if "settings" in names and any(setting.name == unknown for setting in list_settings()):
        return f'; it is a setting: settings={{"{unknown}": ...}}'
    return did_you_mean(unknown, names)
