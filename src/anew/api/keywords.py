"""Arguments that a verb does not have, or needs: a sentence in place of Python's own, which knows neither the nearest name nor settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from anew.errors import ConfigError, closest_name, did_you_mean

OF_COMMANDS = frozenset({"started"})  # arguments that the command line gives, which are not offered

P = ParamSpec("P")
R = TypeVar("R")


def names_unknown_arguments(verb: Callable[P, R]) -> Callable[P, R]:
    """A verb that raises ConfigError where it is called with an argument that it does not have, or without one that it needs."""
    parameters = inspect.signature(verb).parameters
    names = list(parameters)
    required = {name for name, parameter in parameters.items() if parameter.default is parameter.empty}

    @functools.wraps(verb)
    def checked(*values: P.args, **named_values: P.kwargs) -> R:
        unknown = next((name for name in named_values if name not in names), None)
        if unknown is not None:
            raise ConfigError(f"{verb.__name__}() has no argument `{unknown}`{_hint(unknown, verb.__name__, names)}")
        missing = next((n for n in names[len(values) :] if n in required and n not in named_values), None)
        if missing is not None:
            raise ConfigError(
                f"{verb.__name__}() needs the argument `{missing}`; help(anew.{verb.__qualname__}) says what it is"
            )
        return verb(*values, **named_values)

    return checked


def _hint(unknown: str, verb: str, names: Iterable[str]) -> str:
    from anew.workflows.list_settings import setting_names

    arguments, settings = set(names) - OF_COMMANDS, setting_names(verb)
    if unknown in settings:
        return f'; it is a setting: settings={{"{unknown}": ...}}'
    closest_setting = closest_name(unknown, settings)
    if closest_setting is not None and closest_name(unknown, arguments) is None:
        return f'; did you mean the setting {closest_setting!r}? settings={{"{closest_setting}": ...}}'
    return did_you_mean(unknown, arguments)
