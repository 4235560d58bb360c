"""Tells open pages which runs changed. The runs are checked once for all pages."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from anew.core import files
from anew.runs import events, lock, timelapse
from anew.runs.paths import CONFIG

# Seconds between two checks of the folders of runs. Pages are updated twice a second; a check only reads some modification times
SECONDS_BETWEEN_CHECKS = 0.5
# Seconds between two signs of life to pages: browsers and proxies close silent connections after 30 to 60 seconds.
HEARTBEAT_SECONDS = 15.0
WATCHED = (
    CONFIG,
    events.NAME,
    lock.HOLDER,
    "samples",
    timelapse.FOLDER,
    timelapse.EARLIER_FOLDER,
    "report",
    f"codec/{events.NAME}",
    "pilots",
)
Signature = tuple[object, ...]


def signature(run: Path) -> Signature:
    """A signature of a run, which changes whenever the run does."""
    values: list[object] = []
    for name in WATCHED:
        try:
            values.append(files.change_stamp(os.stat(run / name)))
        except OSError:
            values.append(None)
    return tuple(values)


class Watcher:
    """Watches runs and jobs for changes. read_signatures: returns signatures by run; called in a thread."""

    def __init__(self, read_signatures: Callable[[], Mapping[str, Signature]]) -> None:
        self._read_signatures = read_signatures
        self._listeners: set[asyncio.Queue[list[str]]] = set()
        self._signatures: dict[str, Signature] = {}

    async def watch(self) -> None:
        """Check for changes, without end. Errors are logged, each until another one or a check without any comes."""
        logged = ""
        while True:
            try:
                await self._check()
                logged = ""
            except Exception as error:  # such as a full disk; the next check may succeed
                if logged != repr(error):
                    traceback.print_exception(error, file=sys.stderr)
                logged = repr(error)
            await asyncio.sleep(SECONDS_BETWEEN_CHECKS)

    async def _check(self) -> None:
        signatures = dict(await run_in_threadpool(self._read_signatures))
        names = signatures.keys() | self._signatures.keys()
        changed = sorted(name for name in names if signatures.get(name) != self._signatures.get(name))
        self._signatures = signatures
        if changed:
            for listener in list(self._listeners):
                self._notify(listener, changed)

    @staticmethod
    def _notify(listener: asyncio.Queue[list[str]], changed: list[str]) -> None:
        """Queue changes for a page. They are merged with those that it has not received yet, so the queue does not grow."""
        waiting: set[str] = set()
        with suppress(asyncio.QueueEmpty):
            while True:
                waiting |= set(listener.get_nowait())
        listener.put_nowait(sorted(waiting | set(changed)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A context in which changes are watched."""
        task = asyncio.create_task(self.watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def changes(self) -> AsyncIterator[list[str] | None]:
        """Yields the names of runs that changed, and None from time to time as a sign of life."""
        listener: asyncio.Queue[list[str]] = asyncio.Queue()
        self._listeners.add(listener)
        try:
            while True:
                try:
                    yield await asyncio.wait_for(listener.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield None
        finally:
            self._listeners.discard(listener)
