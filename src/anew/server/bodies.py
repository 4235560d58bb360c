"""The bodies of requests: each field with its range. A value that does not fit is answered with 400, never converted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, Strict, ValidationError, WithJsonSchema

from anew.core.settings import MAX_INT
from anew.data.formats.file_bytes import with_line_feeds
from anew.server.errors import bad_request, from_validation
from anew.server.limits import (
    MAX_LOG_PROBS,
    MAX_MESSAGES,
    MAX_NEW_TOKENS,
    MAX_PROMPTS,
    MAX_ROWS,
    MAX_SCORED_ITEMS,
    MAX_STOP_LENGTH,
    MAX_STOPS,
)
from anew.server.schemas import FieldSchema, body_schema

B = TypeVar("B", bound=BaseModel)
MAX_TOKEN_ID = 2**24  # above any vocabulary; that of the model is checked later
Prompt = str | list[int]  # a text or its token ids


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and all(type(i) is int and 0 <= i < MAX_TOKEN_ID for i in value)


def _prompts(value: object) -> list[Prompt]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value:
        if _is_ids(value):
            return [value]
        if len(value) > MAX_PROMPTS:
            raise ValueError(f"give at most {MAX_PROMPTS} prompts")
        if all(isinstance(prompt, str) for prompt in value) or all(_is_ids(prompt) for prompt in value):
            return value
    raise ValueError("give a string, a list of strings, a list of token ids, or a list of such lists")


def _stops(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    if stops is None:
        return ()
    if not isinstance(stops, list) or len(stops) > MAX_STOPS:
        raise ValueError(f"give a string, or a list of at most {MAX_STOPS} strings")
    if not all(isinstance(stop, str) and 0 < len(stop) <= MAX_STOP_LENGTH for stop in stops):
        raise ValueError(f"each stop must be a string of 1 to {MAX_STOP_LENGTH} characters")
    return tuple(map(with_line_feeds, stops))


def _only_default(value: object) -> None:
    """Accept an unsupported field of OpenAI's API only with its default value."""
    if value is None or (isinstance(value, bool | int | float | dict) and not value):
        return
    raise ValueError("this server does not support it; leave it out")


WholeNumber = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]
Label = Annotated[str, Strict(), Field(min_length=1, max_length=300)]
Tokens = Annotated[int, Strict(), Field(ge=0, le=MAX_NEW_TOKENS)]
Temperature = Annotated[Number, Field(ge=0.0, le=10.0)]
Probability = Annotated[Number, Field(ge=0.0, le=1.0)]
TopK = Annotated[WholeNumber, Field(ge=-1, le=MAX_TOKEN_ID)]
Seed = Annotated[WholeNumber, Field(ge=0, le=MAX_INT)]
Rows = Annotated[WholeNumber, Field(ge=1, le=MAX_ROWS)]
Unsupported = Annotated[None, PlainValidator(_only_default), WithJsonSchema({"type": "null"})]
Prompts = Annotated[
    list[Prompt],
    PlainValidator(_prompts),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                {"type": "array", "items": {"type": "integer"}},
            ]
        }
    ),
]
Stops = Annotated[
    tuple[str, ...],
    PlainValidator(_stops),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Body(BaseModel):
    """Fields common to all requests; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Strict(), Field(min_length=1, max_length=300)]
    user: Annotated[str, Strict(), Field(max_length=1000)] | None = None  # OpenAI's name for the caller; not kept


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include_usage: Flag = False
    include_obfuscation: Unsupported = None


class TextBody(Body):
    """Fields common to requests for text."""

    max_tokens: Tokens | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_k: TopK | None = None
    min_p: Probability | None = None
    seed: Seed | None = None
    n: Rows | None = None
    stop: Stops = ()
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    label: Label | None = None
    frequency_penalty: Unsupported = None
    presence_penalty: Unsupported = None
    logit_bias: Unsupported = None


class CompletionBody(TextBody):
    """Body of `POST /v1/completions`."""

    prompt: Prompts
    suffix: Annotated[str, Strict()] | None = None
    best_of: Rows | None = None
    echo: Flag | None = None
    logprobs: Annotated[WholeNumber, Field(ge=0, le=MAX_LOG_PROBS)] | None = None


class MessagePart(BaseModel):
    """A part of a message. Only text can be part of a prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"]
    text: Annotated[str, Strict()]


class Message(BaseModel):
    """One message of a chat."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, Strict()] | Annotated[list[MessagePart], Field(min_length=1, max_length=64)]
    name: Annotated[str, Strict(), Field(max_length=300)] | None = None

    @property
    def text(self) -> str:
        """The text of all parts."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatBody(TextBody):
    """Body of `POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Tokens | None = None
    logprobs: Flag | None = None
    top_logprobs: Annotated[WholeNumber, Field(ge=0, le=MAX_LOG_PROBS)] | None = None
    store: Unsupported = None


class ScoreBody(Body):
    """Body of `POST /v1/score`. input: texts, or for images, sound and clips files as base64; label: the class of all of them."""

    input: (
        Annotated[str, Strict()]
        | Annotated[list[Annotated[str, Strict()]], Field(min_length=1, max_length=MAX_SCORED_ITEMS)]
    )
    label: Label | None = None


def parse(body: type[B], data: bytes) -> B:
    """A body from its bytes; ApiError 400, which names the first invalid field."""
    try:
        return body.model_validate_json(data)
    except ValidationError as error:
        raise from_validation(error, body.model_fields) from None
    except (RecursionError, ValueError):  # nested too deep, or not UTF-8
        raise bad_request("the body is not valid JSON; send an object in UTF-8") from None


def parse_form(body: type[B], fields: Mapping[str, str]) -> B:
    """A body from the fields of a form, which are strings; numbers, booleans and objects in them are read as JSON.

    Raises:
        ApiError: 400, which names the first invalid field.
    """
    schemas = body_schema(body).get("properties", {})
    values = {
        name: text if _takes_text(schemas.get(name, FieldSchema())) else _json_or_text(text)
        for name, text in fields.items()
    }
    return parse(body, json.dumps(values).encode())


def _takes_text(schema: FieldSchema) -> bool:
    return any(part.get("type") == "string" for part in (schema, *schema.get("anyOf", ())))


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
