"""Processes whose events a page waits for."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from anew.server.errors import ApiError
from anew.server.server_sent_events import Json
from anew.studio_app import child_events as child_events_module
from anew.studio_app import data_routes, toy_comparison_routes
from anew.studio_app.child_events import child_events


class Page:
    """A request of a page that is open."""

    async def is_disconnected(self) -> bool:
        return False


REQUEST: Any = Page()


def events_of(program: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[Json]:
    """The events that a program of Python writes."""
    monkeypatch.setattr(child_events_module, "own_command", lambda *words: [sys.executable, "-c", program])

    async def read() -> list[Json]:
        async with aclosing(child_events(REQUEST, "x", [], failure="it failed", **options)) as events:
            return [event async for event in events]

    return asyncio.run(read())


def test_a_process_that_ends_before_its_last_event_has_failed(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with pytest.raises(ApiError, match="it failed"):
        events_of("print('a warning'); print(7); raise SystemExit('why')", monkeypatch)
    sys.stderr.flush()
    assert capfdbinary.readouterr().err == b"a warning\n7\nwhy\n"


def test_a_process_has_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_events_module, "SECONDS_BETWEEN_CHECKS", 0.02)
    with pytest.raises(ApiError, match="too long"):
        events_of("import time; time.sleep(60)", monkeypatch, seconds=0.1, too_late="it took too long")


def inspection() -> Any:
    return data_routes._inspection_events(REQUEST, Path("data"), "{}", asyncio.Semaphore(1))


def toy_comparison() -> Any:
    return toy_comparison_routes._comparison_events(REQUEST, toy_comparison_routes.ToyComparisonBody())


@pytest.mark.parametrize("answer", [inspection, toy_comparison])
def test_a_process_is_killed_when_its_page_is_left(answer: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page that was left during an inspection left its process behind, which read on beside the training."""
    program = "import json, os, time; print(json.dumps({'pid': os.getpid()}), flush=True); time.sleep(60)"
    monkeypatch.setattr(child_events_module, "own_command", lambda *words: [sys.executable, "-c", program])

    async def leave() -> None:
        """As Starlette ends a response: whatever it awaits is cancelled, again and again."""
        pids: list[int] = []

        async def send() -> None:
            async with aclosing(answer()) as events:
                async for event in events:
                    pids.append(event["pid"])

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            while not pids:
                await asyncio.sleep(0.01)
            group.cancel_scope.cancel()
        await ends(pids[0])

    asyncio.run(leave())


async def ends(pid: int) -> None:
    """Wait until a process has ended, at most two seconds."""
    ends_at = time.monotonic() + 2.0
    while time.monotonic() < ends_at:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            await asyncio.sleep(0.05)  # its pipes are closed
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"process {pid} goes on")
