"""Tells open pages which runs changed. One look for all of them, however many are open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool

SECONDS_BETWEEN_LOOKS = 0.5  # at the folders of runs: steps are shown twice a second, and a look costs some file times
# Of life, to a page where nothing happens: browsers and proxies close silent connections after 30 to 60.
SECONDS_BETWEEN_SIGNS = 15.0
WATCHED = ("config.json", "events.jsonl", ".lock", "samples", "film", "report", "codec/events.jsonl", "pilots")
Signature = tuple[object, ...]


def signature(run: Path) -> Signature:
    """Changes whenever something in a run does."""
    values: list[object] = []
    for name in WATCHED:
        try:
            status = os.stat(run / name)
            values.append((status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            values.append(None)
    return tuple(values)


class Watcher:
    """Looks at runs and jobs, and says what changed.

    Args:
        look: Gives signatures by run; called in a thread.
    """

    def __init__(self, look: Callable[[], Mapping[str, Signature]]) -> None:
        self._look = look
        self._listeners: set[asyncio.Queue[list[str]]] = set()
        self._signatures: dict[str, Signature] = {}

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            signatures = dict(await run_in_threadpool(self._look))
            names = signatures.keys() | self._signatures.keys()
            changed = sorted(name for name in names if signatures.get(name) != self._signatures.get(name))
            self._signatures = signatures
            if changed:
                for listener in list(self._listeners):
                    self._tell(listener, changed)
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    @staticmethod
    def _tell(listener: asyncio.Queue[list[str]], changed: list[str]) -> None:
        """A page that does not listen gets all in one when it does: nothing piles up."""
        waiting: set[str] = set()
        with suppress(asyncio.QueueEmpty):
            while True:
                waiting |= set(listener.get_nowait())
        listener.put_nowait(sorted(waiting | set(changed)))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch as long as the context lasts."""
        task = asyncio.create_task(self.watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def changes(self) -> AsyncIterator[list[str] | None]:
        """Names of runs that changed; None now and then as a sign of life."""
        listener: asyncio.Queue[list[str]] = asyncio.Queue()
        self._listeners.add(listener)
        try:
            while True:
                try:
                    yield await asyncio.wait_for(listener.get(), SECONDS_BETWEEN_SIGNS)
                except TimeoutError:
                    yield None
        finally:
            self._listeners.discard(listener)
