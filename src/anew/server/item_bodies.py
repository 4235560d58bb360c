"""The bodies of requests for items: images, sound, clips, and files of any kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from anew.core.settings import MAX_INT
from anew.server.bodies import Body, Flag, Label, Number, Seed, Unsupported, WholeNumber
from anew.server.limits import MAX_PARTIAL_IMAGES, MAX_ROWS, MAX_SAMPLES

Auto = Literal["auto"]
ShortText = Annotated[str, Strict(), Field(max_length=2000)]
LongText = Annotated[str, Strict(), Field(max_length=200_000)]
SettingInput = Annotated[str, Strict(), Field(max_length=100)] | Flag | WholeNumber | Number
SettingName = Annotated[str, Strict(), Field(pattern="^[a-z_]{1,60}$")]


class ItemsBody(Body):
    """Fields common to requests for items. They are not OpenAI's."""

    seed: Seed | None = None
    label: Label | None = None
    settings: dict[SettingName, SettingInput] = Field(default_factory=dict, max_length=30)


class ImageBody(ItemsBody):
    """Body of `POST /v1/images/generations`, and the form fields of `POST /v1/images/edits`."""

    prompt: ShortText = ""
    n: Annotated[WholeNumber, Field(ge=1, le=MAX_ROWS)] | None = None
    size: Annotated[str, Strict(), Field(pattern=r"^(auto|\d{1,5}x\d{1,5})$")] | None = None
    response_format: Literal["b64_json"] | None = None
    output_format: Literal["png"] | None = None
    stream: Flag | None = None
    partial_images: Annotated[WholeNumber, Field(ge=0, le=MAX_PARTIAL_IMAGES)] | None = None
    quality: Auto | None = None
    style: Auto | None = None
    background: Auto | None = None
    moderation: Auto | None = None
    output_compression: Literal[100] | None = None
    negative_prompt: Unsupported = None
    input_fidelity: Unsupported = None


class AudioBody(ItemsBody):
    """Body of `POST /v1/audio/generate` and its alias `POST /v1/audio/speech`."""

    input: ShortText = ""
    voice: ShortText | None = None
    response_format: Literal["wav", "flac"] | None = None
    stream_format: Literal["audio"] | None = None
    speed: Annotated[Number, Field(ge=1.0, le=1.0)] | None = None
    instructions: Unsupported = None


class VideoBody(ItemsBody):
    """Body of `POST /v1/videos`."""

    prompt: ShortText = ""
    size: Annotated[str, Strict(), Field(pattern=r"^(auto|\d{1,5}x\d{1,5})$")] | None = None
    seconds: Unsupported = None


class SamplesBody(ItemsBody):
    """Body of `POST /v1/samples`."""

    n: Annotated[WholeNumber, Field(ge=1, le=MAX_SAMPLES)] = 16
    first_index: Annotated[WholeNumber, Field(ge=0, le=MAX_INT - MAX_SAMPLES)] = 0
    prompt: LongText | None = None
    suffix: LongText | None = None
    stop: Annotated[str, Strict(), Field(min_length=1, max_length=256)] | None = None
