"""The queue: one command at a time, whoever is there to watch; and what pages may ask to be done."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import psutil
import pytest
from starlette.testclient import TestClient

from anew.errors import ConfigError
from anew.runs import lock
from anew.studio_app import commands, queue_runner
from anew.studio_app.jobs import Job, JobStore
from anew.studio_app.start_folder import STATE, StartFolder
from studio_runs import client_of, write_run


def until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    store = JobStore(tmp_path / STATE)
    store.prepare()
    return store


def own_store(start: Path) -> JobStore:
    """The queue of a start folder in which a Studio was open before."""
    StartFolder(start).make_state()
    store = JobStore(start / STATE)
    store.prepare()
    return store


def sleeping() -> tuple[subprocess.Popen[bytes], float]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    return process, psutil.Process(process.pid).create_time()


def test_jobs_run_one_after_another_and_say_how_they_ended(store: JobStore, tmp_path: Path) -> None:
    first = store.add("example", "a", ["example", "names", "a"])
    store.add("example", "b", ["example", "nothing-like-it", "b"])
    queue_runner.run_queue(tmp_path)
    finished, failed = store.all()
    assert (finished.id, finished.state, finished.exit) == (first.id, "ended", 0) and (
        tmp_path / "a" / "names.txt"
    ).exists()
    assert (failed.state, failed.exit) == ("ended", 2) and "unknown example" in store.log_tail(failed)[-1]
    assert finished.ended_at is not None and failed.began_at is not None and finished.ended_at <= failed.began_at
    assert not store.has_runner()


def test_a_runner_goes_on_when_its_studio_ends_and_another_waits_for_what_runs(store: JobStore, tmp_path: Path) -> None:
    process, began = sleeping()
    job = Job(
        id=1, verb="train", run="r", words=["train"], queued_at=1.0, state="running", pid=process.pid, pid_since=began
    )
    with store.changing():
        store.write(job)
    watcher = queue_runner.start_runner(tmp_path)
    until(store.has_runner)
    assert os.getsid(watcher.pid) == watcher.pid  # a signal to the terminal does not reach it
    second = queue_runner.start_runner(tmp_path)
    assert second.wait(30) == 0  # one is enough
    assert store.all()[0].state == "running" and store.stop(job)
    assert process.wait(30) == -signal.SIGTERM
    until(lambda: store.all()[0].state == "ended")
    assert watcher.wait(30) == 0 and store.all()[0].exit is None and not store.stop(store.all()[0])


def test_a_process_of_the_same_number_is_not_stopped(store: JobStore) -> None:
    job = Job(id=1, verb="train", run="r", words=[], queued_at=1.0, state="running", pid=os.getpid(), pid_since=1000.0)
    assert not job.is_alive and not store.stop(job)


def test_a_process_that_ends_meanwhile_is_not_stopped(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    since = psutil.Process().create_time()
    job = Job(id=1, verb="train", run="r", words=[], queued_at=1.0, state="running", pid=os.getpid(), pid_since=since)

    def gone(pid: int, number: int) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", gone)
    assert job.is_alive and not store.stop(job)


def test_damaged_jobs_are_none(store: JobStore) -> None:
    (store.folder / "000001.json").write_text("{")
    (store.folder / "000002.json").write_text('{"id": "x"}')
    assert store.all() == [] and store.add("train", "r", ["train"]).id == 1


def test_a_job_that_changes_within_a_tick_of_the_clock_is_read_again(store: JobStore) -> None:
    job = store.add("train", "r", ["train"])
    path = next(store.folder.glob("*.json"))
    tick = path.stat().st_mtime_ns
    assert store.all() == [job]
    store.write(job.model_copy(update={"verb": "resume"}))
    os.utime(path, ns=(tick, tick))
    assert [job.verb for job in store.all()] == ["resume"]


@pytest.fixture
def start(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A start folder with a run whose queue nobody works through."""
    monkeypatch.setattr(
        "anew.studio_app.queue_runner.start_runner", lambda root: subprocess.Popen([sys.executable, "-c", ""])
    )
    write_run(tmp_path / "runs" / "old", root / "runs" / "shapes", 30)
    (tmp_path / "data").symlink_to(root / "shapes")
    (tmp_path / "names.txt").write_text((root / "names.txt").read_text())
    return tmp_path


def test_a_training_is_queued_as_the_command_of_a_user(start: Path) -> None:
    body = {
        "data": "names.txt",
        "budget": "45s",
        "family": "transformer",
        "seed": 3,
        "settings": {"transformer.width": "32"},
    }
    with client_of(start) as client:
        answer = client.post("/api/train", json=body)
        assert answer.status_code == 200 and answer.json()["id"] == "runs/names-1"
        assert client.post("/api/train", json=body).json()["id"] == "runs/names-2"
        runs = {run["id"]: run for run in client.get("/api/runs").json()["runs"]}
        assert runs["runs/names-1"]["state"] == "queued"
        assert client.get("/api/run", params={"run": "runs/names-2"}).json()["command"][0] == "train"
        assert client.post("/api/stop", json={"run": "runs/names-2"}).status_code == 200
        assert "runs/names-2" not in {run["id"] for run in client.get("/api/runs").json()["runs"]}
    (job,) = JobStore(start / STATE).all()
    assert job.words == ["train", str(start / "names.txt"), "--run", "runs/names-1", "--seed", "3", "--prefer", "quality",
                         "--budget=45s", "--family=transformer", "--set=transformer.width=32"]  # fmt: skip


def test_commands_that_are_asked_for_at_once_write_different_folders(start: Path) -> None:
    with client_of(start) as client:

        def ask(number: int) -> str:
            return str(client.post("/api/train", json={"data": "names.txt", "seed": number}).json()["id"])

        with ThreadPoolExecutor(4) as threads:
            folders = list(threads.map(ask, range(8)))
    assert sorted(folders) == [f"runs/names-{number}" for number in range(1, 9)]


def test_a_command_that_begins_while_it_is_stopped_is_stopped(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page saw it in the queue, and the runner took it."""
    process, began = sleeping()
    changing = JobStore.changing

    @contextmanager
    def begins(self: JobStore) -> Iterator[None]:
        running = {"state": "running", "pid": process.pid, "pid_since": began}
        with changing(self):
            self.write(job.model_copy(update=running))
        with changing(self):
            yield

    with client_of(start) as client:
        job = own_store(start).add("train", "runs/new-1", ["train"])
        monkeypatch.setattr(JobStore, "changing", begins)
        assert client.post("/api/stop", json={"run": "runs/new-1"}).status_code == 200
    assert process.wait(30) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"data": "nowhere"}, "does not exist"),
        ({"data": "../x"}, "is outside"),
        ({"data": "data"}, "is outside"),  # a link that leads out
        ({"data": "names.txt", "budget": "soon"}, "soon"),
        ({"data": "names.txt", "budget": "5s"}, "a budget of 5 s leaves no time to train"),
        ({"data": "names.txt", "budget": "1m", "steps": 5}, "mutually exclusive"),
        ({"data": "names.txt", "family": "gna"}, "did you mean 'gan'"),
        ({"data": "names.txt", "settings": {"wdith": "3"}}, "did you mean 'width'"),
        ({"data": "names.txt", "settings": {"transformer.width": "-3"}}, "out of range"),
        ({"data": "names.txt", "family": "evil.py"}, "is Python code, which the Studio does not run"),
        ({"data": "names.txt", "seed": -1}, "seed"),
        ({"data": "names.txt", "seed": "1"}, "seed"),
        ({"data": "names.txt", "shell": "rm"}, "shell"),
        ({}, "data"),
    ],
)
def test_what_cannot_be_trained(body: dict[str, object], sentence: str, start: Path) -> None:
    with client_of(start) as client:
        answer = client.post("/api/train", json=body)
        assert answer.status_code in (400, 403) and sentence in answer.json()["error"]["message"]
    assert JobStore(start / STATE).all() == []


def test_more_of_a_run(root: Path, start: Path) -> None:
    (start / "shapes").symlink_to(root / "shapes")
    with client_of(start) as client:
        assert client.post("/api/again", json={"run": "runs/old", "seed": 5}).json()["id"] == "runs/shapes-1"
        assert client.post("/api/resume", json={"run": "runs/old", "budget": "later"}).status_code == 400
        too_little = client.post("/api/resume", json={"run": "runs/old", "budget": "1s"})
        assert too_little.status_code == 400 and "a budget of 1 s leaves no time to train" in too_little.text
        assert client.post("/api/resume", json={"run": "runs/old", "budget": "5m"}).status_code == 200
        again = client.post("/api/resume", json={"run": "runs/old"})
        assert again.status_code == 400 and "queued for it" in again.json()["error"]["message"]
        assert client.post("/api/discard", json={"run": "runs/old"}).status_code == 400
        assert client.post("/api/compare", json={"runs": ["runs/old"]}).status_code == 400
    first, second = JobStore(start / STATE).all()
    assert (
        first.words[0] == "train"
        and first.words[first.words.index("--seed") + 1] == "5"
        and any(word.startswith("--steps=") for word in first.words)
    )
    assert second.words == ["resume", str(start / "runs/old"), "--budget", "300s"]


def test_a_discarded_run_gets_no_command_and_leaves_nothing(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[int] = []
    with client_of(start) as client:

        def resume_meanwhile(folder: Path) -> None:
            assert folder.name.startswith(".") and folder.parent == start / "runs"  # no page shows it any more
            answers.append(client.post("/api/resume", json={"run": "runs/old"}).status_code)
            remove(folder)

        remove = commands.shutil.rmtree
        monkeypatch.setattr(commands.shutil, "rmtree", resume_meanwhile)
        assert client.post("/api/discard", json={"run": "runs/old"}).status_code == 200
    assert answers == [404] and list((start / "runs").iterdir()) == [] and JobStore(start / STATE).all() == []


def test_what_stays_of_a_discarded_run_is_named(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rest stayed under a name that no page shows, and the answer was "this is a bug in Anew"."""
    refusal = PermissionError(errno.EACCES, "Permission denied")
    with client_of(start) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", mock.Mock(side_effect=refusal))
            first = client.post("/api/discard", json={"run": "runs/old"})
        assert first.status_code == 400 and "old' cannot be deleted (Permission denied)" in first.text
        assert client.get("/api/run", params={"run": "runs/old"}).status_code == 200
        monkeypatch.setattr(commands.shutil, "rmtree", mock.Mock(side_effect=refusal))
        answer = client.post("/api/discard", json={"run": "runs/old"})
    (rest,) = (start / "runs").iterdir()
    sentence = f"'runs/old' is discarded, but a part of it cannot be deleted (Permission denied); delete {str(rest)!r} yourself"
    assert answer.status_code == 400 and answer.json()["error"]["message"] == sentence


@pytest.mark.parametrize(
    ("request_of_run", "sentence"),
    [
        ({"data": "http://169.254.169.254/latest"}, "was never read on this computer"),
        ({"data": "/etc"}, "a folder of the system or of your settings"),
        ({"data": "/nowhere/else"}, "is no longer at"),
        ({"plan_from": "s3://stranger/run"}, "replays the plan of another one"),
    ],
)
def test_a_run_of_a_stranger_names_no_data(request_of_run: dict[str, str], sentence: str, start: Path) -> None:
    config = start / "runs/old" / "config.json"
    record = json.loads(config.read_text())
    config.write_text(json.dumps(record | {"request": record["request"] | request_of_run}))
    with client_of(start) as client:
        answer = client.post("/api/again", json={"run": "runs/old", "seed": 5})
        assert answer.status_code == 400 and sentence in answer.json()["error"]["message"]
    assert JobStore(start / STATE).all() == []


def test_only_runs_of_the_same_data_are_compared(root: Path, start: Path) -> None:
    for name, source in (("twin", "shapes"), ("other", "names"), ("begun", "shapes")):
        run = write_run(start / "runs" / name, root / "runs" / source, 5)
    record = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(record | {"status": "training"}))
    with client_of(start) as client:
        for other_run, sentence in (("other", "are of different data"), ("begun", "is not finished")):
            refused = client.post("/api/compare", json={"runs": ["runs/old", f"runs/{other_run}"]})
            assert refused.status_code == 400 and sentence in refused.json()["error"]["message"]
        assert JobStore(start / STATE).all() == []
        assert client.post("/api/compare", json={"runs": ["runs/old", "runs/twin"]}).status_code == 200


def test_a_stopped_comparison_can_be_tried_again_or_discarded(root: Path, start: Path) -> None:
    write_run(start / "runs" / "twin", root / "runs" / "shapes", 5)
    with client_of(start) as client:
        name = client.post("/api/compare", json={"runs": ["runs/old", "runs/twin"]}).json()["id"]
        store, body = JobStore(start / STATE), {"run": name}
        for path in ("again", "discard"):
            refused = client.post(f"/api/comparison/{path}", json=body)
            assert refused.status_code == 400 and "stop it first" in refused.json()["error"]["message"]
        (job,) = store.all()
        with store.changing():
            store.write(job.model_copy(update={"state": "ended", "exit": 75}))
        assert client.post("/api/comparison/again", json=body).status_code == 200
        (again,) = store.all()
        assert (again.state, again.words, again.run) == ("queued", job.words, name)
        with store.changing():
            store.write(again.model_copy(update={"state": "ended", "exit": 1}))
        (start / name).mkdir()
        (start / name / "request.json").write_text("{}")
        assert client.post("/api/comparison/discard", json=body).status_code == 200
        assert store.all() == [] and not (start / name).exists() and (start / "runs" / "twin").exists()
        assert client.post("/api/comparison/discard", json=body).status_code == 404
        assert client.post("/api/comparison/discard", json={"run": "runs/old"}).status_code == 404


@pytest.mark.parametrize("family", ["family.py", "runs/old/family.py", "/tmp/family.py"])
@pytest.mark.parametrize("place", [("request", "family"), ("family", "name")])
def test_a_run_is_not_trained_again_with_code_of_its_own(place: tuple[str, str], family: str, start: Path) -> None:
    config = start / "runs" / "old" / "config.json"
    record = json.loads(config.read_text())
    record[place[0]][place[1]] = family
    config.write_text(json.dumps(record))
    with client_of(start) as client:
        assert client.post("/api/again", json={"run": "runs/old", "seed": 5}).status_code == 400
    assert JobStore(start / STATE).all() == []


def test_a_run_with_code_of_its_own_says_what_to_type(start: Path) -> None:
    run = start / "runs" / "old"
    (run / "model.safetensors").touch()
    write_run(start / "runs" / "other", run, 5)
    record = json.loads((run / "config.json").read_text())
    record["request"]["family"] = record["family"]["name"] = "family.py"
    (run / "config.json").write_text(json.dumps(record))
    with client_of(start) as client:
        value = client.get("/api/run", params={"run": "runs/old"}).json()
        assert value["has_own_code"] and value["own_code_commands"] == [
            f"anew sample {run} --out samples --trust-code",
            f"anew evaluate {run} --trust-code",
            f"anew resume {run} --budget 5m --trust-code",
        ]
        other = client.get("/api/run", params={"run": "runs/other"}).json()
        assert not other["has_own_code"] and other["own_code_commands"] == []
        refusals = [
            client.post("/api/resume", json={"run": "runs/old", "budget": "5m"}),
            client.post("/api/compare", json={"runs": ["runs/old", "runs/other"]}),
            client.get("/api/play/about", params={"run": "runs/old"}),
        ]
    for refusal in refusals:
        assert refusal.status_code == 400 and "--trust-code` in a terminal" in refusal.json()["error"]["message"]
    assert JobStore(start / STATE).all() == []


def test_a_queue_that_came_with_a_folder_is_not_carried_out(start: Path, tmp_path: Path) -> None:
    with client_of(start):
        pass
    shutil.move(start / STATE, tmp_path / "own")
    (start / STATE / "jobs").mkdir(parents=True)
    job = {"id": 1, "verb": "train", "run": "runs/x", "words": ["train", ".", "--family", "evil.py"], "queued_at": 1.0}
    (start / STATE / "jobs" / "000001.json").write_text(json.dumps(job))
    for identity in (None, "", "x" * 64):
        if identity is not None:
            (start / STATE / "identity").write_text(identity)
        with pytest.raises(ConfigError, match="commands of somebody else; delete it"), client_of(start):
            pass
    shutil.rmtree(start / STATE)
    shutil.move(tmp_path / "own", start / STATE)
    with client_of(start):  # a folder that was moved is known still
        pass


def test_what_is_carried_out_does_not_import_from_the_start_folder(store: JobStore, tmp_path: Path) -> None:
    for name in ("json", "argparse", "anew", "filelock", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stranger’s code was run')")
    store.add("example", "a", ["example", "names", "a"])
    assert queue_runner.start_runner(tmp_path).wait(60) == 0
    assert store.all()[0].exit == 0


def test_a_run_is_discarded_whole_and_nothing_else(start: Path, client: TestClient) -> None:
    with client_of(start) as client:
        for name in ("", "runs", "names.txt", ".", "..", "data"):
            assert client.post("/api/discard", json={"run": name}).status_code in (400, 403, 404)
        with lock.locked(start / "runs" / "old"):
            (start / "runs" / "old" / lock.NAME).write_text(
                json.dumps({"pid": os.getpid(), "host": "elsewhere", "since": 1})
            )
            assert client.post("/api/discard", json={"run": "runs/old"}).status_code == 400
        (start / "runs" / "old" / lock.NAME).unlink()
        assert client.post("/api/discard", json={"run": "runs/old"}).status_code == 200
    assert not (start / "runs" / "old").exists() and (start / "names.txt").exists()


def test_a_command_that_failed_at_once_is_shown_with_its_last_words(start: Path) -> None:
    store = own_store(start)
    job = store.add("train", "runs/gone-1", ["train", "data"])
    with store.changing():
        store.write(job.model_copy(update={"state": "ended", "exit": 2}))
    store.log_path(job).write_text("anew: the data\x1b[2J is empty\n")
    with client_of(start) as client:
        run = client.get("/api/run", params={"run": "runs/gone-1"}).json()
        assert run["state"] == "failed" and run["log_tail"] == ["anew: the data\\x1b[2J is empty"]
        assert client.post("/api/discard", json={"run": "runs/gone-1"}).status_code == 200
        assert client.get("/api/run", params={"run": "runs/gone-1"}).status_code == 404


def test_a_training_that_failed_at_once_says_how_its_data_was_read(start: Path) -> None:
    store = own_store(start)
    words = [
        "train",
        str(start / "a" / "b.csv"),
        "--run",
        "runs/b-1",
        "--seed",
        "0",
        "--set=text.layout=list",
        "--set=transformer.depth=2",
    ]
    for name, changed in (("runs/b-1", words), ("runs/b-2", ["train", "/elsewhere", *words[2:]])):
        job = store.add("train", name, changed)
        with store.changing():
            store.write(job.model_copy(update={"state": "ended", "exit": 2}))
    with client_of(start) as client:
        readings = [client.get("/api/run", params={"run": f"runs/b-{n}"}).json()["reading"] for n in (1, 2)]
    assert readings == [{"data": "a/b.csv", "settings": {"text.layout": "list"}}, None]


def test_more_time_that_was_refused_is_said_until_the_run_changes(start: Path) -> None:
    config = start / "runs" / "old" / "config.json"
    store = own_store(start)
    job = store.add("resume", "runs/old", ["resume", "runs/old", "--budget", "12s"])
    changed = config.stat().st_mtime
    ended = {"state": "ended", "exit": 2, "began_at": changed + 1.0, "ended_at": changed + 2.0}
    with store.changing():
        store.write(job.model_copy(update=ended))
    store.log_path(job).write_text("continuing\nanew: a budget of 12 s is too short\n")
    with client_of(start) as client:
        run = client.get("/api/run", params={"run": "runs/old"}).json()
        assert run["state"] == "finished" and run["failed"] and "failed" in run["sentence"]
        assert run["error_sentence"] == "a budget of 12 s is too short"
        os.utime(config, (changed + 3.0, changed + 3.0))
        run = client.get("/api/run", params={"run": "runs/old"}).json()
        assert not run["failed"] and run["error_sentence"] == "" and run["sentence"] == "Finished."


@pytest.mark.parametrize(
    ("code", "state"), [(75, "paused"), (-15, "paused"), (0, "paused"), (-9, "failed"), (2, "failed")]
)
def test_how_a_command_ended_says_in_which_state_its_run_is(code: int, state: str, start: Path) -> None:
    config = json.loads((start / "runs/old/config.json").read_text())
    (start / "runs/old/config.json").write_text(json.dumps(config | {"status": "training"}))
    store = own_store(start)
    job = store.add("resume", "runs/old", ["resume", "runs/old"])
    with store.changing():
        store.write(job.model_copy(update={"state": "ended", "exit": code}))
    with client_of(start) as client:
        assert client.get("/api/run", params={"run": "runs/old"}).json()["state"] == state


def test_a_run_started_elsewhere_is_not_stopped_from_here(start: Path) -> None:
    with client_of(start) as client:
        answer = client.post("/api/stop", json={"run": "runs/old"})
        assert answer.status_code == 400 and "Ctrl-C" in answer.json()["error"]["message"]
