"""The routes of a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from anew.core.version import __version__
from anew.server.bodies import CompletionBody, parse
from anew.server.catalog import Catalog, Entry
from anew.server.completions import Answer, requests_of
from anew.server.faults import ApiError
from anew.server.guard import Guard, error_response, json_body
from anew.server.limits import Limits
from anew.server.work import Work

SECONDS_BETWEEN_LOOKS = 0.25  # for clients that went away
CLIENT_CLOSED_REQUEST = 499  # nginx's word for it; nobody reads it
TITLE = "Anew"


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


def make_app(catalog: Catalog, limits: Limits, host: str, keys: Sequence[str]) -> FastAPI:
    """The server as an ASGI app.

    Args:
        catalog: Its models.
        limits: What it grants.
        host: The address that it listens on.
        keys: Bearer keys; none: all may ask.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(catalog.stop)

    # FastAPI's own pages load their scripts from elsewhere.
    app = FastAPI(title=TITLE, version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)
    _add_models(app, catalog)
    _add_completions(app, catalog, limits)
    app.add_middleware(Guard, host=host, keys=keys)
    return app


def _add_models(app: FastAPI, catalog: Catalog) -> None:
    @app.get("/health", summary="Whether the server answers")
    @app.get("/v1/health", include_in_schema=False)
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get("/v1/models", summary="The models")
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": [entry.to_json() for entry in catalog.entries]})

    @app.get("/v1/models/{name}", summary="One model")
    async def model(name: str) -> Response:
        return JSONResponse(catalog.entry(name).to_json())


def _add_completions(app: FastAPI, catalog: Catalog, limits: Limits) -> None:
    schema = {"application/json": {"schema": CompletionBody.model_json_schema()}}

    @app.post(
        "/v1/completions",
        summary="Continue texts",
        openapi_extra={"requestBody": {"required": True, "content": schema}},
    )
    async def completions(request: Request) -> Response:
        body = parse(CompletionBody, await json_body(request, limits))
        entry = catalog.text_entry(body.model)
        answer = Answer(body, entry, await run_in_threadpool(requests_of, body, entry))
        entry.worker.submit(answer.works)
        if body.stream:
            events = _events(request, entry, answer, limits)
            return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        try:
            async with _place(request, entry, answer.works, limits):
                return JSONResponse(await answer.whole())
        except ClientGoneError:
            return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _events(request: Request, entry: Entry, answer: Answer, limits: Limits) -> AsyncIterator[str]:
    """A stream of server-sent events; an error is the last of them."""
    try:
        async with _place(request, entry, answer.works, limits):
            async for chunk in answer.chunks():
                yield _event(chunk)
    except ApiError as error:
        yield _event(error.body())
    except ClientGoneError:
        return
    yield "data: [DONE]\n\n"


def _event(value: object) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


@asynccontextmanager
async def _place(request: Request, entry: Entry, works: Sequence[Work], limits: Limits) -> AsyncIterator[None]:
    """While works are waited for: in time, and as long as the client is there. Behind it they are cancelled."""

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        entry.worker.cancel(works)
        works[0].fail(ClientGoneError())

    watcher = asyncio.create_task(watch())
    try:
        async with asyncio.timeout(limits.request_seconds):
            yield
    except TimeoutError:
        message = f"the answer took longer than {limits.request_seconds:g} s; ask for less, or try again later"
        raise ApiError(504, message, code="timeout") from None
    finally:
        watcher.cancel()
        entry.worker.cancel(works)
        with suppress(asyncio.CancelledError):
            await watcher


# ---- errors ----


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router refuses."""
    assert isinstance(error, HTTPException)
    messages = {404: "there is no such path here; /openapi.json lists them", 405: "this path takes another method"}
    message = messages.get(error.status_code, str(error.detail))
    return error_response(ApiError(error.status_code, message, headers=dict(error.headers or {})))


async def _bug(request: Request, error: Exception) -> Response:
    return error_response(ApiError(500, "this is a bug in Anew; the log of the server has its traceback"))
