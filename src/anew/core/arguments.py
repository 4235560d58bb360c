"""Arguments of the public functions, checked before anything is touched. Each error names the argument."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from anew.errors import ConfigError, UserError, short

STEM = 100  # characters of a name that a folder is named after


def path(name: str, value: Any, error: type[UserError] = ConfigError) -> Path:
    """The value as a path that the system can look up, whether something is there or not."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise error(f"`{name}` must be a path (got {short(value)})")
    if not os.fspath(value):
        raise error(f"`{name}` must be a path (got an empty string)")
    try:
        os.stat(value)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as cause:  # too long, not allowed, a loop of links; a NUL byte, a lone surrogate
        why = getattr(cause, "strerror", None) or str(cause)
        raise error(f"`{name}` {short(os.fspath(value))} cannot be looked up ({why.lower()})") from None
    return Path(value)


def optional_path(name: str, value: Any, error: type[UserError] = ConfigError) -> Path | None:
    """None, or what `path` gives."""
    return None if value is None else path(name, value, error)


def optional_text(name: str, value: Any) -> str | None:
    """None, or a string that is not empty; a path counts as one."""
    if value is None:
        return None
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text:
        raise ConfigError(f"`{name}` must be a string that is not empty (got {short(value)})")
    return text


def choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """One of the allowed strings."""
    if not isinstance(value, str) or value not in allowed:
        raise ConfigError(f"`{name}` must be one of {', '.join(allowed)} (got {short(value)})")
    return value


def switch(name: str, value: Any) -> bool:
    """True or False; other values that count as true would be taken for consent."""
    if not isinstance(value, bool):
        raise ConfigError(f"`{name}` must be True or False (got {short(value)})")
    return value


def optional_number(name: str, value: Any) -> float | None:
    """None, or a finite number above zero."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < float(value) < math.inf:
        raise ConfigError(f"`{name}` must be a number above 0 (got {short(value)})")
    return float(value)


def settings(value: Any) -> dict[str, Any]:
    """Settings by name; None: none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"`settings` must be a mapping from names to values (got {short(value)})")
    return dict(value)


def keywords(value: Any, function: Callable[..., Any]) -> dict[str, Any]:
    """Settings that are handed to a function as keywords: none may be called like one of its own arguments."""
    found = settings(value)
    own = next((name for name in found if name in inspect.signature(function).parameters), None)
    if own is not None:
        raise ConfigError(f"{own!r} is an argument of its own and cannot be given as a setting")
    return found


def reporter(value: Any) -> Any:
    """None, or an object with the methods of a Reporter."""
    missing = next((name for name in ("say", "step", "part") if not callable(getattr(value, name, None))), None)
    if value is not None and missing is not None:
        raise ConfigError(f"`reporter` must have the methods say, step and part (got {short(value)})")
    return value


def several(name: str, value: Any) -> list[Any]:
    """A list of values; a string, whose letters would be its values, counts as one."""
    if isinstance(value, str | os.PathLike):
        return [value]
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray | memoryview):
        raise ConfigError(f"`{name}` must be a list (got {short(value)})")
    return list(value)


def stem(of: Path) -> str:
    """A name for a folder after this one, short enough that more may be added to it."""
    return of.stem[:STEM].encode(errors="ignore")[: 2 * STEM].decode(errors="ignore")  # bytes that are not UTF-8 go
