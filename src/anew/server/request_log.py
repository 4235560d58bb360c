"""A line of the log for each request: what was asked, the status of the answer, and how long it took."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anew.errors import printable

LOGGER = logging.getLogger("anew.server.requests")
MAX_PATH = 200  # characters of a path
ABORTED = 499  # nginx' status of requests whose client went away before the answer began


class RequestLog:
    """Logs the requests that an app answers, without queries, headers and bodies.

    Args:
        app: The app.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began_at, status = time.monotonic(), ABORTED

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            path = printable(scope["path"])[:MAX_PATH]
            LOGGER.info("%s %s %d %.3f s", scope["method"], path, status, time.monotonic() - began_at)
