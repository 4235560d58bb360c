"""The part of the Studio that uses models. It is created at its first request, since it imports PyTorch, which other pages do not need."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from anew.studio_app.faults import add_faults
from anew.studio_app.studio import Studio


class PlayApp:
    """An ASGI app that is created at its first request.

    Args:
        studio: The Studio.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._app: ASGIApp | None = None
        self._creating = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._creating:
            if self._app is None:
                self._app = await run_in_threadpool(self._create)
        await self._app(scope, receive, send)

    def _create(self) -> ASGIApp:
        from anew.studio_app.insight_routes import add_insights
        from anew.studio_app.play_routes import add_play
        from anew.studio_app.players import Players

        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        add_faults(app)
        players = Players()
        add_play(app, self._studio, players)
        add_insights(app, self._studio, players)
        return app
