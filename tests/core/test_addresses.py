"""Stores that fail: what is tried again, and what is said of what cannot help."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from anew.core import addresses
from anew.errors import DataError


def failing(error: Exception, calls: list[int]) -> Callable[[], None]:
    def action() -> None:
        calls.append(1)
        raise error

    return action


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses.time, "sleep", lambda seconds: None)


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
        addresses.reached(failing(error, calls), "s3://bucket/x")
    assert len(calls) == 1


def test_a_bug_is_no_fault_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    action = failing(AttributeError("'NoneType' object has no attribute 'foo'"), calls)
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    with pytest.raises(DataError, match="check the address and the network"):
        addresses.reached(action, "s3://bucket/x")  # of a client, as for an answer without a body
    own: dict[str, Callable[[], None]] = {}
    exec("def action(): return None.foo", {"__name__": "anew.runs.mirror"}, own)
    with pytest.raises(AttributeError):
        addresses.reached(own["action"], "s3://bucket/x")
