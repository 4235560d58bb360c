"""The list of runs and the page of one, as answers: states are true, numbers are those of the log."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from starlette.testclient import TestClient

from anew.runs import events, lock
from anew.runs.record import BegunRun, Request
from anew.runs.report_record import ReportRecord
from anew.studio_app import run_page, run_summary
from anew.studio_app import watcher as watcher_module
from anew.studio_app.jobs import Job
from anew.studio_app.studio import RunFinder
from anew.studio_app.watcher import Signature, Watcher, signature
from studio_runs import client_of, write_run


def listed(client: TestClient) -> dict[str, dict[str, Any]]:
    return {run["id"]: run for run in client.get("/api/runs").json()["runs"]}


def test_the_list(client: TestClient) -> None:
    runs = listed(client)
    assert {"runs/shapes", "runs/names"} <= set(runs)
    shapes = runs["runs/shapes"]
    assert shapes["state"] == "finished" and shapes["modality"] == "image" and shapes["step"] == 8
    assert shapes["labels"] == ["bar", "disc"] and shapes["parameters"] > 100


def test_the_page_shows_the_numbers_of_the_log(root: Path, client: TestClient) -> None:
    run = client.get("/api/run", params={"run": "runs/shapes"}).json()
    steps = [event for event in events.read(root / "runs/shapes/events.jsonl") if event["event"] == "step"]
    assert run["last"] == steps[-1] and run["losses"] == {
        "loss": pytest.approx(fmean(event["loss"] for event in steps[4:]))
    }
    assert run["plan"][0].endswith("8 examples in each step") and run["has_weights"]
    (part,) = client.get("/api/curves", params={"run": "runs/shapes"}).json()["parts"]
    curve = next(curve for curve in part["curves"] if curve["name"] == "loss")
    assert curve["values"] == [event["loss"] for event in steps] and curve["steps"] == [
        event["step"] for event in steps
    ]


def test_a_run_that_was_hardly_trained_says_so(client: TestClient) -> None:
    run = client.get("/api/run", params={"run": "runs/shapes"}).json()
    assert run["short_training"].startswith("The model was hardly trained (8 steps)")


def test_questions_that_were_not_measured_are_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_summary.grades(root / "runs" / "shapes") == {}  # it has no report
    record = ReportRecord(scores=[], grades={"novelty": "good"})
    monkeypatch.setattr(run_summary, "record_or_none", lambda run: record)
    missing = dict.fromkeys(("closeness", "variety"), "not_measured")
    assert run_summary.grades(root / "runs" / "shapes") == {**missing, "novelty": "good"}


def test_sheets_of_samples(root: Path, client: TestClient) -> None:
    run = client.get("/api/run", params={"run": "runs/shapes"}).json()
    assert run["sheets"] and run["sheets"] == sorted(run["sheets"], key=lambda sheet: sheet["step"])
    answer = client.get("/api/sheet", params={"run": "runs/shapes", "file": run["sheets"][0]["file"]})
    assert answer.headers["content-type"] == "image/png" and answer.content[:4] == b"\x89PNG"


@pytest.mark.parametrize("name", ["nothing", "shapes", "names.txt"])
def test_what_is_no_run(name: str, client: TestClient) -> None:
    answer = client.get("/api/run", params={"run": name})
    assert answer.status_code == 404 and "is not a run" in answer.json()["error"]["message"]


def test_a_field_that_is_missing(client: TestClient) -> None:
    assert client.get("/api/run").status_code == 400


def test_states(root: Path, tmp_path: Path) -> None:
    for name in ("unfinished", "killed", "at-work", "of-the-future"):
        run = write_run(tmp_path / name, root / "runs" / "shapes", 20)
        config = json.loads((run / "config.json").read_text())
        config |= {"format": 99} if name == "of-the-future" else {"status": "training"}
        (run / "config.json").write_text(json.dumps(config))
    holder = {"host": socket.gethostname(), "since": time.time()}
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "killed" / lock.NAME).write_text(json.dumps(holder | {"pid": ended.pid}))
    (tmp_path / "at-work" / lock.NAME).write_text(json.dumps(holder | {"pid": os.getpid()}))
    with client_of(tmp_path) as client:
        states = {name: (run["state"], run["sentence"]) for name, run in listed(client).items()}
    assert (
        states["unfinished"][0] == "paused" and states["killed"][0] == "stopped" and states["at-work"][0] == "training"
    )
    assert states["of-the-future"][0] == "damaged" and "reads format 1" in states["of-the-future"][1]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"pid": "x"}', '{"pid": -5, "host": "h", "since": 1}', '{"pid": 1e300}']
)
def test_a_lock_file_of_anybody(content: str, tmp_path: Path) -> None:
    (tmp_path / lock.NAME).write_text(content)
    assert not lock.is_held(tmp_path)


def test_a_run_killed_in_a_container_of_another_name_is_not_being_trained(tmp_path: Path) -> None:
    """Its lock file named the old container, so the Studio would neither resume nor discard it."""
    with lock.locked(tmp_path):
        record = {"pid": os.getpid(), "host": "another-container", "since": time.time()}
        (tmp_path / lock.NAME).write_text(json.dumps(record))
        assert lock.is_held(tmp_path) and "another-container" in (lock.holder_elsewhere(tmp_path) or "")
    (tmp_path / lock.NAME).write_text(json.dumps(record))
    assert not lock.is_held(tmp_path) and lock.holder_elsewhere(tmp_path) is None and lock.names_holder(tmp_path)


def test_the_holder_of_a_lock_that_nobody_can_read_is_in_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows a training seemed to be starting until its end, and could be discarded."""
    monkeypatch.setattr(lock, "HOLDER", ".lock-holder")
    with lock.locked(tmp_path):
        assert lock.is_held(tmp_path) and (tmp_path / lock.NAME).read_text() == ""
    assert not lock.is_held(tmp_path) and not lock.names_holder(tmp_path)


def test_a_training_that_was_ended_at_once_did_not_fail(tmp_path: Path) -> None:
    """On Windows "Pause" ended in "failed: It ended with exit code 15"."""
    assert run_summary.was_ended_at_once(15, "nt") and not run_summary.was_ended_at_once(15, "posix")
    job = Job(id=1, verb="train", run="run", words=["train"], queued_at=1.0, state="ended", exit=-signal.SIGTERM)
    state = run_summary.state_of(tmp_path, BegunRun(request=Request(data="x")), job)
    assert state.name == "paused" and state.sentence == "Stopped. Resume continues from the last checkpoint."


def test_folders_that_a_training_removes_meanwhile_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("checkpoints", "pilots"):
        (tmp_path / name).mkdir()

    def removed(path: Path) -> Any:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "iterdir", removed)
    assert not run_summary.has_weights(tmp_path) and len(run_page._trainings(tmp_path)) == 2


def test_who_asks_who_trains_does_not_keep_a_training_from_its_lock(tmp_path: Path) -> None:
    """To learn it of a process of another container, the lock is held for an instant."""
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / lock.NAME).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        release = threading.Timer(0.05, fcntl.flock, (file, fcntl.LOCK_UN))
        release.start()
        with lock.locked(tmp_path):
            release.join()


def test_a_process_of_the_same_number_is_another_one(tmp_path: Path) -> None:
    record = {"pid": os.getpid(), "host": socket.gethostname(), "since": 1000.0}  # before this process began
    (tmp_path / lock.NAME).write_text(json.dumps(record))
    assert not lock.is_held(tmp_path)


def test_runs_are_found_again_and_again(root: Path, tmp_path: Path) -> None:
    finder = RunFinder(tmp_path)
    assert finder.find() == []
    run = write_run(tmp_path / "a" / "b" / "run", root / "runs" / "shapes", 1)
    (run / "pilots" / "gan").mkdir(parents=True)
    (run / "pilots" / "gan" / "config.json").write_text((run / "config.json").read_text())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config.json").write_text("{}")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert finder.find() == [run]
    (run / "config.json").unlink()
    assert finder.find() == []


def test_pages_are_told_what_changed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    looks = [{}, {"a": (1,)}, {"a": (1,), "b": (2,)}, {"b": (2,)}]

    async def first_changes() -> list[list[str] | None]:
        watcher = Watcher(lambda: looks.pop(0) if len(looks) > 1 else looks[0])
        changes = watcher.changes()
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        async with watcher.running():
            return [await first, await anext(changes), await anext(changes)]

    assert asyncio.run(first_changes()) == [["a"], ["b"], ["a"]]
    before = signature(tmp_path / "run")
    (tmp_path / "run" / "events.jsonl").write_text("x")
    assert signature(tmp_path / "run") != before


def test_a_fault_of_one_look_does_not_end_the_watching(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watcher_module, "SECONDS_BETWEEN_CHECKS", 0.0)
    full = OSError(errno.ENOSPC, "No space left on device")
    looks: list[dict[str, Signature] | OSError] = [{"a": (1,)}, full, full, {"b": (2,)}]

    def look() -> dict[str, Signature]:
        result = looks.pop(0) if len(looks) > 1 else looks[0]
        if isinstance(result, OSError):
            raise result
        return result

    async def all_changes() -> list[list[str] | None]:
        watcher = Watcher(look)
        changes = watcher.changes()
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        async with watcher.running():
            return [await first, await anext(changes)]

    assert asyncio.run(asyncio.wait_for(all_changes(), 10)) == [["a"], ["a", "b"]]
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_process_that_is_about_to_end_does_not_hide_what_it_finished(root: Path, tmp_path: Path) -> None:
    """It has let go of the run, but is still there for a moment."""
    run = write_run(tmp_path / "done", root / "runs" / "shapes", 5)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "status": "finished"}))
    record, written = run_summary.read_record(run), (run / "config.json").stat().st_mtime
    job = Job(id=1, verb="train", run="done", words=["train"], queued_at=1.0, state="running", pid=os.getpid(),
              pid_since=psutil.Process().create_time(), began_at=written - 60.0)  # fmt: skip
    assert run_summary.state_of(run, record, job).name == "finished"
    again = job.model_copy(update={"verb": "resume", "began_at": written + 60.0})  # it has not got hold of the run yet
    assert run_summary.state_of(run, record, again).name == "preparing"


def test_a_run_without_its_weights_is_not_finished(root: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "alone", root / "runs" / "shapes", 20)
    (run / "model.safetensors").unlink()
    with client_of(tmp_path) as client:
        state = listed(client)["alone"]
    assert state["state"] == "damaged" and "model.safetensors" in state["sentence"]


def test_a_run_has_one_name(client: TestClient) -> None:
    for name in ("runs/shapes/../shapes", "runs/shapes/", "./runs/shapes", "runs//shapes"):
        assert client.get("/api/run", params={"run": name}).status_code == 404
        assert client.post("/api/resume", json={"run": name}).status_code == 404


def test_the_copying_test_says_why_a_curve_above_the_line_is_no_finding(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = SimpleNamespace(model_dump=lambda include, exclude_unset: {name: name for name in include})
    monkeypatch.setattr(run_summary, "record_or_none", lambda run: SimpleNamespace(copies=copies))
    assert {"reference_p", "control_p", "controls", "detected"} <= set(run_summary.copying_test(root))
