"""The Studio from start to end, and as an ASGI app, with the routes that show runs.

The part that uses models is created at its first request, since it imports PyTorch, which other pages do not need.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePath

from fastapi import FastAPI
from filelock import FileLock, Timeout
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from anew.core import files
from anew.core.version import __version__
from anew.core.wording import listed
from anew.errors import ConfigError, RunError, printable
from anew.server.errors import ApiError, bad_request
from anew.server.listening import Server, listen
from anew.studio_app.data_routes import add_data
from anew.studio_app.error_handlers import handle_errors
from anew.studio_app.guard import REPORT_POLICY, StudioGuard
from anew.studio_app.job_routes import add_jobs
from anew.studio_app.start_folder import StartFolder
from anew.studio_app.studio import Studio
from anew.studio_app.timelapse_routes import add_timelapse
from anew.studio_app.toy_comparison_routes import add_toy_comparison

STATIC = Path(__file__).parent / "static"
SAMPLE_FILE = re.compile(r"[^/\\\0]{1,255}\.(png|txt)")
MEDIA = {"png": "image/png", "txt": "text/plain; charset=utf-8"}
# Largest files that are sent: those of Anew are smaller, but a run of somebody else may hold any.
SHEET_BYTES, REPORT_BYTES = 32 * 2**20, 256 * 2**20
HOST = "127.0.0.1"
LOCK, PORT_FILE = "studio.lock", "port"  # files in the folder of its state
STOP_SECONDS = 1  # open streams are then cut off: pages never close them


class PlayApp:
    """An ASGI app that is created at its first request."""

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
        from anew.studio_app.explanation_routes import add_explanations
        from anew.studio_app.loaded_models import LoadedModels
        from anew.studio_app.play_routes import add_play

        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        handle_errors(app)
        loaded_models = LoadedModels()
        add_play(app, self._studio, loaded_models)
        add_explanations(app, self._studio, loaded_models)
        return app


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
        token: Token of its address.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with studio.watcher.running():
            yield

    app = FastAPI(version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    handle_errors(app)

    @app.get("/")
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    _add_runs(app, studio)
    add_jobs(app, studio)
    add_data(app, studio)
    add_timelapse(app, studio)
    add_toy_comparison(app)
    app.mount("/api/play", PlayApp(studio))
    app.mount("/static", _Static(directory=STATIC))
    app.add_middleware(StudioGuard, host=host, port=port, token=token)
    return app


def _add_runs(app: FastAPI, studio: Studio) -> None:
    """Add routes that read run folders; handlers that are not `async` run in threads."""

    @app.get("/api/runs")
    def runs() -> Response:
        values = studio.summaries()
        comparisons = studio.comparisons()
        folder = printable(studio.folder.root.name)
        return JSONResponse({"folder": folder, "first": studio.first, "runs": values, "comparisons": comparisons})

    @app.get("/api/comparison")
    def comparison(request: Request) -> Response:
        return JSONResponse(studio.comparison(_name(request, "id")))

    @app.get("/api/comparison/page")
    def comparison_page(request: Request) -> Response:
        path = studio.comparison_page(_name(request, "id"))
        return _report(path.parent, path.name)

    @app.get("/api/run")
    def run(request: Request) -> Response:
        return JSONResponse(studio.detail(_name(request, "run")))

    @app.get("/api/curves")
    def curves(request: Request) -> Response:
        path = studio.run(_name(request, "run"))
        return JSONResponse({"parts": studio.logs.curves(path)})

    @app.get("/api/stream")
    async def stream() -> Response:
        return StreamingResponse(_changes(studio), media_type="text/event-stream")

    @app.get("/api/sheet")
    def sheet(request: Request) -> Response:
        path, name = studio.run(_name(request, "run")), _name(request, "file")
        match = SAMPLE_FILE.fullmatch(name)
        if match is None:
            raise bad_request("this is not the file name of a sample sheet")
        return _file(path / "samples", name, SHEET_BYTES, MEDIA[match[1]])

    @app.get("/api/report")
    def report(request: Request) -> Response:
        path = studio.run(_name(request, "run"))
        return _report(path / "report", "report.html")


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


def open_studio(root: Path, runs: Sequence[Path], port: int, on_ready: Callable[[str], None]) -> None:
    """Serve the Studio until Ctrl-C or SIGTERM; see `anew.studio`.

    Args:
        root: The start folder.
        runs: Runs below it to open first.
        port: Port to listen on; 0 takes a free one.
        on_ready: Called with the address, token included, once the Studio is ready.
    """
    folder = StartFolder(root)
    folder.make_state()
    with _exclusive(folder), contextlib.closing(listen(HOST, port)) as listener:
        first = [folder.name(run.resolve()) for run in runs]
        studio = Studio(folder, first)
        token, number = folder.token(), listener.getsockname()[1]
        files.write_text(folder.state / PORT_FILE, str(number))
        app = make_app(studio, HOST, number, token)
        on_ready(f"http://{HOST}:{number}/?token={token}")
        Server(app, "error", STOP_SECONDS).run_until_stopped(listener)


@contextlib.contextmanager
def _exclusive(folder: StartFolder) -> Iterator[None]:
    """A context with the lock of the folder.

    Raises:
        ConfigError: Another Studio is open on the folder.
    """
    try:
        with FileLock(folder.state / LOCK, timeout=0):
            yield
    except Timeout:
        port = ""
        with contextlib.suppress(RunError, UnicodeDecodeError):
            number = files.read(folder.state / PORT_FILE, 10).decode("ascii").strip()
            port = f" at http://{HOST}:{number}/" if number.isdecimal() else ""
        raise ConfigError(
            f"a Studio is already open on {str(folder.root)!r}{port}; use that one, or stop it first"
        ) from None


def start_folder(runs: Sequence[Path], folder: Path | None) -> Path:
    """The start folder: `folder`, else the current folder if it holds all runs, else the deepest folder that does.

    Raises:
        ConfigError: A run is outside of `folder`.
    """
    paths = [run.resolve() for run in runs]
    if folder is not None:
        root = folder.resolve()
        outside = next((path for path in paths if not path.is_relative_to(root)), None)
        if outside is not None:
            raise ConfigError(
                f"the run {str(outside)!r} is outside of `folder` {str(folder)!r}; give a folder that contains it"
            )
        return root
    current = Path.cwd().resolve()
    if all(path.is_relative_to(current) for path in paths):
        return current
    return Path(shared_parent(paths))


def shared_parent(paths: Sequence[PurePath]) -> PurePath:
    """The deepest folder that holds all paths. Raises ConfigError where they are on several drives."""
    for folder in paths[0].parents:
        if all(path.is_relative_to(folder) for path in paths):
            return folder
    raise ConfigError(
        f"these runs are on several drives ({listed(list(dict.fromkeys(path.drive for path in paths)))}); open those of one"
    )
