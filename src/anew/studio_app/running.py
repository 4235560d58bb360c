"""The Studio from start to end."""

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
LOCK, PORT_FILE = "studio.lock", "port"  # in the folder of its state
STOP_SECONDS = 1  # until open streams are cut off: pages never close them


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
        config = uvicorn.Config(
            app,
            http=PunctualProtocol,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        on_ready(f"http://{HOST}:{number}/?token={token}")
        Server(config).run_until_stopped(listener)


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
    shared = paths[0].parent
    while not all(path.is_relative_to(shared) for path in paths):
        shared = shared.parent
    return shared
