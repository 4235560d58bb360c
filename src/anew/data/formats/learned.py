"""What a modality learned, as a run holds it: types and ranges are checked before anything is made of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from anew.core.schema import Count, Flag, Positive, Real, Record, Text, Whole, checked

Extent = Annotated[int, Field(strict=True, ge=1, le=2**16)]
NAMED = "data.learned"  # where it stands in config.json


class _Grid(Record):
    shape: list[Extent]
    classes: Whole
    std: Positive
    notes: list[Text]


class LearnedImage(_Grid):
    """See `Image.state`."""

    shape: Annotated[list[Extent], Field(min_length=3, max_length=3)]
    frame: Literal["crop", "pad"]
    levels: Annotated[list[Real], Field(min_length=2, max_length=2)] | None


class LearnedVideo(_Grid):
    """See `Video.state`."""

    shape: Annotated[list[Extent], Field(min_length=4, max_length=4)]
    frame: Literal["crop", "pad"]
    rate: Positive
    step: Count
    span: Count


class LearnedAudio(_Grid):
    """See `Audio.state`. clip: the fields of a `clips.Shape`."""

    shape: Annotated[list[Extent], Field(min_length=3, max_length=3)]
    clip: dict[str, Count]
    top: Real
    gain: Positive


class LearnedText(Record):
    """See `Text.state`; its heirs add fields of their own."""

    model_config = ConfigDict(extra="allow", frozen=True)

    layout: Literal["document", "list"]
    tokens: dict[str, Any]
    length: Annotated[int, Field(strict=True, ge=1, le=2**20)]
    many: Flag


def check(kind: type[Record], state: Any) -> None:
    """ValueError with one clause where a state does not fit."""
    checked(kind, state, NAMED)


__all__ = ["LearnedAudio", "LearnedImage", "LearnedText", "LearnedVideo", "check"]
