"""Types of what is read from files that may come from anybody: a value of another type or range is an error, never converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, Strict, StringConstraints, ValidationError

from anew.errors import shorten

MOST = 2**53  # of a whole number that JSON keeps exactly


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is expected")
    return value


Text = Annotated[str, PlainValidator(_text)]  # any, also names of files that are not UTF-8
Name = Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Whole = Annotated[int, Strict(), Field(ge=0, le=MOST)]
Count = Annotated[int, Strict(), Field(ge=1, le=MOST)]
Real = Annotated[float, Strict(), Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Strict(), Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Strict(), Field(gt=0.0, allow_inf_nan=False)]
Share = Annotated[float, Strict(), Field(ge=0.0, le=1.0)]
Flag = Annotated[bool, Strict()]


class Record(BaseModel):
    """An object with these fields and no others; frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


R = TypeVar("R", bound=Record)


def checked(kind: type[R], value: Any, what: str) -> R:
    """The record that a JSON value describes; ValueError with one clause where it does not. what: its place in the file."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ValueError(described(error, what)) from None


def described(error: ValidationError, what: str = "") -> str:
    """The first fault as one clause: where it is, what is expected, what is there."""
    first = error.errors(include_url=False)[0]
    place = ".".join([*([what] if what else []), *(str(part)[:40] for part in first["loc"])]) or "it"
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "extra_forbidden":
        return f"{place} is unknown"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("should")
    expected = f"must{message}" if message.startswith((" be", " have")) else f"is wrong: {message.strip()}"
    value = first["input"]
    return f"{place} {expected}" + ("" if isinstance(value, Mapping | list) else f" (got {shorten(value)})")
