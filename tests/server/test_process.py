"""`anew serve` as a process of its own: it answers, frees the places of clients that went away, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from anew import api
from anew.cli import main
from anew.errors import ConfigError, DataError
from anew.server import listening
from processes import Forked
from server_runs import answering

LONG = {"model": "book", "prompt": "the", "max_tokens": 30_000}


@contextmanager
def process(*words: object, environment: dict[str, str] | None = None) -> Iterator[tuple[Forked, str]]:
    """A server in a process of its own, and its address."""
    command = ("-m", "anew", "serve", *map(str, words), "--port", "0", "--json")
    started = Forked(command, {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})})
    try:
        line = started.stdout.readline()
        assert line, started.stderr.read()
        yield started, json.loads(line)["address"]
    finally:
        started.kill()
        started.communicate()


@pytest.fixture(scope="module")
def address(runs: dict[str, Path]) -> Iterator[str]:
    with process(runs["book"], runs["names"]) as (_, address):
        yield address


def test_it_answers(address: str) -> None:
    with httpx.Client(base_url=address, timeout=30) as client:
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["book", "names"]
        body = {"model": "names", "prompt": "an", "seed": 1, "max_tokens": 8}
        whole = client.post("/v1/completions", json=body).json()["choices"][0]["text"]
        events = client.post("/v1/completions", json=body | {"stream": True}).text.split("\n\n")[:-2]
        pieces = [json.loads(event.removeprefix("data: "))["choices"][0]["text"] for event in events]
        assert "".join(pieces) == whole


@pytest.mark.parametrize("streams", [True, False])
def test_a_client_that_goes_away_frees_its_place(streams: bool, address: str) -> None:
    with httpx.Client(base_url=address, timeout=30) as client:
        if streams:
            with client.stream("POST", "/v1/completions", json=LONG | {"stream": True}) as answer:
                assert next(answer.iter_lines()).startswith("data: ")
        else:
            with pytest.raises(httpx.TimeoutException):
                client.post("/v1/completions", json=LONG, timeout=0.5)
        begin = time.monotonic()
        body = {"model": "book", "prompt": "a different length", "max_tokens": 1}
        assert client.post("/v1/completions", json=body).status_code == 200
        assert time.monotonic() - begin < 1.5  # a second, and a slow machine


def test_a_request_that_never_ends_hinders_nobody(address: str) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        half.sendall(b"Content-Length: 1000\r\n\r\n{")
        assert httpx.get(f"{address}/health").status_code == 200


async def slow_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await asyncio.sleep(0.5)  # an answer may take longer than a head
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def test_a_head_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.3)
    with (
        answering(slow_app) as address,
        socket.create_connection(address, 10) as slow,
        socket.create_connection(address, 10) as good,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nX-Header: a")
        good.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert slow.recv(100) == b""  # closed
        assert good.recv(1000).startswith(b"HTTP/1.1 200")
        good.sendall(b"GET / HTTP/1.1\r\nX-")  # the next one on the same connection
        while data := good.recv(1000):
            assert b"ok" in data


def test_who_reads_nothing_is_given_up_and_who_reads_slowly_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "UNREAD_SECONDS", 0.5)
    ended = threading.Event()
    size = 64 * 2**20  # more than the system keeps for a client

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": b"x" * size})
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    with answering(app) as address:
        with socket.create_connection(address, 10) as deaf:
            deaf.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert ended.wait(10)
        with socket.create_connection(address, 10) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            begin, num_bytes = time.monotonic(), 0
            while piece := slow.recv(2**20):
                num_bytes += len(piece)
                if time.monotonic() - begin < 2.0:
                    time.sleep(0.1)
            assert num_bytes > size


def test_connections_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MAX_CONNECTIONS", 3)
    with answering(slow_app) as address:
        idle = [socket.create_connection(address, 10) for _ in range(3)]
        with socket.create_connection(address, 10) as late:
            late.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                assert late.recv(100) == b""
                raise ConnectionResetError
        for connection in idle:
            connection.close()
        while not _answers(address):
            time.sleep(0.05)


@pytest.mark.parametrize("wait", [0.0, 0.3])
def test_damage_in_the_middle_of_a_body_is_no_fault_of_ours(wait: float, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await receive()
        await send({"type": "http.response.body", "body": b"y"})

    with answering(app) as address, socket.create_connection(address, 10) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        time.sleep(wait)
        client.sendall(b"ffffffffffffffffffffff\r\nb")
        while client.recv(1000):
            pass
    assert not [record for record in caplog.records if record.levelname == "ERROR"], caplog.text


def _answers(address: tuple[str, int]) -> bool:
    with contextlib.suppress(ConnectionError), socket.create_connection(address, 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return connection.recv(100).startswith(b"HTTP/1.1 200")
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
def test_a_signal_ends_it_in_order(runs: dict[str, Path]) -> None:
    with process(runs["book"]) as (server, address):
        body = {**LONG, "max_tokens": 400, "stream": True}
        with httpx.stream("POST", f"{address}/v1/completions", json=body, timeout=30) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.send_signal(signal.SIGTERM)
            assert [line for line in lines if line][-1] == "data: [DONE]"  # what runs is finished
        assert server.wait(20) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/health")


def test_the_key_of_the_environment(runs: dict[str, Path]) -> None:
    with process(runs["names"], environment={"ANEW_API_KEY": "of-the-environment"}) as (_, address):
        assert httpx.get(f"{address}/v1/models").status_code == 401
        headers = {"Authorization": "Bearer of-the-environment"}
        assert httpx.get(f"{address}/v1/models", headers=headers).status_code == 200


# ---- mistakes on the command line ----


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["serve", *map(str, words)]) == 2
    sentence = capsys.readouterr().err
    assert sentence.count("\n") == 1 and sentence.startswith("anew: ")
    return sentence


def test_a_port_in_use(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert f"--port {port} is in use; give another" in refused(capsys, runs["names"], "--port", port)


def test_a_run_that_is_not_finished(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "unfinished"
    shutil.copytree(runs["names"], run)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"status": "training"}))
    assert "is not finished; run `anew resume" in refused(capsys, run, "--port", 0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "'nowhere' does not exist"),
        (["RUN", "--host", "0.0.0.0"], "give --api-key"),
        (["RUN", "--host", "no.such.host.invalid", "--api-key", "key"], "is not an address of this machine"),
        (["RUN", "--port", "70000"], "port=70000 is out of range"),
        (["RUN", "--port", "x"], "--port must be an integer"),
        (["RUN", "--api-key", ""], "--api-key must be a string of printable"),
        (["RUN", "--api-key", "two words"], "--api-key must be a string of printable"),
        (["RUN", "--unload-after", "soon"], "--unload-after must be a time like 60s"),
        (["RUN", "RUN"], "two of RUN are called"),
    ],
)  # fmt: skip
def test_mistakes(words: list[str], sentence: str, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(runs["names"]) if word == "RUN" else word for word in words]
    port = [] if "--port" in words else ["--port", "0"]
    assert sentence in refused(capsys, *words, *port)


def test_a_missing_extra(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert "pip install '.[serve]'" in refused(capsys, runs["names"])
    with pytest.raises(DataError, match="fastapi"):
        api.serve(runs["names"])


@pytest.mark.parametrize(
    "arguments", [{"runs": []}, {"runs": 5}, {"host": None}, {"api_key": [5]}, {"unload_after": -1}]
)
def test_wrong_arguments(arguments: dict[str, Any], runs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError):
        api.serve(**{"runs": runs["names"], "port": 0, **arguments})


STOPPED = """
import asyncio, contextlib, http.client, os, signal, threading, urllib.request
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
from anew.server.listening import Server, listen

async def news():
    while True:
        yield "data: {}\\n\\n"
        await asyncio.sleep(0.05)

async def stream(request):
    return StreamingResponse(news(), media_type="text/event-stream")

def visit(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
        page.read(10)
        os.kill(os.getpid(), signal.SIGINT)
        with contextlib.suppress(http.client.IncompleteRead):
            page.read()

app = Starlette(routes=[Route("/", stream)])
opened = listen("127.0.0.1", 0)
threading.Thread(target=visit, args=(opened.getsockname()[1],), daemon=True).start()
Server(app, "error", stop_seconds=1).run_until_stopped(opened)
print("stopped")
"""


def test_a_server_that_is_stopped_says_nothing_of_open_pages() -> None:
    process = Forked(("-c", STOPPED), os.environ)
    assert process.communicate(timeout=60) == ("stopped\n", "") and process.returncode == 0
