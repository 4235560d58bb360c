"""The server from start to end, and as an ASGI app: paths for its state (health, models, metrics), errors, and the log.

Other modules add their own paths.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anew.core.version import __version__
from anew.errors import printable
from anew.server.answer_schemas import Health, ServedModel, ServedModels
from anew.server.catalog import Catalog
from anew.server.guard import KeyGuard, SiteGuard, add_error_handlers
from anew.server.image_routes import add_image_routes
from anew.server.item_routes import add_item_routes
from anew.server.limits import Limits
from anew.server.listening import Server, listen
from anew.server.metrics import Metrics
from anew.server.reference import reference_page
from anew.server.schemas import TEXT, complete_schema, route_schema
from anew.server.service import Service
from anew.server.text_routes import add_text_routes
from anew.server.videos import add_video_routes

LOGGER = logging.getLogger("anew.server.requests")
MAX_PATH = 200  # characters of a path
ABORTED = 499  # nginx' status of requests whose client went away before the answer began
TITLE = "Anew"
TAG = "Server"
METHODS = ("GET", "POST", "DELETE")
EXPOSED_HEADERS = ("Retry-After", "Content-Disposition")  # what a page of another site may read besides the body
REFUSALS = {
    404: "unknown path; /docs and /openapi.json list all of them",
    405: "this path does not take this method; see /docs",
}
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class RequestLog:
    """Logs the requests that an app answers, without queries, headers and bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began_at, status = time.monotonic(), ABORTED

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_record)
        finally:
            path = printable(scope["path"])[:MAX_PATH]
            LOGGER.info("%s %s %d %.3f s", scope["method"], path, status, time.monotonic() - began_at)


class ApiApp(FastAPI):
    """An app whose description is completed by `complete_schema`. needs_key: whether requests must give a key."""

    def __init__(self, needs_key: bool) -> None:
        # FastAPI's own pages load scripts from other sites, so /docs is made here.
        super().__init__(title=TITLE, version=__version__, docs_url=None, redoc_url=None)
        self.needs_key = needs_key

    def openapi(self) -> dict[str, object]:
        if not self.openapi_schema:
            self.openapi_schema = complete_schema(super().openapi(), self.needs_key)
        return self.openapi_schema


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where a server listens, and to whom it answers what.

    Attributes:
        host: The address that it listens on.
        port: Its port; 0 takes a free one.
        keys: Bearer keys, one of which each request must send; none: no key is needed.
        chats: Whether the last message of a chat is taken as a prompt.
        origins: Sites whose pages may ask, as in the header Origin; "*": those of any site.
    """

    host: str = "127.0.0.1"
    port: int = 0
    keys: Sequence[str] = ()
    chats: bool = False
    origins: Sequence[str] = ()


def make_app(catalog: Catalog, limits: Limits, options: ServerOptions) -> FastAPI:
    """The server as an ASGI app. The caller stops the catalog, which has its models."""
    app = ApiApp(needs_key=bool(options.keys))
    add_error_handlers(app, REFUSALS, "the log of the server has its traceback")
    service = Service(catalog, limits, Metrics(catalog.counts), options.chats)
    _add_state_routes(app, service)
    add_text_routes(app, service)
    add_image_routes(app, service)
    add_item_routes(app, service)
    add_video_routes(app, service)
    # The last one is the first to see a request. Browsers ask without a key whether a page may send one.
    app.add_middleware(KeyGuard, keys=options.keys)
    if options.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=options.origins,
            allow_methods=METHODS,
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(SiteGuard, host=options.host, origins=options.origins)
    app.add_middleware(RequestLog)
    return app


def _add_state_routes(app: FastAPI, service: Service) -> None:
    @app.get(
        "/health",
        summary="Whether the server is up",
        **route_schema("get_health", TAG, answer=Health, is_open=True),
    )
    @app.get("/v1/health", include_in_schema=False)
    async def health() -> Health:
        return Health(status="ok")

    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        return RedirectResponse("docs")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        names = [entry.name for entry in service.catalog.entries]
        return HTMLResponse(reference_page(app.openapi(), names, str(request.base_url).rstrip("/")))

    @app.get("/metrics", summary="Metrics for Prometheus", **route_schema("get_metrics", TAG, None, TEXT))
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": PROMETHEUS})

    @app.get("/v1/models", summary="All models", **route_schema("list_models", TAG, answer=ServedModels))
    async def models() -> ServedModels:
        return ServedModels(object="list", data=[entry.to_answer() for entry in service.catalog.entries])

    @app.get("/v1/models/{name}", summary="One model", **route_schema("get_model", TAG, answer=ServedModel))
    async def model(name: str) -> ServedModel:
        return service.catalog.entry(name).to_answer()


def run_server(
    runs: Sequence[Path],
    options: ServerOptions,
    limits: Limits,
    device: str,
    trust_code: bool,
    on_ready: Callable[[str, list[str]], None],
) -> None:
    """Serve until Ctrl-C or SIGTERM; see `anew.api.serve`."""
    listener = listen(options.host, options.port)
    with contextlib.closing(listener):
        catalog = Catalog(runs, device, trust_code, limits)
        try:
            app = make_app(catalog, limits, options)
            port = listener.getsockname()[1]
            shown_host = f"[{options.host}]" if ":" in options.host else options.host
            on_ready(f"http://{shown_host}:{port}", [entry.name for entry in catalog.entries])
            Server(app, "warning", int(limits.stop_seconds)).run_until_stopped(listener)
        finally:
            catalog.stop()
