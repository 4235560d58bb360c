"""The verb that opens the Studio: studio."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anew.api.keywords import names_unknown_arguments
from anew.api.training import folder_of_model, open_run
from anew.core import arguments
from anew.core.extras import require
from anew.core.settings import check_int
from anew.errors import ConfigError

if TYPE_CHECKING:  # it needs PyTorch
    from anew.sampling.model import Model

DEFAULT_PORT = 8686  # not 8000, so that `anew serve` runs beside the Studio
PACKAGES = ("fastapi", "uvicorn")


@names_unknown_arguments
def studio(
    runs: str | Path | Model | Sequence[str | Path] = (),
    *,
    folder: str | Path | None = None,
    port: int = DEFAULT_PORT,
    browser: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Open a page in the browser on which to train, watch and play with models, until Ctrl-C or SIGTERM; in a notebook, until
    the cell is interrupted.

    Training runs that were started there continue when it ends.

    Args:
        runs: Folders of runs to open first, or a model, whose run is opened.
        folder: The folder whose runs are shown, and below which data may be chosen. None takes the current one.
        port: Port of 127.0.0.1; 0 takes a free one.
        browser: Whether to open the page.
        on_ready: Called with the address when the page is ready. Whoever has the address can use the Studio. None prints it if no
            browser opens.

    Raises:
        ConfigError: The port is in use, a run lies outside of the folder, or nothing can be written there.
        DataError: The extra `studio` is missing.
        RunError: The folder is not a run.

    Examples:
        >>> anew.studio("towns")
    """
    if (model_path := folder_of_model(runs)) is not None:
        runs = model_path
    places = [open_run(arguments.path("runs", run)).path for run in arguments.several("runs", runs)]
    root = arguments.optional_path("folder", folder)
    if root is not None and not root.is_dir():
        raise ConfigError(f"`folder` {str(root)!r} is not a folder; give one that is there")
    number = check_int("port", port, 0, 65_535)
    browser = arguments.switch("browser", browser)
    on_ready = arguments.callback("on_ready", on_ready)
    for package in PACKAGES:
        require(package, extra="studio", purpose="the Studio")
    from anew.studio_app.app import open_studio, start_folder

    def ready(address: str) -> None:
        if on_ready is not None:
            on_ready(address)
        is_open = browser and webbrowser.open(address)
        if not is_open and on_ready is None:  # otherwise nobody would learn the address
            print(f"the Studio is open at {address}")

    open_studio(start_folder(places, root), places, number, ready)
