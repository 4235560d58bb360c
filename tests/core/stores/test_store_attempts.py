"""Clients of stores try once and briefly. Fakes stand for gcsfs and adlfs: with the packages themselves, a server that is silent
and one that answers 503 were tried by hand (docs/log.md, 2026-11-29)."""

from __future__ import annotations

import asyncio
import functools
import time
from types import SimpleNamespace
from typing import Any

import pytest
from fsspec.asyn import AsyncFileSystem
from fsspec.exceptions import FSTimeoutError

from anew.core.stores import addresses, store_attempts
from anew.core.stores.store_attempts import ANSWER_S, CONNECT_S, bound_attempts
from anew.errors import DataError


class HttpError(Exception):
    """As of gcsfs: a code, and maybe no words."""

    def __init__(self, code: int) -> None:
        super().__init__("")
        self.code = code


def six_times(request: Any) -> Any:
    """As gcsfs decorates what sends requests."""

    @functools.wraps(request)
    async def tried(self: Any) -> None:
        for number in range(6):
            try:
                return await request(self)
            except HttpError:
                if number == 5:
                    raise
        return None

    return tried


class CloudStorage:
    """As `GCSFileSystem`."""

    def __init__(self, code: int, timeout: object = None) -> None:
        self.requests_timeout = timeout
        self.code = code
        self.num_requests = 0

    @six_times
    async def _request(self) -> None:
        self.num_requests += 1
        raise HttpError(self.code)

    def info(self, path: str) -> None:
        asyncio.run(self._request())


def test_a_client_of_google_tries_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    system: Any = CloudStorage(503)
    bound_attempts("gs", system)
    assert system.requests_timeout.sock_read == ANSWER_S and system.requests_timeout.sock_connect == CONNECT_S
    with pytest.raises(
        DataError, match=r"'gs://bucket/x' cannot be read \(the server answers 503, Service Unavailable"
    ):
        addresses.with_retries(lambda: system.info("bucket/x"), "gs://bucket/x")
    assert system.num_requests == 1
    own = CloudStorage(503, timeout=3.0)
    bound_attempts("gs", own)  # type: ignore[arg-type]
    assert own.requests_timeout == 3.0


def test_what_google_refuses_is_not_tried_again() -> None:
    system: Any = CloudStorage(403)
    pytest.importorskip("aiohttp")
    bound_attempts("gs", system)
    with pytest.raises(DataError, match=r"403, Forbidden\); check your permissions there"):
        addresses.with_retries(lambda: system.info("bucket/x"), "gs://bucket/x")
    assert system.num_requests == 1


@pytest.mark.parametrize("scheme", ["az", "abfs"])
def test_a_client_of_azure_tries_once(scheme: str) -> None:
    connection = SimpleNamespace(timeout=20, read_timeout=60)
    config = SimpleNamespace(
        retry_policy=SimpleNamespace(total_retries=3), transport=SimpleNamespace(connection_config=connection)
    )
    system: Any = SimpleNamespace(service_client=SimpleNamespace(_config=config))
    bound_attempts(scheme, system)
    assert config.retry_policy.total_retries == 0
    assert (connection.timeout, connection.read_timeout) == (CONNECT_S, ANSWER_S)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("ServiceResponseTimeoutError", "the server sent nothing for 20 s"),
     ("ServiceRequestTimeoutError", "no connection within 5 s")],
)  # fmt: skip
def test_silence_of_azure_is_said_as_that_of_others(monkeypatch: pytest.MonkeyPatch, name: str, reason: str) -> None:
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)

    def fail() -> None:
        raise type(name, (Exception,), {})("Timeout on reading data from socket")

    with pytest.raises(DataError, match=rf"'az://bucket/x' cannot be read \({reason}\)"):
        addresses.with_retries(fail, "az://bucket/x")


def test_downloads_that_fall_behind_are_given_up() -> None:
    begin = time.monotonic() - store_attempts.MAX_LAG_S - 10.0
    store_attempts.check_pace(11 * store_attempts.MIN_BYTES_PER_SECOND, begin)
    with pytest.raises(ValueError, match="it sends fewer than 1,024 bytes a second"):
        store_attempts.check_pace(9 * store_attempts.MIN_BYTES_PER_SECOND, begin)


class StuckStore(AsyncFileSystem):  # type: ignore[misc]
    """Takes nothing of what is sent."""

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: object) -> None:
        await asyncio.sleep(30.0)


def test_uploads_that_fall_behind_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """They waited without end: the clients' own limits begin once everything is sent."""
    monkeypatch.setattr(store_attempts, "MAX_LAG_S", 0.5)
    system = StuckStore()
    size = store_attempts.MIN_UPLOAD_BYTES_PER_SECOND // 2
    begin = time.monotonic()
    with pytest.raises(ValueError, match="it takes fewer than 131,072 bytes a second"):
        store_attempts.upload(system, functools.partial(system.pipe_file, "x", bytes(size)), size)
    assert 1.0 < time.monotonic() - begin < 20.0


def test_a_limit_of_the_client_itself_keeps_its_reason() -> None:
    def fail(timeout: float) -> None:
        raise FSTimeoutError

    with pytest.raises(FSTimeoutError):
        store_attempts.upload(StuckStore(), fail, 1)
