"""OpenAPI schemas of bodies and errors. Handlers read bodies themselves, so FastAPI cannot derive these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, TypedDict, cast

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from anew.core.files import JsonValue

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
COMMON_STATUSES = ("400", "401", "403")  # statuses of every path; 405 and 499 belong to none
NOT_FOUND_STATUSES = ("404",)  # paths that name something
BODY_STATUSES = ("404", "408", "413", "429", "503", "504")  # paths that take a body
KEY = "bearerAuth"  # name of the security scheme
NO_MODEL_SENTENCE = "None of the served models answers here."
JSON = "application/json"
FORM = "multipart/form-data"
EVENTS = "text/event-stream"
TEXT = "text/plain"


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


class RouteKeywords(TypedDict):
    """Keywords of a FastAPI route."""

    operation_id: str
    tags: list[str | Enum]
    response_class: type[Response]
    response_model: type[BaseModel] | None
    response_model_exclude_unset: bool
    responses: dict[int | str, dict[str, object]]
    openapi_extra: dict[str, object]


class ErrorObject(BaseModel):
    """The error."""

    message: str
    type: str
    param: Annotated[str | None, Field(description="the field that is wrong")]
    code: str | None


class ErrorAnswer(BaseModel):
    """An error, in the format of OpenAI's API."""

    error: ErrorObject


def route_schema(
    operation_id: str,
    tag: str,
    body: type[BaseModel] | None = None,
    *media_types: str,
    answer: type[BaseModel] | None = None,
    models: Sequence[str] | None = None,
    files: tuple[str, ...] = (),
    is_open: bool = False,
) -> RouteKeywords:
    """Keywords of a FastAPI route.

    Args:
        operation_id: Name of the operation for programs.
        tag: Group of the operation.
        body: Class of the body; None: no body.
        media_types: Media types of the response other than JSON.
        answer: Class of the JSON response; None: the response is not JSON.
        models: Names of the models that the path serves; None: the path has no model.
        files: Names of files, if the body is a form; the first is required.
        is_open: Whether it needs no key.
    """
    content: dict[str, object] = {}
    for media in media_types:
        is_text = media.startswith("text/")
        content[media] = {"schema": {"type": "string"} if is_text else {"type": "string", "format": "binary"}}
    statuses = [*COMMON_STATUSES, *(BODY_STATUSES if body is not None else NOT_FOUND_STATUSES)]
    extra: dict[str, object] = {"responses": {"200": {"description": "The answer", "content": content}}}
    if is_open:
        extra["security"] = []
    if models is not None and not models:
        extra["description"] = NO_MODEL_SENTENCE
    if body is not None:
        extra["requestBody"] = _request_body(body, models or (), files)
    return {
        "operation_id": operation_id,
        "tags": [tag],
        "response_class": Response if answer is None else JSONResponse,  # FastAPI describes JSON by the model
        "response_model": answer,
        "response_model_exclude_unset": True,
        "responses": {status: {"model": ErrorAnswer, "description": MEANINGS[status]} for status in statuses},
        "openapi_extra": extra,
    }


def _request_body(body: type[BaseModel], models: Sequence[str], files: tuple[str, ...]) -> dict[str, object]:
    schema = body_schema(body)
    if models:
        schema["properties"]["model"] = {"type": "string", "enum": list(models)}
    if not files:
        return {"required": True, "content": {JSON: {"schema": schema}}}
    file_schemas: dict[str, FieldSchema] = {name: {"type": "string", "format": "binary"} for name in files}
    schema = {**schema, "properties": {**schema["properties"], **file_schemas}}
    schema["required"] = [*schema.get("required", ()), files[0]]
    return {"required": True, "content": {FORM: {"schema": schema}}}


def complete_schema(schema: dict[str, object], needs_key: bool) -> dict[str, object]:
    """FastAPI's description of a server with its key, and without FastAPI's own form of errors.

    Args:
        schema: The description that FastAPI made.
        needs_key: Whether requests must give a key.
    """
    paths = cast(dict[str, dict[str, dict[str, dict[str, object]]]], schema["paths"])
    for methods in paths.values():
        for operation in methods.values():
            operation["responses"].pop("422", None)
    schemas = cast(dict[str, dict[str, object]], schema["components"])["schemas"]
    return {
        **schema,
        "components": {
            "schemas": {name: value for name, value in schemas.items() if "ValidationError" not in name},
            "securitySchemes": {
                KEY: {"type": "http", "scheme": "bearer", "description": "a key that the server was started with"}
            },
        },
        "security": [{KEY: []}] if needs_key else [{}, {KEY: []}],
    }


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
