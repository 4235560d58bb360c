"""The page /docs, which lists all paths and fields of the schema. FastAPI's own page loads scripts from other sites."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment

from anew.core.settings import EXACT_INT
from anew.server.schemas import EVENTS, FORM, JSON, MEANINGS, FieldSchema

TEMPLATE = Path(__file__).with_name("reference.html")
MAX_LISTED_VALUES = 12  # values of a field that a line lists
EXAMPLES: Mapping[str, object] = {
    "prompt": "Once ",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Once "}],
    "input": "A text to measure",
    "n": 2,
}  # examples of values, by the name of the field
EXAMPLE_FIELDS: Mapping[str, Sequence[str]] = {
    "/v1/completions": ("prompt", "max_tokens"),
    "/v1/chat/completions": ("messages", "max_tokens"),
    "/v1/images/generations": ("n",),
    "/v1/samples": ("n",),
    "/v1/score": ("input",),
}

WORDS = {"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
PLURALS = {"string": "texts", "integer": "whole numbers", "number": "numbers"}


@dataclass(frozen=True, slots=True)
class FieldLine:
    """A field of a body, as the page describes it."""

    name: str
    values: str
    default: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A path, as the page describes it."""

    method: str
    path: str
    summary: str
    note: str
    fields: Sequence[FieldLine]
    is_form: bool
    answers: str
    command: str

    @property
    def anchor(self) -> str:
        """Its anchor on the page."""
        return f"{self.method}{self.path}".lower().replace("/", "-").replace("{", "").replace("}", "")


def reference_page(schema: Mapping[str, object], models: Sequence[str], address: str) -> str:
    """The page as HTML.

    Args:
        schema: OpenAPI description of the server.
        models: Names of the models.
        address: Address of the server, for examples.
    """
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        TEMPLATE.read_text(encoding="utf-8")
    )
    info = cast(Mapping[str, str], schema["info"])
    return template.render(
        title=info["title"],
        version=info["version"],
        models=models,
        operations=list(_operations(schema, models, address)),
        errors=list(MEANINGS.items()),
    )


def _operations(schema: Mapping[str, object], models: Sequence[str], address: str) -> Iterator[Operation]:
    paths = cast(Mapping[str, Mapping[str, dict[str, Any]]], schema["paths"])
    for path, methods in paths.items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            media, body = next(((name, value["schema"]) for name, value in content.items()), ("", FieldSchema()))
            required: Sequence[str] = body.get("required", ())
            properties = body.get("properties", {})
            names = sorted(properties, key=lambda name: (name not in required, name == "user"))
            fields = [_field(name, properties[name], name in required) for name in names if _is_taken(properties[name])]
            media_types = operation["responses"]["200"].get("content", {})
            answers = " or ".join(name for name in media_types if name not in (JSON, EVENTS)) or "JSON"
            answers += ", or with stream=true events as they come" if EVENTS in media_types else ""
            model = str(next(iter(properties.get("model", FieldSchema()).get("enum", models)), "RUN"))
            command = _command(path, model, address) if media == JSON and path in EXAMPLE_FIELDS else ""
            summary = operation.get("summary", "")
            note = operation.get("description", "")
            yield Operation(method.upper(), path, summary, note, fields, media == FORM, answers, command)


def _command(path: str, model: str, address: str) -> str:
    body = {"model": model} | {name: EXAMPLES[name] for name in EXAMPLE_FIELDS[path]}
    out = " -o new.zip" if path == "/v1/samples" else ""
    return f"curl {address}{path} -H 'Content-Type: application/json' \\\n  -d '{json.dumps(body)}'{out}"


def _is_taken(field: FieldSchema) -> bool:
    """Whether a field takes anything but null; others are not supported by this server."""
    return any(part.get("type") != "null" for part in field.get("anyOf", [field]))


def _field(name: str, field: FieldSchema, is_required: bool) -> FieldLine:
    parts = [part for part in field.get("anyOf", [field]) if part.get("type") != "null"]
    values = " or ".join(dict.fromkeys(_takes(part) for part in parts))
    default = field.get("default")
    if is_required:
        return FieldLine(name, values, "required")
    return FieldLine(name, values, "none" if default in (None, "", []) else json.dumps(default))


def _takes(part: FieldSchema) -> str:
    """Description of the values that a field takes."""
    if "enum" in part or "const" in part:
        choices = part.get("enum", [part.get("const")])
        more = f" and {len(choices) - MAX_LISTED_VALUES} more" if len(choices) > MAX_LISTED_VALUES else ""
        return ", ".join(map(str, choices[:MAX_LISTED_VALUES])) + more
    if part.get("format") == "binary":
        return "a file"
    if part.get("type") == "array":
        return f"a list of {PLURALS.get(str(part.get('items', FieldSchema()).get('type')), 'objects')}"
    word = WORDS.get(str(part.get("type")), "an object")
    low, high = part.get("minimum"), part.get("maximum")
    if low is not None and high is not None:
        is_bounded = abs(high) < EXACT_INT  # larger ones stand for no bound, and are written as powers
        return f"{word} from {low:,.15g} to {high:,.15g}" if is_bounded else f"{word}, {low:,.15g} or larger"
    if "maxLength" in part:
        return f"{word} of up to {part['maxLength']:,} characters"
    return word
