"""Servers that answer without end, bit by bit, or not at all are given up; those that fail are tried again, and named."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from anew.core.stores import addresses, store_attempts
from anew.errors import DataError

pytest.importorskip("aiohttp")

from anew.core.stores import web_client

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
Answer = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    monkeypatch.setattr(store_attempts, "MAX_LAG_S", 0.5)
    monkeypatch.setattr(web_client, "MAX_LAG_S", 0.5)
    monkeypatch.setattr(web_client, "HEAD_S", 0.5)
    monkeypatch.setattr(web_client, "WHOLE_BYTES", 2**20)


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[str]:
    """The address of a server that answers every request like this."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=respond, args=(listener.accept()[0],), daemon=True).start()

    def respond(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(2**16)
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.txt"


def say(head: bytes, body: Callable[[], Iterable[bytes]], pause: float = 0.0) -> Answer:
    """The head, and pieces of a body."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        for piece in body():
            connection.sendall(piece)
            time.sleep(pause)

    return answer


def packed() -> Iterator[bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    while True:
        yield packer.compress(bytes(2**20))


@pytest.mark.parametrize(
    "answer",
    [
        say(b"", lambda: iter(lambda: time.sleep(2.0) or b"", None)),
        say(b"", lambda: iter(lambda: b"H", None), 0.05),
        say(b"HTTP/1.1 200 OK\r\n", lambda: iter(lambda: b"X-Header: a\r\n" * 1000, None)),
        say(OK + b"Content-Length: 10000\r\n\r\n", lambda: iter(lambda: b"a", None), 0.05),
        say(OK + b"\r\n", lambda: iter(lambda: b"a" * 10_000, None)),
        say(OK + b"Content-Encoding: gzip\r\n\r\n", packed),
        say(OK + b"Content-Length: -5\r\n\r\n", lambda: [b"a"]),
        say(OK + b"Content-Length: 5000\r\n\r\n", lambda: [b"a"]),
    ],
    ids=["nothing", "head bit by bit", "endless head", "bit by bit", "endless", "packed", "negative", "too short"],
)
def test_it_is_given_up(answer: Answer, tmp_path: Path) -> None:
    with server(answer) as address:
        system, path = addresses.open_store(address)
        begin = time.monotonic()
        with pytest.raises(DataError):  # as blocks of a file and lists of files are read
            addresses.with_retries(lambda: system.cat_file(path, 0, 100), address)
        with pytest.raises(DataError):
            bound = addresses.size_limit(2**20)
            addresses.with_retries(lambda: system.get_file(path, str(tmp_path / "a"), callback=bound), address)
        assert time.monotonic() - begin < 20.0


def test_an_endless_list_of_files_is_given_up() -> None:
    links = b"<a href='x.txt'>x</a>\n" * 1000
    with server(say(OK + b"Content-Type: text/html\r\n\r\n", lambda: iter(lambda: links, None))) as address:
        system, path = addresses.open_store(f"{address.removesuffix('a.txt')}pictures/")
        with pytest.raises(DataError, match="sends more than"):
            addresses.with_retries(lambda: system.find(path, detail=True), address)


def test_a_whole_answer_is_read(tmp_path: Path) -> None:
    with server(say(OK + b"Content-Length: 5\r\n\r\n", lambda: [b"abc", b"de"])) as address:
        system, path = addresses.open_store(address)
        assert system.cat_file(path) == b"abcde"
    with server(say(OK + b"Content-Length: 5\r\n\r\n", lambda: [b"abc", b"de"], 0.2)) as address:
        system, path = addresses.open_store(address)
        system.get_file(path, str(tmp_path / "a"), callback=addresses.size_limit(5))
        assert (tmp_path / "a").read_bytes() == b"abcde"


def refusal(status: int) -> Answer:
    return say(f"HTTP/1.1 {status} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode(), list)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "^there is nothing at '.*'; check the address$"),
        (410, "^there is nothing at"),
        (403, r"cannot be read \(the server answers 403, Forbidden\); check your permissions there"),
        (429, r"cannot be read \(the server answers 429, Too Many Requests\); check the address and the network"),
        (503, r"cannot be read \(the server answers 503, Service Unavailable\); check the address and the network"),
    ],
)
def test_a_server_that_fails_is_told_from_one_without_the_file(status: int, sentence: str) -> None:
    with server(refusal(status)) as address:
        system, path = addresses.open_store(f"{address}?key=secret")
        with pytest.raises(DataError, match=sentence) as fault:
            addresses.with_retries(lambda: system.info(path), address)
        assert "secret" not in str(fault.value)


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as silent:  # bound, so that nobody else listens there
        silent.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a.txt"
        system, path = addresses.open_store(address)
        with pytest.raises(DataError, match=r"\(connection refused\); check the address and the network"):
            addresses.with_retries(lambda: system.info(path), address)


def test_a_server_that_recovers_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "RETRY_S", 60.0)
    answers = [refusal(503)] * 2  # to HEAD and to GET

    def recovering(connection: socket.socket) -> None:
        (answers.pop() if answers else say(OK + b"Content-Length: 5\r\n\r\n", list))(connection)

    with server(recovering) as address:
        system, path = addresses.open_store(address)
        assert addresses.with_retries(lambda: system.info(path), address)["size"] == 5
