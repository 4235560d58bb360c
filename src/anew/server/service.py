"""The state of a server, and its answers in progress: watch the client, measure and limit the time, and cancel what is left at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from anew.server.catalog import Catalog, CatalogEntry
from anew.server.errors import ApiError
from anew.server.limits import Limits
from anew.server.metrics import Metrics, RequestClock
from anew.server.server_sent_events import ClientGoneError, Json, event_stream
from anew.server.worker import Task

DISCONNECT_POLL_SECONDS = 0.25  # time between two checks whether the client is still connected
CLIENT_CLOSED_REQUEST = 499  # nginx's status; nobody receives it
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Service:
    """State common to all routes of a server.

    Attributes:
        catalog: Its models.
        chats: Whether the last message of a chat is taken as a prompt.
    """

    catalog: Catalog
    limits: Limits
    metrics: Metrics
    chats: bool = False

    @asynccontextmanager
    async def in_progress(
        self, request: Request, entry: CatalogEntry, tasks: Sequence[Task]
    ) -> AsyncIterator[RequestClock]:
        """A context in which to await tasks. It ends when the time is up or the client disconnects, and cancels the tasks.

        Raises:
            ApiError: 504 the time is up.
            ClientGoneError: The client has disconnected.
        """

        async def watch() -> None:
            while not await request.is_disconnected():
                await asyncio.sleep(DISCONNECT_POLL_SECONDS)
            entry.worker.cancel(tasks)
            tasks[0].fail(ClientGoneError())

        watcher = asyncio.create_task(watch())
        try:
            async with asyncio.timeout(self.limits.request_seconds):
                with self.metrics.clock(entry.name) as clock:
                    yield clock
        except TimeoutError:
            message = f"the answer took longer than {self.limits.request_seconds:g} s; ask for less, or try again later"
            raise ApiError(504, message, code="timeout") from None
        finally:
            watcher.cancel()
            entry.worker.cancel(tasks)
            with suppress(asyncio.CancelledError):
                await watcher

    async def answer(
        self,
        request: Request,
        entry: CatalogEntry,
        tasks: Sequence[Task],
        make: Callable[[RequestClock], Awaitable[AnswerT]],
    ) -> AnswerT | Response:
        """The answer that `make` returns once the tasks are finished."""
        try:
            async with self.in_progress(request, entry, tasks) as clock:
                return await make(clock)
        except ClientGoneError:
            return Response(status_code=CLIENT_CLOSED_REQUEST)

    def stream(
        self,
        request: Request,
        entry: CatalogEntry,
        tasks: Sequence[Task],
        make: Callable[[RequestClock], AsyncIterator[Json]],
        ends_with_done: bool = True,
    ) -> Response:
        """A response of server-sent events: the values that `make` yields, where an error is the last."""

        async def values() -> AsyncGenerator[Json, None]:
            async with self.in_progress(request, entry, tasks) as clock:
                async for value in make(clock):
                    yield value

        return event_stream(values(), "data: [DONE]\n\n" if ends_with_done else "")
