"""Arguments of the public functions, checked before anything is touched. Each error names the argument."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args

from anew.core.durations import as_float
from anew.core.files import clause, make_folder
from anew.core.settings import SettingValue
from anew.core.stores.addresses import address_of
from anew.errors import ConfigError, DataError, UserError, shorten

R = TypeVar("R")
C = TypeVar("C", bound=Callable[..., object])
# Characters of a name that a folder is named after: names on disks end at 255 bytes, and more is appended.
MAX_STEM = 100

Preference = Literal["quality", "speed", "latent"]
PREFERENCES: tuple[Preference, ...] = get_args(Preference)  # what decides between families for continuous data


def path(name: str, value: object, error: type[UserError] = ConfigError) -> Path:
    """The value as a path that the system can look up, whether something is there or not.

    error: Raised where nothing can be there. Something of another type is always a ConfigError."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise ConfigError(f"`{name}` must be a path (got {shorten(value)})")
    if not os.fspath(value):
        raise error(f"`{name}` must be a path (got an empty string)")
    try:
        os.stat(value)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as cause:  # too long, not allowed, a loop of links; a NUL byte, a lone surrogate
        raise error(f"`{name}` {shorten(os.fspath(value))} cannot be looked up ({clause(cause).lower()})") from None
    return Path(value)


def new_path(name: str, value: object) -> Path:
    """The value as a path that is written to. An address is refused: it would become a folder of that name."""
    place = path(name, value)
    try:
        is_address = address_of(str(place)) is not None
    except DataError:
        is_address = True
    if is_address:
        raise ConfigError(
            f"`{name}` {shorten(os.fspath(place))} is an address, but this is written on this machine; "
            "give a folder here, and copy the files there"
        )
    return place


def new_file(value: object, suffix: str, advice: str) -> Path:
    """Check that the file `out` does not exist yet, make its folder, and return its path.

    Args:
        suffix: Suffix that it must have.
        advice: What to do for something else, a clause.

    Raises:
        ConfigError: The file exists, has another suffix, or its folder cannot be made.
    """
    target = new_path("out", value)
    if target.suffix.lower() != suffix:
        raise ConfigError(f"`out` {str(target)!r} must end in {suffix}{advice}")
    if target.exists() or target.is_symlink():
        raise ConfigError(f"`out` {str(target)!r} exists; give another name or delete it")
    make_folder(target.parent)
    return target


def optional_path(name: str, value: object, error: type[UserError] = ConfigError) -> Path | None:
    """None, or what `path` gives."""
    return None if value is None else path(name, value, error)


def optional_text(name: str, value: object) -> str | None:
    """None, or a string that is not empty; a path counts as one."""
    if value is None:
        return None
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text:
        raise ConfigError(f"`{name}` must be a string that is not empty (got {shorten(value)})")
    return text


def choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """One of the allowed strings."""
    if not isinstance(value, str) or value not in allowed:
        raise ConfigError(f"`{name}` must be one of {', '.join(allowed)} (got {shorten(value)})")
    return value


def switch(name: str, value: object) -> bool:
    """True or False. Nothing else: a text that counts as true would be taken for consent."""
    if not isinstance(value, bool):
        raise ConfigError(f"`{name}` must be True or False (got {shorten(value)})")
    return value


def optional_number(name: str, value: object) -> float | None:
    """None, or a finite number above zero."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < as_float(value) < math.inf:
        raise ConfigError(f"`{name}` must be a number above 0 (got {shorten(value)})")
    return float(value)


def settings(value: object) -> dict[str, object]:
    """Settings by name; None: none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"`settings` must be a mapping from names to values (got {shorten(value)})")
    return dict(value)


def keywords(value: object, function: Callable[..., object]) -> dict[str, SettingValue]:
    """Settings that are handed to a function as keywords: none may be called like one of its own arguments."""
    values = settings(value)
    argument = next((name for name in values if name in inspect.signature(function).parameters), None)
    if argument is not None:
        raise ConfigError(f"{argument!r} is an argument of its own and cannot be given as a setting")
    return cast(dict[str, SettingValue], values)  # the owner of the settings checks their types


def reporter(value: R) -> R:
    """None, or an object with the methods of a Reporter."""
    missing = next((name for name in ("message", "step", "progress") if not callable(getattr(value, name, None))), None)
    if value is not None and missing is not None:
        raise ConfigError(f"`reporter` must have the methods message, step and progress (got {shorten(value)})")
    return value


def callback(name: str, value: C | None) -> C | None:
    """A function to call, or None."""
    if value is not None and not callable(value):
        raise ConfigError(f"`{name}` must be a function, or None (got {shorten(value)})")
    return value


def several(name: str, value: object) -> list[object]:
    """A list of values; a single string or path counts as a list of one."""
    if isinstance(value, str | os.PathLike):
        return [value]
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray | memoryview):
        raise ConfigError(f"`{name}` must be a list (got {shorten(value)})")
    return list(value)


def stem(path: Path) -> str:
    """A name for a folder after this one, short enough that more may be added to it."""
    return path.stem[:MAX_STEM].encode(errors="ignore")[: 2 * MAX_STEM].decode(errors="ignore")  # not UTF-8: dropped
