"""The Studio from its start to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout

from anew.core import files
from anew.errors import ConfigError, RunError
from anew.server.listening import PunctualProtocol, Server, listen
from anew.studio_app.app import make_app
from anew.studio_app.start_folder import StartFolder
from anew.studio_app.studio import Studio

HOST = "127.0.0.1"
LOCK, PORT = "studio.lock", "port"  # in the folder of its state
STOP_SECONDS = 1  # pages listen for ever, so nothing is waited for


def open_studio(root: Path, runs: Sequence[Path], port: int, on_ready: Callable[[str], None]) -> None:
    """Answer pages until a signal comes; see `anew.studio`.

    Args:
        root: The start folder.
        runs: Runs below it to open first.
        port: To listen on; 0 takes a free one.
        on_ready: Called with the address, token included, once it answers.
    """
    folder = StartFolder(root)
    folder.make_state()
    with _alone(folder), contextlib.closing(listen(HOST, port)) as opened:
        first = [folder.name(run.resolve()) for run in runs]
        studio = Studio(folder, first)
        token, number = folder.token(), opened.getsockname()[1]
        files.write_text(folder.state / PORT, str(number))
        app = make_app(studio, HOST, number, token)
        config = uvicorn.Config(
            app,
            http=PunctualProtocol,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        on_ready(f"http://{HOST}:{number}/?token={token}")
        Server(config).run_until_stopped(opened)


@contextlib.contextmanager
def _alone(folder: StartFolder) -> Iterator[None]:
    """No other Studio is open on the folder meanwhile.

    Raises:
        ConfigError: One is.
    """
    try:
        with FileLock(folder.state / LOCK, timeout=0):
            yield
    except Timeout:
        port = ""
        with contextlib.suppress(RunError, UnicodeDecodeError):
            number = files.read(folder.state / PORT, 10).decode("ascii").strip()
            port = f" at http://{HOST}:{number}/" if number.isdecimal() else ""
        raise ConfigError(
            f"a Studio is open on {str(folder.root)!r} already{port}; use that one, or stop it first"
        ) from None


def start_folder(runs: Sequence[Path], folder: Path | None) -> Path:
    """The start folder: the one given, else the current one where all runs lie below it, else the deepest that holds all.

    Raises:
        ConfigError: A run lies outside of the folder that was given.
    """
    places = [run.resolve() for run in runs]
    if folder is not None:
        root = folder.resolve()
        outside = next((place for place in places if not place.is_relative_to(root)), None)
        if outside is not None:
            raise ConfigError(
                f"the run {str(outside)!r} lies outside of `folder` {str(folder)!r}; give a folder above it"
            )
        return root
    current = Path.cwd().resolve()
    if all(place.is_relative_to(current) for place in places):
        return current
    shared = places[0].parent
    while not all(place.is_relative_to(shared) for place in places):
        shared = shared.parent
    return shared
