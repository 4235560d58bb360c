"""A listening socket, and uvicorn on it, for the server and the Studio. Does not import PyTorch."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import threading
from collections.abc import Iterator

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from anew.core.files import clause
from anew.core.stop_signals import handled_stops
from anew.errors import ConfigError

BACKLOG = 2048  # connections that wait to be accepted: uvicorn's default
HEAD_SECONDS = 20.0  # the head of a request must arrive within this time
UNREAD_SECONDS = 60.0  # a client that reads nothing for so long is disconnected
# Seconds between two checks for an interrupt: on some systems no signal reaches a thread that waits without a limit
INTERRUPT_SECONDS = 0.2
MAX_CONNECTIONS = 512  # at a time: each takes a file descriptor, of which a process has 1,024 by default


class TimeoutProtocol(H11Protocol):
    """HTTP with limits that uvicorn lacks: on clients that send the head of a request too slowly, do not read the response, or open
    too many connections."""

    _head_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=0)  # whatever is not sent yet counts as unread
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head_timer()
        self._cancel_unread_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP. If that happens in the middle of a request, its response is cancelled."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        if self._is_answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._cancel_unread_timer()
        self._start_unread_timer(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._cancel_unread_timer()
        super().resume_writing()

    def _start_unread_timer(self, num_unread: int) -> None:
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self._on_unread_timeout, num_unread)

    def _on_unread_timeout(self, num_unread: int) -> None:
        """Close the connection unless the client has read some of the bytes meanwhile."""
        still_unread = self.transport.get_write_buffer_size()
        if still_unread < num_unread:
            self._start_unread_timer(still_unread)
        else:
            self.transport.abort()  # `close` would wait for the client to read them

    def _cancel_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_head_timer(self) -> None:
        if self._is_answering:
            self._cancel_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close(self) -> None:
        self._head_timer = None
        if not self._is_answering:
            self.transport.close()


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's log says more than that open requests are cancelled when the server stops."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError) and not str(record.msg).startswith("Cancel ")


class Server(uvicorn.Server):
    """uvicorn that shuts down on the signals that stop any command, and then returns normally."""

    def __init__(self, app: ASGIApp, log_level: str, stop_seconds: int) -> None:
        """stop_seconds: How long requests that are being answered may take after a signal to stop."""
        config = uvicorn.Config(
            app,
            http=TimeoutProtocol,
            log_level=log_level,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=stop_seconds,
        )
        super().__init__(config)
        logging.getLogger("uvicorn.error").addFilter(_is_worth_logging)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A context that handles signals; uvicorn's own would raise them again afterwards."""
        with handled_stops(self.handle_exit):
            yield

    def run_until_stopped(self, listener: socket.socket) -> None:
        """Serve until Ctrl-C, SIGTERM, or, in a notebook, until the cell is interrupted."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.run(sockets=[listener])
            return
        # The event loop of a notebook runs in this thread, where no second one can run.
        ended = threading.Event()

        def answer() -> None:
            try:
                self.run(sockets=[listener])
            finally:
                ended.set()

        threading.Thread(target=answer, name="anew-server", daemon=True).start()
        try:
            with contextlib.suppress(KeyboardInterrupt):
                # Thread.join would not do: after an interrupt it takes the thread for ended
                while not ended.wait(INTERRUPT_SECONDS):
                    pass
        finally:
            self.should_exit = True
            ended.wait()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on this address; ConfigError if that is impossible."""
    try:
        family, socket_type, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket_type, protocol)
    except (OSError, UnicodeError):
        raise ConfigError(f"`host` {host!r} is not an address of this machine; give 127.0.0.1 or 0.0.0.0") from None
    if os.name == "posix":  # Windows would let a second server listen on the same port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"`port` {port} is in use; give another, or 0 for a free one") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise ConfigError(f"`port` {port} may not be opened by this user; give one from 1024 on") from None
        raise ConfigError(f"`host` {host!r} cannot be used ({clause(error).lower()})") from None
    return listener
