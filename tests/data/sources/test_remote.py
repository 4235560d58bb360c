"""Data at addresses: copied once, listed always, and never with a secret in what is kept."""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import json
import logging
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from anew.core import files
from anew.core.stores import addresses
from anew.core.stores.addresses import address_of, without_query
from anew.data import limits
from anew.data.dataset import Dataset
from anew.data.find_data import check_present
from anew.data.modalities.text import Text
from anew.data.sources import remote
from anew.data.sources.remote import local_copy
from anew.data.sources.source import Source
from anew.errors import DataError
from anew.planning.request import resolve_data

KINDS = {"text": Text}


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    for i in range(12):
        system.pipe(f"/bucket/books/{i:02d}.txt", f"The book of number {i}.\n".encode() * 40)
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://bucket/a b", "s3://bucket/a b"),
        (str(Path("s3://bucket/a")), "s3://bucket/a"),  # a Path has lost a slash
        ("https://host/x.tar?sig=1", "https://host/x.tar?sig=1"),
        ("C:/data", None),
        ("owner/name", None),
        ("hf://owner/name", None),
        ("hf://datasets/owner/name/folder", "hf://datasets/owner/name/folder"),
        ("a:b", None),
    ],
)
def test_what_is_an_address(text: str, address: str | None) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s4://bucket/x", "did you mean 's3'"),
        ("ftp://host/x", "addresses of ftp:// are not supported"),
        ("s3://key:secret@bucket/x", "must hold no user or key"),
        ("https://me:pw@host/x", "must hold no user or key"),
        ("https://host/a.zip::s3://b", "give one address"),
        ("memory://nowhere/x", "there is nothing at"),
        ("s3://", "stops after its scheme; give the full address, like s3://bucket/folder"),
        (str(Path("s3://")), "stops after its scheme"),
    ],
)
def test_addresses_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        Source.open(text, KINDS)
    assert "secret" not in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_refusal_names_the_address_whole(store: fsspec.AbstractFileSystem) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.txt", "This is a book.")
    store.pipe("/bucket/zipped/a.docx", content.getvalue())
    with pytest.raises(DataError, match="'memory://bucket/zipped' holds nothing that can be learned"):
        Dataset.open(Path("memory://bucket/zipped"))


def test_a_folder_in_a_store_is_a_folder(store: fsspec.AbstractFileSystem) -> None:
    data = Dataset.open("memory://bucket/books")
    assert data.modality.name == "text" and data.path == "memory://bucket/books"
    assert any("12 files" in note and "copy in the cache" in note for note in data.scan.notes)
    assert resolve_data("memory://bucket/books") == "memory://bucket/books"
    assert Dataset.open(Path("memory://bucket/books")).fingerprint == data.fingerprint


def test_only_what_changed_is_fetched_again(store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    original = type(store).get_file

    def counted(self: object, rpath: str, lpath: str, **more: object) -> object:
        fetched.append(rpath)
        return original(self, rpath, lpath, **more)

    monkeypatch.setattr(type(store), "get_file", counted)
    place = local_copy("memory://bucket/books").place
    assert len(fetched) == 12
    assert local_copy("memory://bucket/books").place == place and len(fetched) == 12
    store.pipe("/bucket/books/03.txt", b"another book\n")
    store.rm("/bucket/books/11.txt")
    local_copy("memory://bucket/books")
    assert fetched[12:] == ["/bucket/books/03.txt"]
    assert (place / "03.txt").read_bytes() == b"another book\n" and not (place / "11.txt").exists()


def test_a_file_that_fails_costs_one_file_and_a_store_that_stutters_none(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses.time, "sleep", lambda seconds: None)
    original, failures = type(store).get_file, {"/bucket/books/05.txt": 2}

    def unsure(self: object, rpath: str, lpath: str, **more: object) -> object:
        if rpath.endswith("07.txt"):
            raise PermissionError("not yours")
        if failures.get(rpath, 0):
            failures[rpath] -= 1
            raise ConnectionResetError("connection reset")
        return original(self, rpath, lpath, **more)

    monkeypatch.setattr(type(store), "get_file", unsure)
    copy = local_copy("memory://bucket/books")
    assert [refusal.name for refusal in copy.refusals] == ["07.txt"]
    assert "check your permissions" in copy.refusals[0].reason
    assert (copy.place / "05.txt").exists() and not list(copy.place.glob(".*.part"))


def test_an_outage_ends_in_a_sentence(store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    monkeypatch.setattr(type(store), "ls", lambda *args, **more: (_ for _ in ()).throw(OSError("gone?token=abc")))
    with pytest.raises(DataError, match="cannot be read") as refusal:
        local_copy("memory://bucket/books")
    assert "abc" not in str(refusal.value)


def test_a_store_that_goes_away_ends_the_copy(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    original, tried = type(store).get_file, list[str]()

    def broken(self: object, rpath: str, lpath: str, **more: object) -> object:
        tried.append(rpath)
        if len(tried) > 3:
            raise ConnectionResetError("connection reset")
        return original(self, rpath, lpath, **more)

    for i in range(12, 60):
        store.pipe(f"/bucket/books/{i:02d}.txt", b"A book.\n")
    monkeypatch.setattr(type(store), "get_file", broken)
    with pytest.raises(
        DataError, match=r"^'memory://bucket/books: \d+\.txt' cannot be read \(connection reset\); check"
    ):
        local_copy("memory://bucket/books")
    monkeypatch.setattr(type(store), "get_file", original)
    assert len(list(local_copy("memory://bucket/books").place.glob("*.txt"))) == 60


def test_an_old_copy_is_removed_where_the_new_one_cannot_be_fetched(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = local_copy("memory://bucket/books").place
    store.pipe("/bucket/books/07.txt", b"another book\n")
    original = type(store).get_file

    def refusing(self: object, rpath: str, lpath: str, **more: object) -> object:
        if rpath.endswith("07.txt"):
            raise PermissionError("not yours")
        return original(self, rpath, lpath, **more)

    monkeypatch.setattr(type(store), "get_file", refusing)
    copy = local_copy("memory://bucket/books")
    assert [refusal.name for refusal in copy.refusals] == ["07.txt"]
    assert not (place / "07.txt").exists() and "07.txt" not in {file.path for file in copy.listing.files}
    monkeypatch.setattr(type(store), "get_file", original)
    local_copy("memory://bucket/books")
    assert (place / "07.txt").read_bytes() == b"another book\n"


def test_names_that_lead_elsewhere_are_refused(store: fsspec.AbstractFileSystem) -> None:
    store.store["/bucket/books/../../evil.txt"] = store.store["/bucket/books/00.txt"]
    for name in ("bell\a.txt", "\ud800.txt", ".lock", "..\\evil.txt"):
        store.store[f"/bucket/books/{name}"] = store.store["/bucket/books/00.txt"]
    copy = local_copy("memory://bucket/books")
    assert {refusal.reason for refusal in copy.refusals} == {"it has a name that no file on this disk can have"}
    assert not list(copy.place.parent.glob("evil.txt"))


def test_an_address_that_only_a_run_names_is_asked_for_nothing(store: fsspec.AbstractFileSystem) -> None:
    address = "memory://bucket/never-named-before"
    store.store["/bucket/never-named-before/a.txt"] = store.store["/bucket/books/00.txt"]
    with pytest.raises(DataError, match="never read on this computer"):
        check_present(address)
    local_copy(address)
    check_present(address)
    check_present("owner/name")


def test_a_name_that_is_a_file_and_a_folder_costs_that_name(store: fsspec.AbstractFileSystem) -> None:
    store.store["/bucket/books/00.txt/inside.txt"] = store.store["/bucket/books/01.txt"]
    copy = local_copy("memory://bucket/books")
    assert copy.refusals and {refusal.name.partition("/")[0] for refusal in copy.refusals} == {"00.txt"}
    assert (copy.place / "01.txt").is_file() and not list(copy.place.glob(".*.part"))


def test_a_damaged_list_of_the_cache_is_made_anew(store: fsspec.AbstractFileSystem) -> None:
    place = local_copy("memory://bucket/books").place
    for damage in ("{", "[1]", '{"00.txt": 3}'):
        (place / remote.MANIFEST).write_text(damage)
        assert not local_copy("memory://bucket/books").refusals
    assert len(json.loads((place / remote.MANIFEST).read_text())) == 12


def test_what_does_not_fit_is_said_before_anything_is_fetched(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FREE_DISK_BYTES", 1 << 60)
    with pytest.raises(DataError, match="set the environment variable ANEW_CACHE"):
        local_copy("memory://bucket/books")


class _Endless(http.server.BaseHTTPRequestHandler):
    """Sends for as long as somebody listens."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"and so on\n" * 10_000)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_endless_file_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(limits, "FETCHED_BYTES", 20 * limits.MB)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Endless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(DataError, match=r"sends more than 20,971,520 bytes"):
            local_copy(f"http://127.0.0.1:{server.server_port}/names.txt")
        server.shutdown()


class _Slow(http.server.BaseHTTPRequestHandler):
    """Sends the head of a long file, half of it, and then one byte now and then, or nothing more."""

    is_cut = False

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"x" * 50_000)
        with contextlib.suppress(OSError):
            while not self.is_cut:
                self.wfile.write(b"x")
                time.sleep(0.05)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Cut(_Slow):
    is_cut = True


def test_a_slow_copy_says_how_far_it_is_and_ends_when_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote, "FIRST_PROGRESS_S", 0.5)
    show = remote._CopyProgress.show

    def stop(progress: remote._CopyProgress) -> None:
        show(progress)
        if caplog.messages:
            raise KeyboardInterrupt

    monkeypatch.setattr(remote._CopyProgress, "show", stop)
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Slow) as server,
        caplog.at_level(logging.INFO, "anew.stores"),
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/names.txt"
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            local_copy(address)
        assert time.monotonic() - begin < 20
        server.shutdown()
    message = rf"copying {address}: [\d.]+ KB of 97.7 KB so far, [\d.]+ KB/s"
    assert re.fullmatch(message, caplog.messages[0])


def test_a_connection_that_is_cut_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Cut) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/names.txt"
        with pytest.raises(DataError) as refusal:
            local_copy(address)
        server.shutdown()
    reason = "the connection was cut before the end of the file"
    assert str(refusal.value) == f"{address!r} cannot be read ({reason}); check the address and the network"


def test_a_file_that_was_removed_meanwhile_costs_one_file(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.pipe_file("bucket/data/a.txt", b"one\n" * 300)
    store.pipe_file("bucket/data/b.txt", b"two\n" * 300)
    get_file = type(store).get_file

    def get(system: fsspec.AbstractFileSystem, rpath: str, lpath: str, **options: object) -> None:
        if rpath.endswith("b.txt"):
            raise FileNotFoundError(rpath)
        get_file(system, rpath, lpath, **options)

    monkeypatch.setattr(type(store), "get_file", get)
    copy = local_copy("memory://bucket/data")
    assert [(item.name, item.reason) for item in copy.refusals] == [("b.txt", "it was removed after it was listed")]


def test_a_signed_web_address_is_used_and_not_kept(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "names.txt").write_text("".join(f"name {i}\n" for i in range(400)))
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/names.txt?signature=topsecret"
        data = Dataset.open(address)
        with pytest.raises(DataError, match="there is nothing at"):
            Dataset.open(f"http://127.0.0.1:{server.server_port}/missing.txt")
        server.shutdown()
    assert data.path == without_query(address) and data.scan.items == 400
    assert "topsecret" not in json.dumps(data.path) and "topsecret" not in "".join(data.scan.notes)
    root = files.cache_root(None) / "remote"
    assert not any(b"topsecret" in path.read_bytes() for path in root.rglob("*") if path.is_file())


def test_a_folder_of_a_web_server_is_no_text(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.jpg").write_bytes(b"\xff\xd8")
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("pictures/", "pictures"):  # without the slash the server leads there
            with pytest.raises(DataError, match="web servers do not list their files; give the address of one file"):
                Dataset.open(f"http://127.0.0.1:{server.server_port}/{name}")
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass
