"""Settings: frozen dataclasses whose fields say what they mean and which values they may take; from JSON and from text.

A setting exists only where it acts. Its type and its range are checked when it is set.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias, TypeVar, cast

from anew.errors import ConfigError, closest_name, did_you_mean, shorten

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C")
V = TypeVar("V")
SettingValue: TypeAlias = str | int | float | bool
MAX_LISTED = 12  # settings that a sentence names, about three lines; of more it names the command that lists them
MAX_INT = 2**63 - 1  # largest whole number: others keep it in 64 bits
EXACT_INT = 2**53  # up to here a float, and so a number in JSON, stands for one whole number only
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", tuple: "a list"}


@dataclass(frozen=True, slots=True)
class Setting:
    """Meaning and allowed values of a setting.

    Attributes:
        help: One line for the list of settings.
        unit: What a number counts, for sentences.
        low: Least number, inclusive.
        high: Largest number, inclusive.
        choices: The texts allowed; empty: any.
        why_not: Says why a text is not allowed, one clause; None: it is. Without it, any is.
    """

    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    why_not: Callable[[str], str | None] | None = None

    def check(self, name: str, value: object) -> None:
        """Raise ConfigError where the value, or one in a tuple of them, is not allowed."""
        if isinstance(value, tuple):
            for element in value:
                self.check(name, element)
            return
        if self.choices and value not in self.choices:
            raise ConfigError(f"{name}={value!r} is not allowed{did_you_mean(str(value), self.choices)}", name)
        reason = self.why_not(value) if self.why_not and isinstance(value, str) else None
        if reason is not None:
            raise ConfigError(f"{name}={shorten(value)} is not allowed; {reason}", name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if isinstance(value, float) and not math.isfinite(value):  # NaN is neither below nor above a bound
            raise ConfigError(f"{name}={value!r} is not allowed; give a finite number", name)
        below = self.low is not None and value < self.low
        above = self.high is not None and value > self.high
        if below or above:
            raise ConfigError(f"{name}={value!r} is out of range; give {self._range()}", name)

    def _range(self) -> str:
        low, high = ("" if bound is None else f"{bound:,.10g}" for bound in (self.low, self.high))
        bounds = f"at least {low}" if low else f"at most {high}"
        if low and high:
            bounds = f"{low} to {high}"
        return f"{bounds} {self.unit}".rstrip()


def setting(
    default: V,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    why_not: Callable[[str], str | None] | None = None,
) -> V:
    """A dataclass field that is a setting, which type checkers take for its default; the arguments are those of `Setting`."""
    return field(default=default, metadata={"setting": Setting(help, unit, low, high, choices, why_not)})


def settings_of(cls: type) -> dict[str, Setting]:
    """The settings of a dataclass by field name."""
    return {f.name: f.metadata["setting"] for f in dataclasses.fields(cls) if "setting" in f.metadata}


def subset(values: Mapping[str, V], cls: type) -> dict[str, V]:
    """The subset of the values that are settings of a dataclass."""
    allowed = settings_of(cls)
    return {name: value for name, value in values.items() if name in allowed}


def check(config: object) -> None:
    """Raise ConfigError where a field of a dataclass is outside its setting's range."""
    for name, setting in settings_of(type(config)).items():
        setting.check(name, getattr(config, name))


def check_int(name: str, value: object, low: int = 0, high: int = MAX_INT) -> int:
    """The value as an int; it may be one of NumPy's.

    Raises:
        ConfigError: It is not a whole number from low to high.
    """
    try:
        number = operator.index(cast(SupportsIndex, value))
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ConfigError(f"{name}={shorten(value)} is not allowed; give a whole number", name)
    if not low <= number <= high:
        raise ConfigError(f"{name}={number} is out of range; give {low} to {high:,}", name)
    return number


# ---- JSON ----


def to_json(config: DataclassInstance) -> dict[str, object]:
    """A dataclass as plain JSON values (tuples become lists, nested dataclasses become objects)."""
    return {f.name: _to_plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _to_plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, tuple | list):
        return [_to_plain(element) for element in value]
    if isinstance(value, Mapping):
        return {str(key): _to_plain(element) for key, element in value.items()}
    return value


def from_json(cls: type[C], data: Mapping[str, object]) -> C:
    """A dataclass from JSON values. Raises ConfigError for unknown names, other types and values out of range."""
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in data:
        if name not in names:
            raise _unknown_setting(name, name, names)
    config = cls(**{name: _from_plain(hints[name], value, name) for name, value in data.items()})
    check(config)
    return config


def _from_plain(hint: object, value: object, name: str) -> object:
    """The value as the type hint has it; nothing is converted but lists, and whole numbers where a float is expected."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None and type(None) in typing.get_args(hint):
            return None
        return _from_plain(_without_none(hint), value, name)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_json(typing.cast(type, hint), value)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise _wrong_type(name, value, tuple)
        return tuple(_from_plain(typing.get_args(hint)[0], element, name) for element in value)
    if hint not in _EXPECTED:
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and isinstance(value, int | float) and is_number:
        try:
            return float(value)
        except OverflowError:
            raise _wrong_type(name, value, float) from None
    if not isinstance(value, hint) or (hint is int and not is_number):
        raise _wrong_type(name, value, hint)
    return value


# ---- text ----


def parse(cls: type, name: str, text: str) -> object:
    """The value that text means for a field of a dataclass. Raises ConfigError, which says what is allowed."""
    value = _parse_as(typing.get_type_hints(cls)[name], name, text)
    setting = settings_of(cls).get(name)
    if setting is not None:
        setting.check(name, value)
    return value


def _parse_as(hint: object, name: str, text: str) -> object:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if type(None) in typing.get_args(hint) and text.lower() in ("none", ""):
            return None
        return _parse_as(_without_none(hint), name, text)
    if typing.get_origin(hint) is tuple:
        return tuple(_parse_as(typing.get_args(hint)[0], name, part) for part in text.split(",") if part)
    if hint is bool:
        return parse_switch(name, text)
    if hint is int or hint is float:
        try:
            return _parse_int(text) if hint is int else float(text)
        except ValueError:
            raise _wrong_type(name, text, hint) from None
    return text


def parse_switch(name: str, text: str) -> bool:
    """The value that text means for a setting that is on or off. Raises ConfigError for any other text."""
    if text.lower() not in _TRUE + _FALSE:
        raise _wrong_type(name, text, bool)
    return text.lower() in _TRUE


def _parse_int(text: str) -> int:
    """A whole number, also as "1e6" or "64.0" where that stands for one number only. Raises ValueError."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not number.is_integer() or abs(number) > EXACT_INT:
        raise ValueError(text)
    return int(number)


def as_text(value: object) -> str:
    """The text that stands for the value of a setting."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


# What `train` takes besides settings
TRAIN_ARGUMENTS = ("budget", "family", "modality", "prefer", "seed", "steps")
# The same of `sample` and of `look`
SAMPLE_ARGUMENTS = ("label", "n", "prompt", "seed", "stop", "suffix")
LOOK_ARGUMENTS = ("budget", "modality", "prefer", "seed")


def route_settings(
    settings: Mapping[str, object], owners: Mapping[str, type], arguments: Collection[str] = ()
) -> dict[str, dict[str, object]]:
    """Settings sorted by the dataclass that has them: {"width": "64"} -> {"family": {"width": 64}}.

    Args:
        settings: Values, or the texts that stand for them, by name. A name may say its owner ("transformer.width"). Where
            several owners have it, those that do not allow the value are left out, unless none does.
        arguments: What the caller takes besides settings, which a refusal calls so.

    Raises:
        ConfigError: No owner has the setting, or none allows the value.
    """
    routed: dict[str, dict[str, object]] = {owner: {} for owner in owners}
    for full_name, value in settings.items():
        prefix, _, name = full_name.rpartition(".")
        candidates = [owner for owner, cls in owners.items() if name in settings_of(cls) and prefix in ("", owner)]
        if not candidates:
            names = {field_name for cls in owners.values() for field_name in settings_of(cls)}
            raise _unknown_setting(full_name, name, names, arguments)
        text = value if isinstance(value, str) else as_text(value)
        error: ConfigError | None = None
        for owner in candidates:
            try:
                routed[owner][name] = parse(owners[owner], name, text)
            except ConfigError as refusal:
                error = refusal
        if error is not None and not any(name in routed[owner] for owner in candidates):
            raise error
    return routed


def _without_none(hint: object) -> object:
    return next(option for option in typing.get_args(hint) if option is not type(None))


def _unknown_setting(full_name: str, name: str, names: Iterable[str], arguments: Collection[str] = ()) -> ConfigError:
    candidates = sorted(set(names))
    hint = did_you_mean(name, candidates)
    if name in arguments:
        hint = f"; give it by itself, as `{name}`"
    elif len(candidates) > MAX_LISTED and closest_name(name, candidates) is None:
        hint = "; `anew settings` lists all, and `anew settings NAME` those of a family or a kind of data"
    return ConfigError(f"unknown setting {full_name!r}{hint}")


def _wrong_type(name: str, value: object, expected: type) -> ConfigError:
    return ConfigError(f"{name}={shorten(value)} is not allowed; give {_EXPECTED[expected]}", name)
