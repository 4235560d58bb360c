"""The server from start to end: socket, models, uvicorn, signals."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from anew.server.app import make_app
from anew.server.catalog import Catalog
from anew.server.limits import Limits
from anew.server.listening import PunctualProtocol, Server, listen


def run_server(
    runs: Sequence[Path],
    host: str,
    port: int,
    keys: Sequence[str],
    limits: Limits,
    device: str,
    trust_code: bool,
    on_ready: Callable[[str, list[str]], None],
    chats: bool = False,
    origins: Sequence[str] = (),
) -> None:
    """Serve until Ctrl-C or SIGTERM; see `anew.api.serve`."""
    listener = listen(host, port)
    with contextlib.closing(listener):
        catalog = Catalog(runs, device, trust_code, limits)
        try:
            app = make_app(catalog, limits, host, keys, chats, origins)
            config = uvicorn.Config(
                app,
                http=PunctualProtocol,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(limits.stop_seconds),
            )
            port = listener.getsockname()[1]
            shown_host = f"[{host}]" if ":" in host else host
            on_ready(f"http://{shown_host}:{port}", [entry.name for entry in catalog.entries])
            Server(config).run_until_stopped(listener)
        finally:
            catalog.stop()
