"""Folders are listed and small objects read directly where that works, and by the store's own client where it does not."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from anew.core.stores import direct_store
from anew.core.stores.direct_store import DirectStore
from anew.core.stores.stored_files import Row, StoredFiles

BODY = b"small object"
TIME = datetime(2024, 5, 6, tzinfo=UTC)


class Client:
    """The store of a provider's package; every request is counted."""

    def __init__(self, endpoint: str = "http://127.0.0.1:9000", region: str = "us-east-1") -> None:
        config = SimpleNamespace(s3=None)
        self.s3 = SimpleNamespace(meta=SimpleNamespace(endpoint_url=endpoint, region_name=region, config=config))
        self.anon = True
        self.asked: list[str] = []

    def call_s3(self) -> None: ...

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        self.asked.append(path)
        return BODY[start:end]


class Direct:
    """What stands for `obstore`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.options: dict[str, Any] = {}
        self.body, self.fails = BODY, False
        self.sizes = {"a/1.png": 3, "a/b/2.png": 4}
        functions = {"get": self.get, "list": self.list}
        for name, members in (("obstore", functions), ("obstore.store", {"S3Store": self.store})):
            module = ModuleType(name)
            module.__spec__ = ModuleSpec(name, None)
            vars(module).update(members)
            monkeypatch.setitem(sys.modules, name, module)

    def store(self, bucket: str, **options: object) -> str:
        self.options = dict(options)
        return bucket

    def list(self, store: str, prefix: str, chunk_size: int) -> Iterator[Sequence[Mapping[str, object]]]:
        self.asked.append(f"{store}/{prefix}")
        if self.fails:
            raise OSError("refused")
        for key, size in self.sizes.items():
            yield [{"path": key, "size": size, "e_tag": '"e"', "last_modified": TIME, "version": None}]

    def get(self, store: str, key: str) -> object:
        self.asked.append(f"{store}/{key}")
        if self.fails:
            raise OSError("refused")
        return SimpleNamespace(meta={"size": len(self.body)}, bytes=lambda: memoryview(self.body))


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> Direct:
    return Direct(monkeypatch)


def test_an_object_is_read_directly(direct: Direct) -> None:
    client = Client()
    assert DirectStore(client).read("bucket/day=1/b 1,+@.png", len(BODY)) == BODY  # type: ignore[arg-type]
    assert direct.asked == ["bucket/day=1/b 1,+@.png"] and not client.asked


@pytest.mark.parametrize("key", ["a//b", "a/../b", "./a", "a/", "é.png", "100%.png", "a#1", "a~b", " a", "a\nb", "."])
def test_keys_that_may_be_written_in_another_way_are_left_to_the_client(direct: Direct, key: str) -> None:
    client = Client()
    assert DirectStore(client).read(f"bucket/{key}", len(BODY)) == BODY  # type: ignore[arg-type]
    assert client.asked == [f"bucket/{key}"] and not direct.asked


def test_an_object_that_has_grown_is_longer_than_it_was(direct: Direct) -> None:
    size = len(BODY) - 4
    assert DirectStore(Client()).read("bucket/a", size) == BODY[: size + 1]  # type: ignore[arg-type]


def test_after_some_failures_the_client_reads_alone(direct: Direct) -> None:
    client = Client()
    reader = DirectStore(client)  # type: ignore[arg-type]
    for fails in (True, True, False, True, True, True, True, True):
        direct.fails = fails
        assert reader.read("bucket/a", len(BODY)) == BODY
    assert len(direct.asked) == 3 + direct_store.MAX_FAILURES
    assert len(client.asked) == 7


def test_without_the_package_or_for_other_stores_the_client_reads(
    direct: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SimpleNamespace(cat_file=Client().cat_file)
    assert DirectStore(other).read("bucket/a", len(BODY)) == BODY  # type: ignore[arg-type]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert DirectStore(Client()).read("bucket/a", len(BODY)) == BODY  # type: ignore[arg-type]
    assert not direct.asked


@pytest.mark.parametrize(
    ("endpoint", "region", "bucket", "expected"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "eu-west-1", "data", ("eu-west-1", None, True)),
        ("https://s3.amazonaws.com", "aws-global", "my.data", ("us-east-1", None, False)),
        ("https://minio.example", "us-east-1", "data", ("us-east-1", "https://minio.example", False)),
    ],
)
def test_place_and_region_are_those_of_the_client(
    direct: Direct, endpoint: str, region: str, bucket: str, expected: tuple[object, ...]
) -> None:
    DirectStore(Client(endpoint, region)).read(f"{bucket}/a", len(BODY))  # type: ignore[arg-type]
    options = direct.options
    assert options["skip_signature"] and "credential_provider" not in options
    place = options.get("aws_endpoint_url_s3")
    assert (options["region"], place, options["virtual_hosted_style_request"]) == expected


def listed(root: str) -> list[Row]:
    pages = DirectStore(Client()).pages("bucket", "a/", root)  # type: ignore[arg-type]
    return list(StoredFiles.joined("", pages or []).rows())


def test_a_folder_is_listed_directly(direct: Direct) -> None:
    assert listed("a/") == [(key.removeprefix("a/"), size, "e") for key, size in direct.sizes.items()]
    assert direct.asked == ["bucket/a/"]
    assert listed("") == [(key, size, "e") for key, size in direct.sizes.items()]


@pytest.mark.parametrize("prefix", ["a//", "é/", "../"])
def test_folders_that_may_be_written_in_another_way_are_left_to_the_client(direct: Direct, prefix: str) -> None:
    assert DirectStore(Client()).pages("bucket", prefix, "") is None  # type: ignore[arg-type]
    assert not direct.asked


def test_the_mark_of_the_folder_itself_is_no_object(direct: Direct) -> None:
    direct.sizes = {"a": 0} | direct.sizes
    assert [row[0] for row in listed("a/")] == ["1.png", "b/2.png"]


def test_folders_with_empty_objects_are_left_to_the_client(direct: Direct) -> None:
    direct.sizes["a/b"] = 0  # perhaps the mark of the folder a/b/
    assert DirectStore(Client()).pages("bucket", "a/", "a/") is None  # type: ignore[arg-type]


def test_after_some_failures_the_client_lists_alone(direct: Direct) -> None:
    store = DirectStore(Client())  # type: ignore[arg-type]
    direct.fails = True
    for _ in range(5):
        assert store.pages("bucket", "a/", "a/") is None
    assert len(direct.asked) == direct_store.MAX_FAILURES


def test_a_request_is_repeated_at_once_but_no_slow_one(direct: Direct) -> None:
    DirectStore(Client()).read("bucket/a/1.png", len(BODY))  # type: ignore[arg-type]
    retries = direct.options["retry_config"]
    assert retries["max_retries"] > 0 and retries["retry_timeout"] <= timedelta(seconds=1)


class Closing(BaseHTTPRequestHandler):
    """Closes each connection after an answer that promises to keep it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.send_header("Last-Modified", "Mon, 06 May 2024 00:00:00 GMT")
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(BODY)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None: ...


def test_connections_that_the_server_closes_do_not_end_direct_reading() -> None:
    """Small objects were read by the slower client alone: three requests in a row had met such connections."""
    pytest.importorskip("obstore", reason="needs the extra s3")
    with ThreadingHTTPServer(("127.0.0.1", 0), Closing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        client = Client(f"http://127.0.0.1:{server.server_address[1]}")
        store = DirectStore(client)  # type: ignore[arg-type]
        bodies = [store.read(f"bucket/{number}.png", len(BODY)) for number in range(50)]
        server.shutdown()
        thread.join()
    assert bodies == [BODY] * 50 and not client.asked
