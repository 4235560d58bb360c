"""Responses of server-sent events. Does not import PyTorch."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

from starlette.responses import Response, StreamingResponse

from anew.errors import AnewError, RunError
from anew.server.errors import ApiError, bad_request

Json = Mapping[str, object]


class ClientGoneError(Exception):
    """The client has disconnected."""


def event_stream(values: AsyncGenerator[Json, None], trailer: str = "") -> Response:
    """A response of server-sent events, where an error is the last value. trailer: what follows it."""

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
        if trailer:
            yield trailer.encode()

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _event(value: Json) -> bytes:
    """An event, named by the "type" of its value. RunError for one with NaN or an infinite number, of which JSON has none."""
    name = f"event: {value['type']}\n" if "type" in value else ""
    try:
        data = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except ValueError:
        from anew.families.base import NOT_FINITE

        raise RunError(NOT_FINITE) from None
    return f"{name}data: {data}\n\n".encode(errors="replace")
