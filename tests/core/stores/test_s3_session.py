"""Times and listings as S3 gives them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from anew.core.stores.s3_session import parse_objects, parse_time, s3_session


@pytest.mark.parametrize(
    "text", ["2026-11-28T07:30:00.000Z", "2026-11-28T07:30:00Z", "Sat, 28 Nov 2026 07:30:00 GMT", "1795851000"]
)
def test_times_of_all_forms(text: str) -> None:
    if "," in text or text.isdigit():
        pytest.importorskip("botocore", reason="the extra s3 is not installed")
    assert parse_time(text) == datetime(2026, 11, 28, 7, 30, tzinfo=UTC)


def test_there_is_one_session() -> None:
    pytest.importorskip("aiobotocore", reason="the extra s3 is not installed")
    assert s3_session() is s3_session()


LISTING = SimpleNamespace(name="ListObjectsV2")
PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult{namespace}><Name>b</Name><IsTruncated>true</IsTruncated>
<Contents><Key>a%20&amp;b.txt</Key><LastModified>2026-11-28T07:30:00.000Z</LastModified><ETag>&quot;1f&quot;</ETag>
<Size>12</Size><Owner><ID>o</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>
<Contents><Key>c.txt</Key><Size>0</Size></Contents>
<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes><NextContinuationToken>t</NextContinuationToken></ListBucketResult>"""


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
def test_a_page_of_a_listing_is_what_botocore_makes_of_it(namespace: str) -> None:
    pytest.importorskip("botocore", reason="the extra s3 is not installed")
    from botocore.parsers import ResponseParserFactory
    from botocore.session import get_session

    shape = get_session().get_service_model("s3").operation_model("ListObjectsV2").output_shape
    parser = ResponseParserFactory().create_parser("rest-xml")
    response = {"body": PAGE.format(namespace=namespace).encode(), "headers": {}, "status_code": 200, "context": {}}
    expected = parser.parse(response, shape)
    objects: dict[str, Any] = {}
    parse_objects(LISTING, response, objects)
    parsed = parser.parse(response, shape) | objects
    del expected["Contents"][0]["Owner"]  # nobody reads it
    assert parsed == expected
    assert [entry["Key"] for entry in parsed["Contents"]] == ["a%20&b.txt", "c.txt"]


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<ListBucketResult></ListBucketResult>"), (503, b"<Contents>"), (200, b"<Contents>")]
)
def test_other_responses_are_left_to_botocore(status: int, body: bytes) -> None:
    response, objects = {"body": body, "headers": {}, "status_code": status}, dict[str, Any]()
    parse_objects(LISTING, response, objects)
    assert response["body"] == body
    assert objects == {}


@pytest.mark.parametrize(
    ("body", "status"),
    [(PAGE.format(namespace=""), 200), ("<Error><Code>InternalError</Code></Error>", 500), ("<Lis", 500)],
)
def test_a_page_is_read_once_and_errors_among_pages_are_still_found(
    body: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiobotocore", reason="the extra s3 is not installed")
    handlers = pytest.importorskip("botocore.handlers")
    checked: list[bytes] = []
    check = handlers._looks_like_special_case_error
    monkeypatch.setattr(
        handlers, "_looks_like_special_case_error", lambda code, text: checked.append(text) or check(code, text)
    )
    session: Any = s3_session()
    model = asyncio.run(session.get_service_model("s3"))
    response: dict[str, Any] = {"body": body.encode(), "headers": {}, "status_code": 200}
    objects: dict[str, Any] = {}
    emission = session.get_component("event_emitter").emit(
        "before-parse.s3.ListObjectsV2",
        operation_model=model.operation_model("ListObjectsV2"),
        response_dict=response,
        customized_response_dict=objects,
    )
    asyncio.run(emission)
    assert response["status_code"] == status
    assert len(checked) == 1 and b"<Contents>" not in checked[0]
    assert len(objects.get("Contents", [])) == (2 if status == 200 else 0)
