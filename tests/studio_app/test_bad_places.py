"""What a user may run into: each is a sentence, on the page or in the terminal, and nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest
import torch

from anew.errors import ConfigError, RunError
from anew.runs import snapshots
from anew.studio_app import data_routes, queue_runner, run_summary
from anew.studio_app.app import shared_parent
from anew.studio_app.jobs import Job, JobStore
from anew.studio_app.start_folder import STATE
from studio_runs import client_of, studio_process, write_run


def refused(folder: Path, *words: str) -> str:
    """What a Studio that cannot be opened says."""
    command = [sys.executable, "-m", "anew", "studio", "--folder", str(folder), *words]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert completed.returncode == 2, completed.stderr
    return completed.stderr.strip()


@pytest.mark.slow
def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert (
            refused(tmp_path, "--port", str(port))
            == f"anew: --port {port} is in use; give another, or 0 for a free one"
        )


@pytest.mark.slow
def test_two_studios_on_one_folder(tmp_path: Path) -> None:
    with studio_process(tmp_path) as (studio, address):
        place = address.partition("?")[0]
        sentence = refused(tmp_path, "--port", "0")
        assert f" at {place}; use that one, or stop it first" in sentence and "token" not in sentence
        studio.kill()
        studio.wait()
    with studio_process(tmp_path) as (_, again):  # what was killed holds nothing
        assert again


def test_a_start_folder_that_vanishes(tmp_path: Path, root: Path) -> None:
    place = tmp_path / "start"
    write_run(place / "runs" / "one", root / "runs" / "shapes", 5)
    with client_of(place) as client:
        assert len(client.get("/api/runs").json()["runs"]) == 1
        shutil.rmtree(place)
        listed = client.get("/api/runs")
        assert listed.status_code == 410 and "no longer exists" in listed.json()["error"]["message"]
        started = client.post("/api/train", json={"data": "names.txt", "budget": "1m"})
        assert started.status_code in (404, 410) and "exist" in started.json()["error"]["message"]


def test_a_run_of_another_version(tmp_path: Path, root: Path) -> None:
    run = write_run(tmp_path / "runs" / "later", root / "runs" / "shapes", 5)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "format": 99}))
    with client_of(tmp_path) as client:
        (summary,) = client.get("/api/runs").json()["runs"]
        assert summary["state"] == "damaged" and summary["sentence"]
        detail = client.get("/api/run", params={"run": "runs/later"})
        assert detail.status_code == 200 and detail.json()["sentence"] == summary["sentence"]


def test_a_model_that_is_not_finished(tmp_path: Path, root: Path) -> None:
    run = write_run(tmp_path / "runs" / "begun", root / "runs" / "shapes", 5)
    (run / "model.safetensors").unlink()
    with client_of(tmp_path) as client:
        answer = client.get("/api/play/about", params={"run": "runs/begun"})
        assert answer.status_code == 400
        sentence = answer.json()["error"]["message"]
        assert sentence.endswith(
            "model.safetensors' is missing and there is no whole checkpoint: restore it or train again"
        )


def test_a_folder_of_very_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_routes, "MAX_ENTRIES", 5)
    (tmp_path / "many").mkdir()
    for number in range(200):
        (tmp_path / "many" / f"{number:03d}.txt").write_text("x")
    with client_of(tmp_path) as client:
        listing = client.get("/api/folder", params={"path": "many"}).json()
        assert listing["count"] == 200 and len(listing["entries"]) == 5


def test_a_folder_of_a_timelapse_that_is_none(tmp_path: Path, root: Path) -> None:
    run = write_run(tmp_path / "runs" / "odd", root / "runs" / "shapes", 5)
    (run / "timelapse").symlink_to(tmp_path / "elsewhere")
    snapshots.keep(tmp_path, {"a": torch.ones(2)}, 5, 1.0)
    (tmp_path / "timelapse").rename(tmp_path / "elsewhere")
    with client_of(tmp_path) as client:
        assert client.get("/api/timelapse", params={"run": "runs/odd"}).json() == {"steps": [], "weights": []}
        answer = client.get("/api/timelapse/frame", params={"run": "runs/odd", "step": "1"})
        assert answer.status_code == 404 and answer.json()["error"]["message"]
        assert client.get("/api/timelapse/frame", params={"run": "runs/odd", "step": "x"}).status_code == 400


class FullDisk:
    """Lets some notes of the queue through, then none until there is room, which comes after some tries."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, let_through: int, tries: int) -> None:
        self.left, self.tries, self.states = let_through, tries, list[str]()
        self.write = JobStore.write
        monkeypatch.setattr(JobStore, "write", lambda store, job: self(store, job))
        monkeypatch.setattr(queue_runner, "FULL_DISK_RETRY_SECONDS", 0.01)

    def __call__(self, store: JobStore, job: Job) -> None:
        self.left -= 1
        if self.left < 0 and self.tries > 0:
            self.tries -= 1
            raise RunError("cannot write") from OSError(errno.ENOSPC, "No space left on device")
        self.states.append(job.state)
        self.write(store, job)


@pytest.mark.parametrize("let_through", [0, 1, 2])  # before it begins, once it has begun, when it has ended
def test_a_full_disk_starts_nothing_twice_and_loses_no_end(
    let_through: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = JobStore(tmp_path / STATE)
    store.prepare()
    store.add("example", "a", ["example", "names", "a"])
    disk = FullDisk(monkeypatch, let_through, tries=3)
    started: list[subprocess.Popen[bytes]] = []
    real = queue_runner._start

    def start(*arguments: object) -> subprocess.Popen[bytes]:
        if let_through == 1:  # what began without a note must have ended before it begins once more
            assert all(process.poll() is not None for process in started)
        started.append(real(*arguments))  # type: ignore[arg-type]
        return started[-1]

    monkeypatch.setattr(queue_runner, "_start", start)
    queue_runner.run_queue(tmp_path)
    (job,) = store.all()
    assert (job.state, job.exit) == ("ended", 0) and disk.states[-2:] == ["running", "ended"] and not disk.tries
    assert len(started) == {0: 1, 1: 2, 2: 1}[let_through] and (tmp_path / "a" / "names.txt").is_file()


def test_a_queue_whose_folder_is_gone_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = JobStore(tmp_path / STATE)
    store.prepare()
    store.add("example", "a", ["example", "names", "a"])
    monkeypatch.setattr(queue_runner, "_start", lambda *arguments: shutil.rmtree(store.folder))
    with pytest.raises((RunError, OSError, AttributeError)):
        queue_runner.run_queue(tmp_path)


def test_a_full_disk_is_said_of_what_waits_and_of_what_ended(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "anew.studio_app.queue_runner.start_runner", lambda root: subprocess.Popen([sys.executable, "-c", ""])
    )
    run = write_run(tmp_path / "runs" / "old", root / "runs" / "shapes", 5)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"status": "training"}))
    with client_of(tmp_path) as client:
        store = JobStore(tmp_path / STATE)
        store.add("train", "runs/new", ["train", "data"])
        gone = {"state": "running", "pid": os.getpid(), "pid_since": 1.0}  # a process that is no longer there
        for name in ("runs/old", "runs/none"):
            job = store.add("train", name, ["train", "data"])
            with store.changing():
                store.write(job.model_copy(update=gone))

        def said() -> dict[str, tuple[str, str]]:
            return {run["id"]: (run["state"], run["sentence"]) for run in client.get("/api/runs").json()["runs"]}

        roomy = said()
        assert roomy["runs/new"] == ("queued", "It starts when the commands before it in the queue have ended.")
        assert roomy["runs/none"][0] == "preparing"
        monkeypatch.setattr(run_summary, "NOTE_BYTES", 1 << 60)
        full = said()
        assert full["runs/new"] == ("queued", "The disk is full. It starts once you free some space.")
        assert full["runs/old"][0] == "stopped" and "the disk is full. Free some space" in full["runs/old"][1]
        assert full["runs/none"][0] == "failed"


def test_runs_on_several_drives_have_no_common_folder() -> None:
    """The search for one did not end."""
    same = [PureWindowsPath("C:/runs/a"), PureWindowsPath("C:/other/b")]
    assert shared_parent(same) == PureWindowsPath("C:/")
    with pytest.raises(ConfigError, match=r"several drives \(C: and D:\); open those of one"):
        shared_parent([same[0], PureWindowsPath("D:/runs/b")])
