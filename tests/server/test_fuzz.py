"""Whatever arrives, the server answers in time and never with a fault of its own: damaged bodies, cut-off uploads, slow clients."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from anew.data.formats.images import pixels
from anew.server.limits import Limits
from server_runs import listening, serving

GOOD: dict[str, dict[str, Any]] = {
    "/v1/completions": {
        "model": "names",
        "prompt": ["an", "jo"],
        "max_tokens": 3,
        "logprobs": 1,
        "stop": ["x"],
        "seed": 1,
    },
    "/v1/chat/completions": {"model": "names", "messages": [{"role": "user", "content": "an"}], "max_tokens": 3},
    "/v1/images/generations": {
        "model": "shapes",
        "prompt": "disc",
        "n": 1,
        "size": "12x12",
        "settings": {"steps": 1},
        "seed": 1,
    },
    "/v1/audio/speech": {"model": "tones", "input": "", "voice": "any", "settings": {"steps": 1}},
    "/v1/samples": {"model": "names", "n": 2, "seed": 3, "prompt": "an", "settings": {"max_tokens": 3}},
    "/v1/score": {"model": "names", "input": ["an", "jo"]},
    "/v1/videos": {"model": "clips", "prompt": "", "settings": {"steps": 1}},
}
JUNK: list[Any] = [
    None, True, -1, 0, 1.5, 10**40, 1e308, "", "x", "\x00", "\ud800", "disc", "a" * 5000, [], {}, [[]], [None], {"a": 1}, [[1, 2]],
    {"type": "text"}, "shapes", "names", "clips", "tones", 2**63, "12x12", "-1", "é", ["a"] * 100, [{"role": "user"}],
]  # fmt: skip


def mutated(value: Any, source: random.Random) -> Any:
    """The value with one place in it replaced, removed or doubled."""
    if isinstance(value, dict) and value and source.random() < 0.8:
        name = source.choice(list(value))
        without = {key: part for key, part in value.items() if key != name}
        choice = source.random()
        if choice < 0.1:
            return without
        if choice < 0.2:
            return value | {name + source.choice(["", "s", "\n", "é"]): source.choice(JUNK)}
        return value | {name: mutated(value[name], source)}
    if isinstance(value, list) and value and source.random() < 0.6:
        place = source.randrange(len(value))
        return [*value[:place], mutated(value[place], source), *value[place + 1 :]]
    return source.choice(JUNK)


def body(number: int) -> tuple[str, bytes]:
    """A path and a damaged body for it, a function of the number."""
    source = random.Random(number)
    path, good = source.choice(list(GOOD.items()))
    value = good
    for _ in range(source.choice([1, 1, 2, 3])):
        value = mutated(value, source)
    data = bytearray(json.dumps(value).encode())
    if source.random() < 0.3 and data:
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
    if source.random() < 0.1:
        del data[source.randrange(len(data) + 1) :]
    return path, bytes(data)


@pytest.fixture(scope="module")
def chatty(runs: dict[str, Path]) -> Iterator[TestClient]:
    with serving([runs[name] for name in ("names", "shapes", "tones", "clips")], Limits(jobs=1), chats=True) as client:
        yield client


def check_answers(client: TestClient, numbers: range) -> None:
    for number in numbers:
        path, data = body(number)
        answer = client.post(path, content=data, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, f"{number}: {path} {data!r}: {answer.text}"
        assert answer.status_code in (200, 400, 404, 429), f"{number}: {answer.status_code}"
        if answer.status_code != 200:
            assert answer.json()["error"]["message"], number


def test_damaged_bodies(chatty: TestClient) -> None:
    check_answers(chatty, range(120))


@pytest.mark.slow
def test_many_damaged_bodies(chatty: TestClient) -> None:
    check_answers(chatty, range(1000, 2200))


@pytest.mark.slow
def test_damaged_forms(chatty: TestClient) -> None:
    picture = pixels.png(np.zeros((12, 12, 4), np.uint8))
    request = chatty.build_request(
        "POST", "/v1/images/edits", data={"model": "shapes", "n": "1"}, files={"image": picture, "mask": picture}
    )
    whole, content_type = request.read(), request.headers["content-type"]
    for number in range(200):
        source = random.Random(number)
        data = bytearray(whole)
        for _ in range(source.randrange(1, 6)):
            data[source.randrange(len(data))] = source.randrange(256)
        if source.random() < 0.3:
            del data[source.randrange(len(data)) :]
        answer = chatty.post("/v1/images/edits", content=bytes(data), headers={"Content-Type": content_type})
        assert answer.status_code in (200, 400, 404, 413), f"{number}: {answer.text}"


# ---- clients that do not do what they began ----


@pytest.fixture(scope="module")
def address(runs: dict[str, Path]) -> Iterator[tuple[str, int]]:
    with listening([runs["names"], runs["shapes"]], Limits(body_seconds=0.5)) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        yield host, int(port)


def head(path: str, length: int, media: str = "application/json") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n".encode()
    )


def is_alive(address: tuple[str, int]) -> bool:
    with socket.create_connection(address, timeout=5) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return client.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("media", ["application/json", "multipart/form-data; boundary=x"])
def test_a_body_that_stays_away_is_given_up(media: str, address: tuple[str, int]) -> None:
    path = "/v1/completions" if "json" in media else "/v1/images/edits"
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(head(path, 1000, media) + b'{"model": ')
        begin = time.monotonic()
        assert client.recv(100).startswith(b"HTTP/1.1 408") and time.monotonic() - begin < 5
    assert is_alive(address)


def test_a_body_that_drips_is_given_up(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(head("/v1/completions", 1000))
        client.settimeout(0.05)
        answer = b""
        for _ in range(60):
            try:
                client.sendall(b" ")
                answer = client.recv(100)
                break
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")


def test_cut_off_uploads_hinder_nobody(address: tuple[str, int], capfd: pytest.CaptureFixture[str]) -> None:
    for path, media in (
        ("/v1/completions", "application/json"),
        ("/v1/images/edits", "multipart/form-data; boundary=x"),
    ):
        for sent in (b"", b"{", b"--x\r\nContent-Disposition: form-data; name="):
            with socket.create_connection(address, timeout=10) as client:
                client.sendall(head(path, 5000, media) + sent)
    assert is_alive(address)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_schemathesis_finds_no_fault(runs: dict[str, Path]) -> None:
    """The whole schema, where the package is installed beside this environment or in it."""
    program = shutil.which("schemathesis")
    if program is None:
        pytest.skip("needs the program schemathesis: pipx install schemathesis")
    with listening([runs[name] for name in ("names", "shapes", "tones", "clips")]) as address:
        command = [program, "run", f"{address}/openapi.json", "--checks", "not_a_server_error", "--max-examples", "10"]
        completed = subprocess.run([*command, "--seed", "1"], capture_output=True, text=True, timeout=600, check=False)
    assert completed.returncode == 0, completed.stdout[-3000:]
