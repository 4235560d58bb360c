"""Times as S3 gives them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from anew.core.s3_session import parse_time, s3_session


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
