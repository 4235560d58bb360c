"""OpenAPI schemas of bodies and responses. Handlers read bodies themselves, so FastAPI cannot derive the schemas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict, cast

from pydantic import BaseModel

from anew.core.json_values import JsonValue


class FieldSchema(TypedDict, total=False):
    """A JSON Schema, with the keys that pydantic uses for bodies."""

    type: str | list[str]
    format: str
    anyOf: list[FieldSchema]
    items: FieldSchema
    enum: list[JsonValue]
    const: JsonValue
    default: JsonValue
    minimum: float
    maximum: float
    maxLength: int
    properties: dict[str, FieldSchema]
    required: list[str]


class MediaSchema(TypedDict):
    """A body of one media type."""

    schema: FieldSchema


class BodySchema(TypedDict, total=False):
    """A request or a response, by media type."""

    description: str
    required: bool
    content: dict[str, MediaSchema]


class OperationSchema(TypedDict, total=False):
    """A method of a path."""

    summary: str
    requestBody: BodySchema
    responses: dict[str, BodySchema]


class ApiInfo(TypedDict):
    """Title and version of the API."""

    title: str
    version: str


class ApiSchema(TypedDict):
    """OpenAPI's description of a server, with the keys that FastAPI uses. paths: operations by path and method."""

    info: ApiInfo
    paths: dict[str, dict[str, OperationSchema]]


class RouteKeywords(TypedDict):
    """Keywords of a FastAPI route; what they hold is an `OperationSchema`."""

    openapi_extra: dict[str, object]


ERROR: FieldSchema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
MEANINGS = {
    "400": "the request is invalid; `param` names the field",
    "401": "the key is missing or wrong",
    "403": "the Host or Origin header names another site",
    "404": "not found",
    "405": "this path does not take this method",
    "408": "the body did not arrive in time",
    "413": "the body is too large",
    "429": "the queue is full; `Retry-After` says when to try again",
    "499": "the client disconnected",
    "503": "not enough memory, or the server is stopping",
    "504": "the answer took too long",
}
JSON = "application/json"
FORM = "multipart/form-data"
EVENTS = "text/event-stream"


def route_schema(
    body: type[BaseModel] | None, *medias: str, models: Sequence[str] = (), forms: tuple[str, ...] = ()
) -> RouteKeywords:
    """Keywords of a FastAPI route.

    Args:
        body: Class of the body; None: no body.
        medias: Media types of the response; none: JSON.
        models: Names of the models that may be asked; none: any.
        forms: Names of files, if the body is a form; the first is required.
    """
    errors: dict[str, BodySchema] = {
        code: {"description": meaning, "content": {JSON: {"schema": ERROR}}} for code, meaning in MEANINGS.items()
    }
    answer: dict[str, MediaSchema] = {
        media: {"schema": {} if media == JSON else {"type": "string"}} for media in medias or (JSON,)
    }
    extra: OperationSchema = {"responses": {"200": {"description": "The answer", "content": answer}, **errors}}
    if body is not None:
        schema = body_schema(body)
        if models:
            schema["properties"]["model"] = {"type": "string", "enum": list(models)}
        extra["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
        if forms:
            files: dict[str, FieldSchema] = {name: {"type": "string", "format": "binary"} for name in forms}
            schema = {**schema, "properties": {**schema["properties"], **files}}
            schema["required"] = [*schema.get("required", ()), forms[0]]
            extra["requestBody"] = {"required": True, "content": {FORM: {"schema": schema}}}
    return {"openapi_extra": cast(dict[str, object], extra)}


def body_schema(body: type[BaseModel]) -> FieldSchema:
    """The JSON Schema of a body, without references."""
    return cast(FieldSchema, _inline(body.model_json_schema()))


def _exact(bound: JsonValue) -> JsonValue:
    """The bound, or the largest float below it if it is not a float itself: JSON readers use floats."""
    if isinstance(bound, int) and int(float(bound)) > bound:
        return int(math.nextafter(float(bound), 0.0))
    return bound


def _inline(schema: dict[str, JsonValue]) -> JsonValue:
    """A schema without references: those of a body would point outside of the page's own components."""
    parts = schema.pop("$defs", {})
    assert isinstance(parts, dict)

    def inlined(value: JsonValue) -> JsonValue:
        if isinstance(value, list):
            return [inlined(part) for part in value]
        if not isinstance(value, dict):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str):
            return inlined(parts[reference.rpartition("/")[2]])
        return {name: _exact(part) if name == "maximum" else inlined(part) for name, part in value.items()}

    return inlined(schema)
