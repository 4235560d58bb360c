"""A server from its start to its end: a socket, the models, uvicorn, signals."""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvicorn

from anew.errors import ConfigError
from anew.server.app import make_app
from anew.server.catalog import Catalog
from anew.server.guard import is_loopback
from anew.server.limits import Limits

BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn, which ends in order on Ctrl-C or SIGTERM and returns: that is how a server ends, and no fault."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals ask for the end inside; those that came are not raised again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; ConfigError where it cannot."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError):
        raise ConfigError(f"`host` {host!r} is no address of this machine; give 127.0.0.1 or 0.0.0.0") from None
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind(address)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"`port` {port} is in use; give another, or 0 for a free one") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise ConfigError(f"`port` {port} may not be opened by this user; give one from 1024 on") from None
        raise ConfigError(f"`host` {host!r} cannot be listened on ({(error.strerror or '').lower()})") from None
    return opened


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
) -> None:
    """Serve until a signal comes; see `anew.api.serve`."""
    if not is_loopback(host) and not keys:
        raise ConfigError(
            f"`host` {host!r} lets other machines ask; give `api_key`, or 127.0.0.1 for this machine alone"
        )
    opened = listen(host, port)
    with contextlib.closing(opened):
        catalog = Catalog(runs, device, trust_code, limits)
        try:
            app = make_app(catalog, limits, host, keys, chats)
            config = uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(limits.stop_seconds),
            )
            number = opened.getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            on_ready(f"http://{shown}:{number}", [entry.name for entry in catalog.entries])
            Server(config).run(sockets=[opened])
        finally:
            catalog.stop()
