"""The state of a server, and its answers in progress: watch the client, measure and limit the time, and cancel what is left at the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from anew.errors import AnewError, RunError
from anew.families.base import NOT_FINITE
from anew.server.catalog import Catalog, CatalogEntry
from anew.server.faults import ApiError, bad_request
from anew.server.limits import Limits
from anew.server.metrics import Metrics, RequestClock
from anew.server.worker import Task

DISCONNECT_POLL_SECONDS = 0.25  # between two checks whether the client is still connected
CLIENT_CLOSED_REQUEST = 499  # nginx's status; nobody receives it
Json = Mapping[str, object]
AnswerT = TypeVar("AnswerT")


class ClientGoneError(Exception):
    """The client has disconnected."""


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


def event_stream(values: AsyncGenerator[Json, None], last: str = "") -> Response:
    """A response of server-sent events, where an error is the last value. last: what follows it."""

    async def events() -> AsyncIterator[bytes]:
        try:
            async with aclosing(values):
                async for value in values:
                    yield _event(value)
        except ApiError as error:
            yield _event(error.body())
        except AnewError as error:
            yield _event(bad_request(str(error)).body())
        except ClientGoneError:
            return
        if last:
            yield last.encode()

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _event(value: Json) -> bytes:
    """An event, named by the "type" of its value. RunError for one with NaN or an infinite number, of which JSON has none."""
    name = f"event: {value['type']}\n" if "type" in value else ""
    try:
        data = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except ValueError:
        raise RunError(NOT_FINITE) from None
    return f"{name}data: {data}\n\n".encode(errors="replace")
