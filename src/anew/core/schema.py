"""Types of what is read from files that may come from anybody: a value of another type or range is an error, never converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, Strict, StringConstraints, ValidationError

from anew.core.settings import EXACT_INT
from anew.errors import shorten


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


Text = Annotated[str, PlainValidator(_text)]  # any, also names of files that are not UTF-8
Name = Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Whole = Annotated[int, Strict(), Field(ge=0, le=EXACT_INT)]
Count = Annotated[int, Strict(), Field(ge=1, le=EXACT_INT)]
Real = Annotated[float, Strict(), Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Strict(), Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Strict(), Field(gt=0.0, allow_inf_nan=False)]
Share = Annotated[float, Strict(), Field(ge=0.0, le=1.0)]
Flag = Annotated[bool, Strict()]


class Record(BaseModel):
    """An object with these fields and no others; frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


R = TypeVar("R", bound=Record)


def checked(record: type[R], value: object, place: str) -> R:
    """The record that a JSON value describes. place: where in the file it stands, e.g. "data.learned".

    Raises:
        ValueError: The value does not describe one (one clause).
    """
    try:
        return record.model_validate(value)
    except ValidationError as error:
        raise ValueError(described(error, place)) from None


def described(error: ValidationError, place: str = "") -> str:
    """The first fault as one clause: where it is, what is expected, what is there."""
    fault = error.errors(include_url=False)[0]
    path = [str(part)[:40] for part in fault["loc"]]
    where = ".".join([place, *path] if place else path) or "it"
    if fault["type"] == "missing":
        return f"{where} is missing"
    if fault["type"] == "extra_forbidden":
        return f"{where} is unknown"
    if fault["type"] == "string_too_long":
        return f"{where} may have up to {fault['ctx']['max_length']:,} characters"
    if fault["type"] == "string_too_short" and not fault["input"]:
        return f"{where} is empty"
    if fault["input"] is None and fault["type"].endswith("_type"):
        return f"{where} is missing"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("should")
    expected = f"must{message}" if message.startswith((" be", " have")) else f"is wrong: {message.strip()}"
    value = fault["input"]
    return f"{where} {expected}" + ("" if isinstance(value, Mapping | list) else f" (got {shorten(value)})")
