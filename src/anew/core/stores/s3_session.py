"""The session of S3 that stores are opened with. A plain one takes three times as long for the pages of a listing, as it reads
every element of them by its schema, and parses each time as if it could have any form."""

from __future__ import annotations

import functools
import re
from collections.abc import MutableMapping
from datetime import datetime
from typing import Protocol
from xml.etree import ElementTree

# Fields of an object of a page, as far as stores and Anew read them: a parser of XML would make objects of all that is in it.
_FIELD = re.compile(rb"<(Key|Size|ETag|LastModified|StorageClass)>([^<]*)</")


@functools.cache
def s3_session() -> object:
    """An `aiobotocore.session.AioSession`, always the same one, as stores are kept by what they are opened with."""
    from aiobotocore.session import AioSession
    from botocore import handlers

    session = AioSession()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
    emitter = session.get_component("event_emitter")
    # It parses a whole page to see whether it is an error. After ours, which comes first now, little of a page is left.
    error_handler = getattr(handlers, "_handle_200_error", None)
    if error_handler is not None:
        emitter.unregister("before-parse.s3.*", error_handler)
    emitter.register_first("before-parse.s3.*", parse_objects)
    if error_handler is not None:
        emitter.register_first("before-parse.s3.*", error_handler)
    return session


class S3Operation(Protocol):
    """The part of botocore's OperationModel that is used here."""

    name: str


def parse_objects(
    operation_model: S3Operation,
    response_dict: MutableMapping[str, object],
    customized_response_dict: MutableMapping[str, object],
    **_: object,
) -> None:
    """Parse the objects of a page of a listing, and leave the remainder of the page to botocore.

    Args:
        operation_model: What was asked of the store.
        response_dict: The response, whose `body` loses its objects.
        customized_response_dict: Receives `Contents`, where there are objects.
    """
    if operation_model.name != "ListObjectsV2":
        return
    body = response_dict["body"]
    if response_dict["status_code"] != 200 or not isinstance(body, bytes) or b"<Contents>" not in body:
        return
    before, *pieces = body.split(b"<Contents>")
    parts = [piece.partition(b"</Contents>") for piece in pieces]
    try:
        objects = [_parse_object(entry) for entry, _, _ in parts]
    except (ValueError, ElementTree.ParseError):
        return  # botocore says what is wrong with it
    if not all(end for _, end, _ in parts) or not all("Key" in fields for fields in objects):
        return
    customized_response_dict["Contents"] = objects
    response_dict["body"] = b"".join([before, *(after for _, _, after in parts)])


def _parse_object(entry: bytes) -> dict[str, object]:
    values: dict[str, object] = {name.decode(): _unescaped(text) for name, text in _FIELD.findall(entry)}
    if "Size" in values:
        values["Size"] = int(str(values["Size"]))
    if "LastModified" in values:
        values["LastModified"] = parse_time(values["LastModified"])
    return values


def _unescaped(text: bytes) -> str:
    return text.decode() if b"&" not in text else ElementTree.fromstring(b"<a>%b</a>" % text).text or ""


def parse_time(value: object) -> datetime:
    """A time in the form of S3's listings (ISO 8601), or in any other that S3 uses."""
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        from botocore.utils import parse_timestamp

        parsed: datetime = parse_timestamp(value)
        return parsed
