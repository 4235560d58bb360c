"""Stores that fail: what is tried again, and what is said of what cannot help."""

from __future__ import annotations

import errno
import logging
import math
from collections.abc import Callable

import pytest

from anew.core.stores import addresses
from anew.errors import DataError


def failing(error: Exception, calls: list[int]) -> Callable[[], None]:
    def action() -> None:
        calls.append(1)
        raise error

    return action


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(addresses, "_logged_at", [-math.inf])


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free some space on this machine"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "free some space on this machine"),
        (PermissionError(errno.EACCES, "Permission denied", "/cache/x"), "check your permissions of '/cache/x'"),
        (PermissionError("Access Denied"), "check your permissions there"),
    ],
)
def test_faults_of_this_machine_are_told_at_once(error: Exception, advice: str) -> None:
    calls: list[int] = []
    with pytest.raises(DataError, match=advice):
        addresses.with_retries(failing(error, calls), "s3://bucket/x")
    assert len(calls) == 1


def test_a_bug_is_no_fault_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    action = failing(AttributeError("'NoneType' object has no attribute 'foo'"), calls)
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    with pytest.raises(DataError, match="check the address and the network"):
        addresses.with_retries(action, "s3://bucket/x")  # an error of the client, as for an answer without a body
    own: dict[str, Callable[[], None]] = {}
    exec("def action(): return None.foo", {"__name__": "anew.runs.mirror"}, own)
    with pytest.raises(AttributeError):
        addresses.with_retries(own["action"], "s3://bucket/x")


class AnswerError(Exception):
    """As botocore's ClientError."""

    def __init__(self, operation: str, code: str, status: int) -> None:
        super().__init__(f"An error occurred ({code}) when calling the {operation} operation: {code} said")
        self.operation_name = operation
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


def after(cause: Exception, error: Exception) -> Exception:
    """The error as a client raises it: because of the cause."""
    error.__cause__, cause.__context__ = cause, error  # a circle, as where it was raised again
    return error


def named(name: str, text: str) -> Exception:
    error: Exception = type(name, (Exception,), {})(text)
    return error


@pytest.mark.parametrize(
    ("error", "verb", "sentence"),
    [
        (
            after(AnswerError("ListObjectsV2", "NoSuchBucket", 404), FileNotFoundError("The bucket does not exist")),
            "read",
            "cannot be read, as its bucket does not exist; check the address",
        ),
        (
            after(AnswerError("HeadBucket", "404", 404), FileNotFoundError("Not Found")),
            "read",
            "cannot be read, as its bucket does not exist; check the address",
        ),
        (
            after(AnswerError("HeadObject", "404", 404), FileNotFoundError("Not Found")),
            "read",
            "there is nothing at 's3://bucket/x'; check the address",
        ),
        (
            after(AnswerError("PutObject", "InsufficientStorage", 507), OSError(errno.EIO, "An error occurred")),
            "written",
            "cannot be written (the store is full); free some space there",
        ),
        (
            named(
                "ClientPayloadError", "Response payload is not completed: <ContentLengthError: 400, message='Not enough"
            ),
            "read",
            "cannot be read (the connection was cut before the end of the file); check the address and the network",
        ),
        (
            named("FSTimeoutError", ""),
            "read",
            "cannot be read (the server sent nothing for a minute); check the address and the network",
        ),
        (
            named("ReadTimeoutError", 'Read timeout on endpoint URL: "http://127.0.0.1:7312/b"'),
            "read",
            "cannot be read (the server sent nothing for 20 s); check the address and the network",
        ),
    ],
)
def test_the_sentence_says_what_happened(
    monkeypatch: pytest.MonkeyPatch, error: Exception, verb: str, sentence: str
) -> None:
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    with pytest.raises(DataError) as refusal:
        addresses.with_retries(failing(error, []), "s3://bucket/x", verb=verb)
    assert str(refusal.value).removeprefix("'s3://bucket/x' ") == sentence


def test_a_long_wait_is_announced_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(addresses.time, "monotonic", lambda: float(next(clock)))
    with caplog.at_level(logging.INFO, "anew.stores"):
        for name in ("x", "y"):  # requests of one store that fail together
            with pytest.raises(DataError, match="connection reset"):
                addresses.with_retries(failing(ConnectionResetError("connection reset"), []), f"s3://bucket/{name}")
    assert caplog.messages == ["s3://bucket/x cannot be read yet (connection reset); retrying for up to a minute"]


def test_an_endpoint_without_a_scheme_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    with pytest.raises(DataError, match=r"AWS_ENDPOINT_URL is '127.0.0.1:9000', without http:// or https://"):
        addresses.open_store("s3://bucket/x")


def test_attempts_of_the_client_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait 15 s, five times in each of five attempts, before it said that a store does not answer."""
    s3fs = pytest.importorskip("s3fs")
    s3fs.S3FileSystem.clear_instance_cache()
    system, _ = addresses.open_store("s3://bucket/x")
    assert isinstance(system, s3fs.S3FileSystem) and system.retries == 1
    attempts = addresses.RETRY_S / addresses.ANSWER_S
    assert system.config_kwargs["read_timeout"] == addresses.ANSWER_S and attempts >= 3
    assert system.config_kwargs["retries"] == {"total_max_attempts": 1}
    s3fs.S3FileSystem.clear_instance_cache()
