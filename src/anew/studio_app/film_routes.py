"""Routes of the Studio for the film of a training run, its copying test, and excerpts of source code."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from anew.errors import RunError
from anew.runs import film, snapshots
from anew.server.faults import ApiError, bad_request
from anew.studio_app.run_summary import copying_test
from anew.studio_app.source_lines import SOURCES, source_lines
from anew.studio_app.studio import Studio


def add_film(app: FastAPI, studio: Studio) -> None:
    """Add the routes."""

    @app.get("/api/film")
    async def frames(request: Request) -> Response:
        try:
            path = await run_in_threadpool(studio.run, request.query_params.get("run", ""))
        except ApiError as error:
            if error.status != 404:
                raise
            # A job that is queued, or has just begun, has no folder yet
            return JSONResponse({"steps": [], "weights": []})
        weights = [asdict(snapshot) for snapshot in await run_in_threadpool(snapshots.snapshots, path)]
        return JSONResponse({"steps": await run_in_threadpool(film.frames, path), "weights": weights})

    @app.get("/api/film/frame")
    async def frame(request: Request) -> Response:
        path = await run_in_threadpool(studio.run, request.query_params.get("run", ""))
        text = request.query_params.get("step", "")
        if text and not (text.isascii() and text.isdecimal() and len(text) <= 15):
            raise bad_request("'step' must be the number of a frame")
        try:
            data = await run_in_threadpool(film.read, path, int(text) if text else None)
        except RunError as error:
            raise ApiError(404, str(error)) from None
        return Response(data, media_type="application/octet-stream")

    @app.get("/api/copies")
    async def copies(request: Request) -> Response:
        path = await run_in_threadpool(studio.run, request.query_params.get("run", ""))
        return JSONResponse(await run_in_threadpool(_copies, path))

    @app.get("/api/source")
    async def source(request: Request) -> Response:
        name = request.query_params.get("name", "")
        if name not in SOURCES:
            raise ApiError(404, "unknown excerpt of the source code")
        return JSONResponse(await run_in_threadpool(source_lines, name))


def _copies(run: Path) -> dict[str, object]:
    """The copying test of a run, and whether the run has a report."""
    return copying_test(run) | {"has_report": (run / "report" / "report.html").is_file()}
