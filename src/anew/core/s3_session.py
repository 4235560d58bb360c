"""The session of S3 that stores are opened with. A plain one takes three times as long for the pages of a listing, as it reads
every element of them by its schema, and parses each time as if it could have any form."""

from __future__ import annotations

import functools
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

FIELDS = ("Key", "Size", "ETag", "LastModified", "StorageClass")  # of an object, as far as stores and Anew read them


@functools.cache
def s3_session() -> object:
    """An `aiobotocore.session.AioSession`, always the same one, as stores are kept by what they are opened with."""
    from aiobotocore.session import AioSession

    session = AioSession()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
    session.register("before-parse.s3.ListObjectsV2", parse_objects)
    return session


def parse_objects(
    response_dict: MutableMapping[str, Any], customized_response_dict: MutableMapping[str, Any], **_: object
) -> None:
    """Parse the objects of a page of a listing, and leave the remainder of the page to botocore.

    Args:
        response_dict: The response, whose `body` loses its objects.
        customized_response_dict: Receives `Contents`, where there are objects.
    """
    if response_dict["status_code"] >= 300 or b"<Contents>" not in response_dict["body"]:
        return
    try:
        page = ElementTree.fromstring(response_dict["body"])
    except ElementTree.ParseError:
        return  # botocore says what is wrong with it
    namespace = page.tag[: page.tag.rfind("}") + 1]
    names = {namespace + field: field for field in FIELDS}
    entries = page.findall(f"{namespace}Contents")
    customized_response_dict["Contents"] = [_parse_object(entry, names) for entry in entries]
    for entry in entries:
        page.remove(entry)
    response_dict["body"] = ElementTree.tostring(page)


def _parse_object(entry: ElementTree.Element, names: dict[str, str]) -> dict[str, object]:
    values: dict[str, Any] = {names[field.tag]: field.text or "" for field in entry if field.tag in names}
    for name, convert in (("Size", int), ("LastModified", parse_time)):
        if name in values:
            values[name] = convert(values[name])
    return values


def parse_time(value: object) -> datetime:
    """A time in the form of S3's listings (ISO 8601), or in any other that S3 uses."""
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        from botocore.utils import parse_timestamp

        parsed: datetime = parse_timestamp(value)
        return parsed
