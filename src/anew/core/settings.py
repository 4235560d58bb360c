"""Frozen dataclass <-> JSON and command line. A knob exists only where it acts; its range is checked when it is set."""

from __future__ import annotations

import dataclasses
import math
import operator
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, TypeVar

from anew.errors import ConfigError, nearest, short

C = TypeVar("C")
MOST = 2**63 - 1  # of a whole number that others keep in 64 bits


@dataclass(frozen=True, slots=True)
class Knob:
    """What a setting means: help, unit, and the values it may take (low and high inclusive, or choices)."""

    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, name: str, value: Any) -> None:
        if isinstance(value, tuple):
            for each in value:
                self.check(name, each)
            return
        if self.choices and value not in self.choices:
            raise ConfigError(f"{name}={value!r} is not allowed{nearest(str(value), self.choices)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if isinstance(value, float) and not math.isfinite(value):  # NaN is neither below nor above a bound
            raise ConfigError(f"{name}={value!r} is not allowed; give a finite number")
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            low = "" if self.low is None else f"at least {self.low:g}"
            high = "" if self.high is None else f"at most {self.high:g}"
            unit = f" {self.unit}" if self.unit else ""
            raise ConfigError(
                f"{name}={value!r} is out of range; give {' and '.join(t for t in (low, high) if t)}{unit}"
            )


def knob(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with a Knob."""
    return field(default=default, metadata={"knob": Knob(help, unit, low, high, choices)})


def knobs(cls: type) -> dict[str, Knob]:
    """The knobs of a dataclass by field name."""
    return {f.name: f.metadata["knob"] for f in dataclasses.fields(cls) if "knob" in f.metadata}


def known(values: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """Those of the values that a dataclass has knobs for."""
    return {name: value for name, value in values.items() if name in knobs(cls)}


def check(config: Any) -> None:
    """Raise ConfigError where a field is outside its knob's range."""
    for name, one in knobs(type(config)).items():
        one.check(name, getattr(config, name))


def whole(name: str, value: Any, low: int = 0, high: int = MOST) -> int:
    """The value, which may be one of NumPy's, as a whole number from low to high; ConfigError says what is allowed."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ConfigError(f"{name}={short(value)} is not allowed; give a whole number")
    if not low <= number <= high:
        raise ConfigError(f"{name}={number} is out of range; give {low} to {high:,}")
    return number


def to_json(config: Any) -> dict[str, Any]:
    """A dataclass as plain JSON values (tuples become lists, nested dataclasses become objects)."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


def from_json(cls: type[C], data: Mapping[str, Any]) -> C:
    """A dataclass from JSON values; unknown keys and values out of range raise ConfigError."""
    hints = typing.get_type_hints(cls)
    fields = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in data:
        if name not in fields:
            raise ConfigError(f"unknown setting {name!r} of {cls.__name__}{nearest(name, fields)}")
    config = cls(**{name: _shaped(hints[name], value, name) for name, value in data.items()})
    check(config)
    return config


def _shaped(hint: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_json(typing.cast(type, hint), value)
    if origin is tuple and isinstance(value, list | tuple):
        inner = typing.get_args(hint)
        kind = inner[0] if inner else Any
        return tuple(_shaped(kind, v, name) for v in value)
    if hint in (int, float) and isinstance(value, bool):  # it counts as 0 or 1, but no bound is checked for it
        raise ConfigError(f"{name}={value!r} is not allowed; give a number")
    if hint is float and isinstance(value, int):
        return float(value)
    return value


def parse(cls: type, name: str, text: str) -> Any:
    """The value that `text` means for the field `name` of a dataclass; ConfigError says what is allowed."""
    hint = typing.get_type_hints(cls)[name]
    value = _parsed(hint, name, text)
    if name in knobs(cls):
        knobs(cls)[name].check(name, value)
    return value


def _parsed(hint: Any, name: str, text: str) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        options = typing.get_args(hint)
        if type(None) in options and text.lower() in ("none", ""):
            return None
        return _parsed(next(o for o in options if o is not type(None)), name, text)
    if typing.get_origin(hint) is tuple:
        return tuple(_parsed(typing.get_args(hint)[0], name, part) for part in text.split(",") if part)
    if hint is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ConfigError(f"{name}={text!r} is not allowed; give true or false")
    if hint in (int, float):
        try:
            return hint(float(text)) if hint is int and float(text).is_integer() else hint(text)
        except (ValueError, OverflowError):
            kind = "a whole number" if hint is int else "a number"
            raise ConfigError(f"{name}={text!r} is not allowed; give {kind}") from None
    return text


def assign(settings: Mapping[str, Any], owners: Mapping[str, type]) -> dict[str, dict[str, Any]]:
    """Sort settings by the dataclass that has them: {"width": "64"} -> {"family": {"width": 64}}.

    A key may name its owner ("transformer.width"). Of several owners those are left out that do not allow the value, unless
    none does. Other values are treated as the text that stands for them.
    """
    found: dict[str, dict[str, Any]] = {owner: {} for owner in owners}
    names = {f.name for cls in owners.values() for f in dataclasses.fields(cls) if "knob" in f.metadata}
    for full, value in settings.items():
        prefix, _, rest = full.rpartition(".")
        homes = [o for o, cls in owners.items() if rest in knobs(cls) and prefix in ("", o)]
        if not homes:
            raise ConfigError(f"unknown setting {full!r}{nearest(rest, names)}")
        text, refused = value if isinstance(value, str) else as_text(value), None
        for owner in homes:
            try:
                found[owner][rest] = parse(owners[owner], rest, text)
            except ConfigError as error:
                refused = error
        if refused is not None and not any(rest in found[owner] for owner in homes):
            raise refused
    return found


def as_text(value: Any) -> str:
    """The text that stands for the value of a setting."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def seconds(text: str | float) -> float:
    """'90', '60s', '10m', '2h' or '1h30m' as seconds; ConfigError where it is none of these or not positive."""
    if isinstance(text, str):
        value = _parse_seconds(text.strip().lower())
    else:  # NumPy's numbers are Real, too
        value = float(text) if isinstance(text, Real) and not isinstance(text, bool) else math.nan
    if not 0 < value < 366 * 86400:
        raise ConfigError(f"`budget` must be a time like 60s, 10m, 2h, or seconds (got {short(text)})")
    return value


def _parse_seconds(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    total, digits = 0.0, ""
    for letter in text:
        if letter.isdecimal() or letter == ".":
            digits += letter
        elif letter in units and digits.replace(".", "", 1).isdecimal():
            total, digits = total + float(digits) * units[letter], ""
        else:
            return -1.0
    if not digits:
        return total or -1.0
    return total + float(digits) if digits.replace(".", "", 1).isdecimal() else -1.0
