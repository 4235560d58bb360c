"""The Studio as an ASGI app, with the routes that show runs.

The part that uses models is created at its first request, since it imports PyTorch, which other pages do not need.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from anew.core import files
from anew.core.version import __version__
from anew.server.faults import ApiError, bad_request
from anew.studio_app.data_routes import add_data
from anew.studio_app.faults import add_faults
from anew.studio_app.film_routes import add_film
from anew.studio_app.guard import REPORT_POLICY, StudioGuard
from anew.studio_app.job_routes import add_jobs
from anew.studio_app.race_routes import add_race
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


STATIC = Path(__file__).parent / "static"
SAMPLE_FILE = re.compile(r"[^/\\\0]{1,255}\.(png|txt)")
MEDIA = {"png": "image/png", "txt": "text/plain; charset=utf-8"}
# Largest files that are sent: those of Anew are smaller, but a run of somebody else may hold any.
SHEET_BYTES, REPORT_BYTES = 32 * 2**20, 256 * 2**20


class _Static(StaticFiles):
    """Files of the page. Browsers check each time whether they have changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["cache-control"] = "no-cache"
        return answer


def make_app(studio: Studio, host: str, port: int, token: str) -> FastAPI:
    """The Studio as an ASGI app.

    Args:
        studio: Its state.
        host: The address that it listens on.
        port: Its port.
        token: Token of its address.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with studio.watcher.running():
            yield

    app = FastAPI(version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    add_faults(app)

    @app.get("/")
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    _add_runs(app, studio)
    add_jobs(app, studio)
    add_data(app, studio)
    add_film(app, studio)
    add_race(app)
    app.mount("/api/play", PlayApp(studio))
    app.mount("/static", _Static(directory=STATIC))
    app.add_middleware(StudioGuard, host=host, port=port, token=token)
    return app


def _add_runs(app: FastAPI, studio: Studio) -> None:
    @app.get("/api/runs")
    async def runs() -> Response:
        values = await run_in_threadpool(studio.summaries)
        comparisons = await run_in_threadpool(studio.comparisons)
        folder = studio.folder.root.name
        return JSONResponse({"folder": folder, "first": studio.first, "runs": values, "comparisons": comparisons})

    @app.get("/api/comparison")
    async def comparison(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(studio.comparison, _name(request, "id")))

    @app.get("/api/comparison/page")
    async def comparison_page(request: Request) -> Response:
        path = await run_in_threadpool(studio.comparison_page, _name(request, "id"))
        return await run_in_threadpool(_report, path.parent, path.name)

    @app.get("/api/run")
    async def run(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(studio.detail, _name(request, "run")))

    @app.get("/api/curves")
    async def curves(request: Request) -> Response:
        path = await run_in_threadpool(studio.run, _name(request, "run"))
        return JSONResponse({"parts": await run_in_threadpool(studio.logs.curves, path)})

    @app.get("/api/stream")
    async def stream() -> Response:
        return StreamingResponse(_changes(studio), media_type="text/event-stream")

    @app.get("/api/sheet")
    async def sheet(request: Request) -> Response:
        path, name = await run_in_threadpool(studio.run, _name(request, "run")), _name(request, "file")
        match = SAMPLE_FILE.fullmatch(name)
        if match is None:
            raise bad_request("this is not the file name of a sample sheet")
        return await run_in_threadpool(_file, path / "samples", name, SHEET_BYTES, MEDIA[match[1]])

    @app.get("/api/report")
    async def report(request: Request) -> Response:
        path = await run_in_threadpool(studio.run, _name(request, "run"))
        return await run_in_threadpool(_report, path / "report", "report.html")


def _name(request: Request, field: str) -> str:
    value = request.query_params.get(field, "")
    if not value:
        raise bad_request(f"the parameter {field!r} is missing in the address")
    return value


def _file(folder: Path, name: str, max_bytes: int, media: str) -> Response:
    """A regular file of a run; ApiError 404 if there is none."""
    files.check_folder(folder)
    if not (folder / name).exists():
        raise ApiError(404, f"there is no {name} in this run")
    return Response(files.read(folder / name, max_bytes), media_type=media, headers={"content-disposition": "inline"})


def _report(folder: Path, name: str) -> Response:
    """A page of a run, with scripts and requests disabled."""
    answer = _file(folder, name, REPORT_BYTES, "text/html; charset=utf-8")
    answer.headers["content-security-policy"] = REPORT_POLICY
    return answer


async def _changes(studio: Studio) -> AsyncIterator[str]:
    """Server-sent events with the names of runs that changed. The first event says that the stream is open."""
    yield "retry: 1000\nevent: open\ndata: {}\n\n"
    async for names in studio.watcher.changes():
        yield ": alive\n\n" if names is None else f"event: changed\ndata: {json.dumps(names)}\n\n"
