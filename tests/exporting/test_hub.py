"""The folder for a hub: the run without its owner's folders, a card with figures; and a push, only where requested."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

import anew
from anew.cli import main
from anew.core import files


class StubHub(BaseHTTPRequestHandler):
    """As much of a hub as an upload takes. What it was sent is in `uploaded`."""

    uploaded: dict[str, Any]
    is_private = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        address = f"http://127.0.0.1:{self.server.server_address[1]}/me/names"
        self.uploaded["token"] = self.headers.get("Authorization")
        if self.path.startswith("/api/repos/create"):
            self.uploaded["create"] = json.loads(body)
            self.answer({"url": address})
        elif self.path == "/api/validate-yaml":
            self.uploaded["card"] = json.loads(body)["content"]
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            self.uploaded["files"] = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            self.answer({"commitUrl": f"{address}/commit/{'0' * 40}", "commitOid": "0" * 40, "success": True})
        else:
            self.answer({}, 404)

    def do_GET(self) -> None:
        self.answer({"id": "me/names", "sha": "0" * 40, "siblings": [], "private": self.is_private, "tags": []})

    def answer(self, value: Any, code: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        return None


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    requests: dict[str, Any] = {}
    handler = type("Handler", (StubHub,), {"uploaded": requests})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    yield requests
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_folder_is_a_run_that_samples_alike(
    text_run: Callable[[str], Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = text_run("list")
    page = run / "report" / "report.html"
    page.write_text("training items")
    request.addfinalizer(page.unlink)
    (run / "samples").mkdir(exist_ok=True)
    (run / "samples" / "final.txt").write_text("anbelcor\nfigan\n")
    (run / "samples" / "step-00000001.txt").write_text("a preview")
    export = anew.export(run, "hub", tmp_path / "out")
    names = {path.relative_to(export.folder).as_posix() for path in export.files}
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "report/report.json"} < names
    assert "report/report.html" not in names and any("report.html is left out" in note for note in export.notes)
    assert "samples/final.txt" in names and not [name for name in names if "step" in name or "events" in name]
    assert list(anew.load(export.folder).sample(4)) == list(anew.load(run).sample(4))
    text = (export.folder / "config.json").read_text()
    assert str(tmp_path.parent) not in text and json.loads(text)["data"]["path"] == "names.txt"
    card = (export.folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["library_name"] == "anew" and head["pipeline_tag"] == "text-generation"
    metrics = {metric["type"]: metric for metric in head["model-index"][0]["results"][0]["metrics"]}
    assert metrics["precision"]["value"] == 0.75
    assert metrics["precision"]["args"] == {"real_baseline": 0.9, "naive_baseline": 0.1}
    assert "- **New?** No copies found." in card and "    anbelcor\n" in card and "training records themselves" in card


def test_files_are_copied_piece_by_piece(
    text_run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = text_run("list")
    read_sizes: list[int] = []
    monkeypatch.setattr("anew.exporting.hub.PIECE_BYTES", 100)
    write_parts = files.write_parts

    def write(path: Path, parts: Iterable[bytes], *, sync: bool = True) -> None:
        pieces = list(parts)
        read_sizes.extend(map(len, pieces))
        write_parts(path, pieces, sync=sync)

    monkeypatch.setattr("anew.exporting.hub.files.write_parts", write)
    (run / "samples").mkdir(exist_ok=True)
    (run / "samples" / "final.txt").write_text("anbelcor\n" * 1000)
    export = anew.export(run, "hub", tmp_path / "out")
    for name in ("tokenizer.json", "samples/final.txt"):
        assert (export.folder / name).read_bytes() == (run / name).read_bytes()
    assert read_sizes.count(100) >= 90
    card = (export.folder / "README.md").read_text()
    assert 100 < card.count("anbelcor") <= 112


def test_it_is_pushed_where_that_was_asked_for(
    text_run: Callable[[str], Path], tmp_path: Path, hub: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(text_run("list"))
    assert main(["export", run, "--to", "hub", "--out", str(tmp_path / "kept")]) == 0
    assert not hub
    assert main(["export", run, "--to", "hub", "--out", str(tmp_path / "out"), "--push", "me/names"]) == 0
    assert "pushed to http://127.0.0.1" in capsys.readouterr().out
    assert hub["create"]["name"] == "names" and hub["token"] == "Bearer hf_of_nobody"
    assert hub["create"].get("private") is True or hub["create"].get("visibility") == "private"
    folder = tmp_path / "out"
    sent = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert hub["files"] == sent


def test_nothing_is_pushed_to_a_public_repository(
    text_run: Callable[[str], Path], tmp_path: Path, hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StubHub, "is_private", False)
    with pytest.raises(
        anew.RunError, match="'me/names' is public, so nothing was uploaded; make it private, or upload"
    ):
        anew.export(text_run("list"), "hub", tmp_path / "out", push="me/names")
    assert "files" not in hub and (tmp_path / "out" / "model.safetensors").exists()


def test_a_push_that_cannot_be_is_one_sentence(
    text_run: Callable[[str], Path], tmp_path: Path, hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, out = text_run("list"), tmp_path / "out"
    with pytest.raises(anew.ConfigError, match="`push` must be the name of a repository, OWNER/NAME"):
        anew.export(run, "hub", out, push="names")
    with pytest.raises(anew.ConfigError, match="`push` uploads a folder for the hub, and transformers makes another"):
        anew.export(run, "transformers", out, push="me/names")
    assert not out.exists() and not hub
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(anew.RunError, match=r"'me/names' was not pushed \(.*the folder .* is complete"):
        anew.export(run, "hub", out, push="me/names")
    assert (out / "model.safetensors").exists()
