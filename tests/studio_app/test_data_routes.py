"""Data on the page: uploads arrive whole and stay in their place, folders are listed, and Anew says what it sees."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from anew.core import files
from anew.server import guard
from anew.studio_app import data_report, uploads
from anew.studio_app.app import make_app
from anew.studio_app.start_folder import STATE, StartFolder
from anew.studio_app.studio import Studio
from anew.studio_app.uploads import BUNDLE_HEAD
from samples import shapes, tones
from server_runs import answering
from studio_runs import TOKEN, client_of


def test_dropped_files_arrive(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        upload = client.post("/api/uploads", json={"name": "my <pictures>/.."}).json()["id"]
        assert upload == "uploads/my _pictures__"
        second = client.post("/api/uploads", json={"name": "my <pictures>/.."}).json()["id"]
        assert second == f"{upload}-2"
        data = bytes(range(256)) * 5000
        pieces: Iterator[bytes] = iter([data[:1000], data[1000:]])
        assert client.post("/api/upload", params={"to": upload, "path": "cats/1.bin"}, content=pieces).json() == {
            "size": len(data)
        }
    assert (tmp_path / upload / "cats" / "1.bin").read_bytes() == data
    assert [path.name for path in (tmp_path / upload / "cats").iterdir()] == ["1.bin"]


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/x",
        "a//b",
        ".hidden",
        "a/../../x",
        "a\\b",
        "x" * 300,
        "",
        "/".join("a" * 20),
        "con:1",
        "é" * 101,
        "a\x9bm",
        "\u202egnp.exe",
        "a\u2028b",
        "cats/CON",
        "nul.txt",
        "Com1.png",
        "a.",
        "b /c.txt",
    ],
)
def test_names_that_lead_elsewhere(path: str, tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        upload = client.post("/api/uploads", json={"name": "u"}).json()["id"]
        assert client.post("/api/upload", params={"to": upload, "path": path}, content=b"x").status_code in (400, 403)
        for place in ("", "uploads", "..", "runs", "uploads/none", "uploads/u/../../x"):
            assert client.post("/api/upload", params={"to": place, "path": "x"}, content=b"x").status_code in (403, 404)


@pytest.mark.parametrize(
    ("path", "reason"), [("a/aux.txt", "'aux.txt' is a device on Windows"), ("a./b", "ends with a dot or a blank")]
)
def test_names_that_windows_does_not_have_are_explained(path: str, reason: str, tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        upload = client.post("/api/uploads", json={"name": "con"}).json()["id"]
        assert upload == "uploads/con-1"
        answer = client.post("/api/upload", params={"to": upload, "path": path}, content=b"x")
        assert answer.status_code == 400 and reason in answer.json()["error"]["message"]
        upload = client.post("/api/uploads", json={"name": "console"}).json()["id"]
        assert client.post("/api/upload", params={"to": upload, "path": "com/x.aux"}, content=b"x").status_code == 200


def test_a_place_that_is_taken(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        upload = client.post("/api/uploads", json={"name": "u" * 500}).json()["id"]
        for path, status in (
            ("a", 200),
            ("a/b", 413),
            ("c/d", 200),
            ("c", 413),
        ):  # a file where a folder is to be, and back
            answer = client.post("/api/upload", params={"to": upload, "path": path}, content=b"x")
            assert answer.status_code == status, answer.text


@pytest.mark.parametrize("target", [".", "nothing", "uploads"])
def test_uploads_stay_out_of_a_link(target: str, tmp_path: Path) -> None:
    (tmp_path / "uploads").symlink_to(tmp_path / target)
    with client_of(tmp_path) as client:
        answer = client.post("/api/uploads", json={"name": "u"})
        assert answer.status_code == 400 and "is a link" in answer.text
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize("path", ["/api/upload?to=uploads/u&path=x.txt", "/api/play/origin"])
@pytest.mark.parametrize(
    "framing", ["Content-Length: 1000", pytest.param("Transfer-Encoding: chunked", marks=pytest.mark.slow)]
)
def test_a_body_that_comes_to_a_halt_is_cut_off(
    path: str, framing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MAX_LAG_SECONDS", 0.3)
    (tmp_path / "uploads" / "u").mkdir(parents=True)
    app = make_app(Studio(StartFolder(tmp_path), []), "127.0.0.1", 8686, TOKEN)
    with answering(app) as address, socket.create_connection(address, 30) as slow:
        own = f"Authorization: Bearer {TOKEN}\r\nX-Anew-Studio: 1"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{own}\r\n{framing}\r\n\r\n"
        slow.sendall(head.encode() + b"5\r\nabcde\r\n")
        answer = b"".join(iter(lambda: slow.recv(2**16), b""))
        assert answer.startswith(b"HTTP/1.1 408 ") and b"behind the slowest rate" in answer
        assert not list((tmp_path / "uploads").rglob("*.*"))


def test_a_full_disk_is_said_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_DISK_BYTES", 2**62)
    with client_of(tmp_path) as client:
        upload = client.post("/api/uploads", json={"name": "u"}).json()["id"]
        answer = client.post("/api/upload", params={"to": upload, "path": "x.txt"}, content=b"x")
        assert answer.status_code == 413 and "does not fit on the disk" in answer.json()["error"]["message"]
    assert not (tmp_path / upload).exists()


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_FILE_BYTES", 10)
    with client_of(tmp_path) as client:
        upload = client.post("/api/uploads", json={"name": "u"}).json()["id"]
        assert client.post("/api/upload", params={"to": upload, "path": "x"}, content=b"x" * 11).status_code == 413
    assert not (tmp_path / upload).exists()


def test_an_address_is_refused(client: TestClient) -> None:
    answer = client.post("/api/look", json={"data": "s3://bucket/faces"})
    assert answer.status_code == 400 and "is an address" in answer.text


def test_folders_are_listed(root: Path, client: TestClient) -> None:
    listing = client.get("/api/folder").json()
    assert {"name": "names.txt", "is_folder": False} in listing["entries"] and not listing["is_run"]
    assert all(not entry["name"].startswith(".") for entry in listing["entries"])
    assert client.get("/api/folder", params={"path": "runs/shapes"}).json()["is_run"]
    assert client.get("/api/folder", params={"path": ".."}).status_code == 403
    assert client.get("/api/folder", params={"path": "names.txt"}).status_code == 400


def test_entries_that_no_page_can_name_hide_no_others(tmp_path: Path, root: Path) -> None:
    """A link to itself, and a name of bytes that are not UTF-8, were each answered by "this is a bug in Anew"."""
    (tmp_path / "names.txt").write_text("Anna")
    (tmp_path / "loop").symlink_to("loop")
    shutil.copytree(root / "runs" / "shapes", tmp_path / "runs" / "shapes")
    for name in (b"caf\xe9", b"runs/caf\xe9"):
        shutil.copytree(root / "runs" / "shapes", os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    with client_of(tmp_path) as client:
        listing = client.get("/api/folder").json()
        runs = client.get("/api/runs").json()["runs"]
    entries = [
        {"name": "runs", "is_folder": True},
        *({"name": name, "is_folder": False} for name in ("loop", "names.txt")),
    ]
    assert listing["entries"] == entries and listing["count"] == 4
    assert [run["id"] for run in runs] == ["runs/shapes"]


def test_examples(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        assert {"names", "digits"} <= {example["name"] for example in client.get("/api/examples").json()["examples"]}
        for _ in range(2):  # the second time it is there
            assert client.post("/api/example", json={"name": "names"}).json() == {"id": "examples/names"}
        assert client.post("/api/example", json={"name": "../x"}).status_code == 400
    assert (tmp_path / "examples" / "names" / "names.txt").exists()


def events(answer: Any) -> list[dict[str, Any]]:
    """The events of a streamed answer."""
    assert answer.status_code == 200
    return [json.loads(part.removeprefix("data: ")) for part in answer.text.split("\n\n") if part]


def look_at(data: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What is seen of data, and what budgets train."""
    written: list[dict[str, Any]] = []
    data_report.look(str(data), None, write=lambda event: written.append(dict(event)))
    assert [key for event in written for key in event] == ["doing", "doing", "seen", "doing", "budgets", "end"]
    return written[2]["seen"], written[4]["budgets"]


def test_what_anew_sees(tmp_path: Path) -> None:
    inspection, budgets = look_at(shapes(tmp_path / "shapes", 60))
    assert inspection["items"] == 60 and inspection["labels"] == ["bar", "disc"]
    assert inspection["budgets"] == [] and [budget["seconds"] for budget in budgets] == [60, 600, 3600]
    items = inspection["sheet"]
    assert isinstance(items, list) and 0 < len(items) <= 24
    assert items[0]["type"] == "picture" and items[0]["src"].startswith("data:image/png;base64,")
    assert {item["label"] for item in items} == {"bar", "disc"}


@pytest.mark.slow  # test_browser.py names a column in the page, too
def test_a_table_without_a_column_for_text_is_read_when_one_is_named(tmp_path: Path) -> None:
    rows = "".join(f"person {n};note {n * n} of a table\n" for n in range(60))
    (tmp_path / "table.csv").write_text(f"writer;remark\n{rows}")
    look = {"data": "table.csv"}
    with client_of(tmp_path) as client:
        *_, refusal = events(client.post("/api/look", json=look))
        assert refusal["columns"] == ["writer", "remark"]
        assert "the setting text_column" in refusal["error"]["message"]
        *_, wrong = events(client.post("/api/look", json=look | {"settings": {"text_column": "remarks"}}))
        assert "did you mean 'remark'" in wrong["error"]["message"]
        doing, *_, last = look_events = events(
            client.post("/api/look", json=look | {"settings": {"text_column": "remark"}})
        )
    assert (
        doing["doing"] == "listing the data, and reading a sample of it" and last["end"] and len(last["budgets"]) == 3
    )
    (inspection,) = [event["seen"] for event in look_events if "seen" in event]
    assert inspection["items"] == 60 and inspection["columns"] == ["writer", "remark"]
    assert inspection["sheet"][0]["text"].startswith("note ")


def test_a_process_that_looks_ends_by_itself_and_may_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was killed at its last event, before its decoders ended, and a line of a library cut the answer off."""
    program = (
        "import atexit, json, pathlib, sys; atexit.register(pathlib.Path(sys.argv[1]).write_text, 'ended'); "
        "print('a warning'); print(7); print(json.dumps({'end': True}), flush=True)"
    )
    exit_file = tmp_path / "exit.txt"
    monkeypatch.setattr(
        "anew.studio_app.child_events.own_command", lambda *words: [sys.executable, "-c", program, str(exit_file)]
    )
    (tmp_path / "names.txt").write_text("Ada\n")
    with client_of(tmp_path) as client:
        assert events(client.post("/api/look", json={"data": "names.txt"})) == [{"end": True}]
    assert exit_file.read_text() == "ended"


def test_no_event_has_numbers_that_json_lacks() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        data_report.write_event({"seconds": float("nan")})


def test_of_sounds_a_few_are_shown(tmp_path: Path) -> None:
    items = look_at(tones(tmp_path / "tones", 40))[0]["sheet"]
    assert isinstance(items, list) and len(items) == data_report.NUM_SOUNDS and items[0]["type"] == "sound"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing", "does not exist"),
        ("runs/shapes", "is a run"),
        pytest.param("empty", "empty", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_looked_at(name: str, sentence: str, root: Path, client: TestClient) -> None:
    (root / "empty").mkdir(exist_ok=True)
    answer = client.post("/api/look", json={"data": name})
    if name == "empty":
        assert sentence in events(answer)[-1]["error"]["message"]
        return
    assert answer.status_code in (400, 404) and sentence in answer.json()["error"]["message"]


def test_the_settings(client: TestClient) -> None:
    value = client.get("/api/settings").json()
    width = next(s for s in value["settings"] if s["owner"] == "transformer" and s["name"] == "width")
    assert width["group"] == "family" and width["minimum"] is not None and width["meaning"] and width["values"]


def bundle(*entries: tuple[str, bytes]) -> bytes:
    return b"".join(BUNDLE_HEAD.pack(len(path.encode()), len(data)) + path.encode() + data for path, data in entries)


def test_many_small_files_arrive_in_one_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BUNDLE_WRITE_FILES", 3)
    entries = [(f"{'ab'[n % 2]}/{n}.txt", b"x" * n) for n in range(10)] + [("ä.txt", b"")]
    whole = bundle(*entries)
    with client_of(tmp_path) as client:
        upload = client.post("/api/uploads", json={"name": "u"}).json()["id"]
        pieces = (whole[place : place + 7] for place in range(0, len(whole), 7))
        assert client.post("/api/bundle", params={"to": upload}, content=pieces).json() == {"files": 11}
    contents = {
        str(path.relative_to(tmp_path / upload)): path.read_bytes() for path in (tmp_path / upload).rglob("*.txt")
    }
    assert contents == dict(entries)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (bundle(("../x", b"x")), 400),
        (bundle((".hidden", b"x")), 400),
        (bundle(("a/b.txt", b"whole"), ("c.txt", b"cut off"))[:-1], 400),
        (BUNDLE_HEAD.pack(5, 2**40) + b"x.txt", 413),
        (BUNDLE_HEAD.pack(2**31, 1), 413),
        (b"abc", 400),
    ],
)
def test_bundles_that_are_none(body: bytes, status: int, tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        upload = client.post("/api/uploads", json={"name": "u"}).json()["id"]
        answer = client.post("/api/bundle", params={"to": upload}, content=body)
        assert answer.status_code == status and answer.json()["error"]["message"]
        assert client.post("/api/bundle", params={"to": "runs"}, content=bundle(("x", b"x"))).status_code in (403, 404)
    assert not [path for path in (tmp_path / upload).rglob("*") if path.is_file()]
    assert {path.name for path in tmp_path.iterdir()} <= {"uploads", STATE}


def test_a_drop_of_which_nothing_arrives_leaves_no_folder(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        upload = client.post("/api/uploads", json={"name": "u"}).json()["id"]
        answer = client.post("/api/upload", params={"to": upload, "path": "a/b:c.txt"}, content=b"x")
        assert answer.status_code == 400 and "contains ':'" in answer.json()["error"]["message"]
        assert not (tmp_path / upload).exists()
        upload = client.post("/api/uploads", json={"name": "u"}).json()["id"]
        assert client.post("/api/bundle", params={"to": upload}, content=bundle(("a.txt", b"x"))).status_code == 200
        assert client.post("/api/bundle", params={"to": upload}, content=bundle(("b?.txt", b"x"))).status_code == 400
        assert (tmp_path / upload / "a.txt").is_file()


def test_an_extra_is_named_only_where_it_is_missing(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"sklearn"}
    monkeypatch.setattr("anew.studio_app.data_routes.find_spec", lambda name: name in installed or name == "anew")
    texts = {example["name"]: example["text"] for example in client.get("/api/examples").json()["examples"]}
    assert "needs the extra" not in texts["small-digits"] + texts["names"] and "needs the extra" in texts["digits"]
