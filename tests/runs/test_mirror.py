"""Runs at an address: what the store holds, what is fetched, and what a kill at any instant leaves."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from filelock import FileLock

import anew
import samples
from anew import api
from anew.core.exit_codes import STOPPED, USER_ERROR
from anew.core.stores import addresses
from anew.core.stores.addresses import run_address
from anew.errors import ConfigError, DataError, RunError
from anew.planning.replay import replayed_run
from anew.runs import events, lock, manifest, mirror, mirror_thread
from anew.runs.folder import RunFolder
from anew.runs.manifest import MANIFEST, Stored
from anew.runs.mirror import Mirror, place_of
from commands import anew as printed

ADDRESS = "memory://bucket/runs/names"
SETTINGS = {
    "width": 16,
    "layers": 1,
    "evaluate_samples": 20,
    "previews": 0,
    "timelapse": False,
    "checkpoint_seconds": 0.0,
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    monkeypatch.setenv("ANEW_CACHE", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("ANEW_CACHE", str(tmp_path / name))


def begun(files: dict[str, str]) -> Mirror:
    """The folder of the address, with these files."""
    local = Mirror(ADDRESS)
    local.fetch(whole=True)
    for name, text in ({"config.json": "{}"} | files).items():
        write(local, name, text)
    return local


def write(local: Mirror, name: str, text: str) -> None:
    path = local.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("s3:/bucket/a", "s3://bucket/a"),
        ("runs/names-1", None),
        ("C:/runs", None),
    ],
)
def test_what_is_the_address_of_a_run(text: str, address: str | None) -> None:
    assert run_address(text) == run_address(Path(text)) == address


@pytest.mark.parametrize("text", ["https://example.org/run", "s4://bucket/run", "s3://key:secret@bucket/run"])
def test_addresses_that_no_run_can_be_kept_at(text: str) -> None:
    with pytest.raises(RunError) as refusal:
        run_address(text)
    assert "secret@" not in str(refusal.value)


def test_another_machine_gets_what_was_written_and_goes_on(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = begun({"checkpoints/step-1/state": "one", "events.jsonl": "1\n", ".half.tmp": "", ".lock": ""})
    local.push()
    write(local, "events.jsonl", "1\n2\n")
    write(local, "checkpoints/step-2/state", "two")
    (local.folder / "checkpoints/step-1/state").unlink()
    local.push()
    another_machine(monkeypatch, tmp_path, "elsewhere")
    other = Mirror(ADDRESS)
    assert other.folder != local.folder
    other.fetch(whole=False)
    assert contents(other.folder) == {"config.json": "{}", "events.jsonl": "1\n2\n"}
    other.push()  # what was left in the store stays there
    other.fetch(whole=True)
    expected = {"checkpoints/step-2/state": "two", "config.json": "{}", "events.jsonl": "1\n2\n"}
    assert contents(other.folder) == expected
    write(other, "events.jsonl", "3\n")
    other.push()
    with pytest.raises(RunError, match="another machine"):  # which must not be overwritten
        write(local, "model", "mine")
        local.push()
    another_machine(monkeypatch, tmp_path, "cache")
    Mirror(ADDRESS).fetch(whole=True)
    assert contents(local.folder) == expected | {"events.jsonl": "3\n"}
    (note,) = mirror.notes_of(local.folder)
    (copy,) = local.folder.parent.glob("names-kept-*")
    assert str(copy) in note and contents(copy)["model"] == "mine"
    Mirror(ADDRESS).fetch(whole=True)
    assert mirror.notes_of(local.folder) == []  # it is named once


def test_the_loser_of_two_writers_stops_and_keeps_its_work_under_another_name(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = begun({"model": "x"})
    with (
        pytest.raises(RunError, match=r"another machine.*is kept in '.*names-kept-") as refusal,
        mirror_thread.mirrored(local.folder),
    ):
        mirror_thread.note_change(local.folder)
        while (state := local.state()) is None or state.known is None:  # until it was written once
            time.sleep(0.01)
        another_machine(monkeypatch, tmp_path, "elsewhere")
        winner = begun({"model": "theirs"})
        winner.push()
        write(local, "model", "mine")
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline:
            mirror_thread.note_change(local.folder)
            time.sleep(0.05)
        pytest.fail("it goes on")
    (copy,) = local.folder.parent.glob("names-kept-*")
    assert str(copy) in str(refusal.value) and contents(copy)["model"] == "mine" and not local.folder.exists()
    assert contents(winner.folder)["model"] == "theirs"


def test_a_copy_that_another_machine_seems_to_write_is_said(store: fsspec.AbstractFileSystem) -> None:
    local = begun({"model": "x"})
    assert RunFolder(local.folder).notes == []
    with FileLock(local.folder / ".lock"):  # as of a container that shares the cache
        write(local, ".lock", json.dumps({"pid": 7, "host": "elsewhere", "since": 1.0}))
        (note,) = RunFolder(local.folder).notes
        assert "process 7 on 'elsewhere'" in note and f"remove '{local.folder / '.lock'}'" in note
        assert lock.is_held(local.folder)


def test_a_container_that_comes_back_under_another_name_gets_what_was_written_meanwhile(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = begun({"model": "old"})
    local.push()
    write(local, ".lock", json.dumps({"pid": 7, "host": "the-name-before", "since": 1.0}))  # its process was killed
    another_machine(monkeypatch, tmp_path, "elsewhere")
    other = Mirror(ADDRESS)
    other.fetch(whole=True)
    write(other, "model", "new")
    other.push()
    another_machine(monkeypatch, tmp_path, "cache")
    back = Mirror(ADDRESS)
    back.fetch(whole=True)
    assert contents(back.folder)["model"] == "new" and RunFolder(back.folder).notes == []


@pytest.mark.slow
def test_the_same_command_goes_on_where_neither_run_nor_data_was_read_before(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.pipe("/bucket/names.txt", samples.names(tmp_path / "names.txt", 400).read_bytes())
    api.train("memory://bucket/names.txt", ADDRESS, steps=3, settings=SETTINGS)
    another_machine(monkeypatch, tmp_path, "other")
    with pytest.raises(DataError, match="if you trust it, give it as `data`"):
        api.evaluate(ADDRESS, n=20)
    another_machine(monkeypatch, tmp_path, "third")
    api.resume(ADDRESS, steps=4, data="memory://bucket/names.txt")
    another_machine(monkeypatch, tmp_path, "fourth")
    with pytest.raises(DataError, match="if you trust it, give it as `data`"):
        api.resume(ADDRESS, steps=5)
    shown = printed("look", ADDRESS).stdout
    assert f"report   {place_of(ADDRESS) / 'report'}" in shown and f"anew sample {ADDRESS}" in shown
    config = json.loads((place_of(ADDRESS) / "config.json").read_text())
    (place_of(ADDRESS) / "config.json").write_text(json.dumps(config | {"status": "training"}))
    api.train("memory://bucket/names.txt", ADDRESS, steps=3, settings=SETTINGS)


def test_a_kill_between_any_two_calls_leaves_the_run_as_it_was_or_as_it_is(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = begun({"model": "old", "events.jsonl": "1\n"})
    local.push()
    before = contents(local.folder)
    write(local, "model", "new")
    write(local, "events.jsonl", "1\n2\n")
    after = contents(local.folder)
    calls, outcomes = ("put_file", "pipe_file", "rm_file"), []
    reals = {name: getattr(type(store), name) for name in calls}
    for dies_at in range(8):
        count = 0

        def dying(name: str, *arguments: Any, dies_at: int = dies_at, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count > dies_at:
                raise KeyboardInterrupt
            return reals[name](*arguments, **more)

        for name in calls:
            monkeypatch.setattr(type(store), name, lambda *a, name=name, **m: dying(name, *a, **m))
        with contextlib.suppress(KeyboardInterrupt):
            Mirror(ADDRESS).push()
        for name, real in reals.items():
            monkeypatch.setattr(type(store), name, real)
        another_machine(monkeypatch, tmp_path, f"machine-{dies_at}")
        other = Mirror(ADDRESS)
        other.fetch(whole=True)
        outcomes.append(contents(other.folder))
        another_machine(monkeypatch, tmp_path, "cache")
        Mirror(ADDRESS).fetch(whole=True)  # this machine is ahead, and stays so
        assert contents(local.folder) == after
    assert outcomes[0] == before and outcomes[-1] == after
    assert all(outcome in (before, after) for outcome in outcomes)


def test_equal_files_are_fetched_once_and_may_be_appended_to_alone(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = {"events.jsonl": "1\n", "codec/events.jsonl": "1\n"}
    begun(logs | {"checkpoints/step-1/buffers": "b", "checkpoints/step-2/buffers": "b"}).push()
    another_machine(monkeypatch, tmp_path, "elsewhere")
    other, fetched, real = Mirror(ADDRESS), [], type(store).get_file

    def counted(self: object, rpath: str, lpath: str, **more: Any) -> object:
        fetched.append(rpath)
        return real(self, rpath, lpath, **more)

    monkeypatch.setattr(type(store), "get_file", counted)
    other.fetch(whole=True)
    assert len(fetched) == len(set(fetched)) == 3
    with open(other.folder / "events.jsonl", "a") as log:
        log.write("2\n")
    assert (other.folder / "codec" / "events.jsonl").read_text() == "1\n"
    assert len({path.stat().st_ino for path in other.folder.glob("checkpoints/*/buffers")}) == 1


def test_objects_that_nothing_names_are_removed(store: fsspec.AbstractFileSystem) -> None:
    local = begun({"events.jsonl": "0"})
    for number in range(5):
        write(local, "events.jsonl", str(number))
        local.push()
    objects = [key for key in store.find("/bucket/runs/names/objects")]
    assert len(objects) == 3  # config.json, and the log of this and of the last time


@pytest.mark.parametrize("name", ["../outside", "a/../../b", "/etc/passwd", "a//b", "a\\b"])
def test_names_that_lead_elsewhere_are_refused(
    name: str, store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = begun({"model": "x"})
    local.push()
    place = f"/bucket/runs/names/{MANIFEST}"
    manifest = json.loads(store.cat_file(place))
    manifest["files"][name] = manifest["files"]["model"]
    store.pipe_file(place, json.dumps(manifest).encode())
    another_machine(monkeypatch, tmp_path, "elsewhere")
    with pytest.raises(RunError, match="damaged"):
        Mirror(ADDRESS).fetch(whole=True)


def test_an_object_that_is_not_what_was_written_is_refused(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun({"model": "x"}).push()
    key = next(key for key in store.find("/bucket/runs/names/objects") if key.endswith("/model"))
    store.pipe_file(key, b"y")
    another_machine(monkeypatch, tmp_path, "elsewhere")
    with pytest.raises(RunError, match="is not what"):
        Mirror(ADDRESS).fetch(whole=True)


def test_an_object_that_is_missing_or_longer_is_named(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun({"model": "x"}).push()
    key = next(key for key in store.find("/bucket/runs/names/objects") if key.endswith("/model"))
    another_machine(monkeypatch, tmp_path, "elsewhere")
    store.pipe_file(key, b"xy")
    with pytest.raises(RunError, match=f"^'model' of '{ADDRESS}' is longer than {MANIFEST} says; restore it"):
        Mirror(ADDRESS).fetch(whole=True)
    store.rm_file(key)
    with pytest.raises(RunError, match=f"^'model' of '{ADDRESS}' is missing: there is no object '{key}'; restore it"):
        Mirror(ADDRESS).fetch(whole=True)


def test_a_folder_elsewhere_with_such_a_state_stands_for_no_address(
    store: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    local = begun({})
    stranger = tmp_path / "stranger"
    (stranger / "names").mkdir(parents=True)
    (stranger / "state.json").write_text((local.folder.parent / "state.json").read_text())
    assert mirror.of_folder(stranger / "names") is None
    assert mirror.of_folder(local.folder) is not None


@pytest.mark.slow
def test_the_verbs(store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = samples.names(tmp_path / "names.txt", 400)
    words = [str(data), "--steps", "6", "--family", "transformer"]
    for name, value in SETTINGS.items():
        words += ["--set", f"{name}={value}"]
    output = printed("train", *words, "--run", ADDRESS).stdout
    assert f"kept at  {ADDRESS}" in output and f"anew sample {ADDRESS}" in output
    local = place_of(ADDRESS)
    config = json.loads((local / "config.json").read_text())
    assert config["data"]["path"] == str(data)  # not as seen from the cache, which lies elsewhere on another machine
    weights = (local / "model.safetensors").read_bytes()
    another_machine(monkeypatch, tmp_path, "elsewhere")
    assert len(anew.load(ADDRESS).sample(2, seed=3)) == 2
    assert not (place_of(ADDRESS) / "checkpoints").exists()
    assert "transformer" in str(api.look(ADDRESS))
    assert f"kept at  {ADDRESS}/report" in printed("evaluate", ADDRESS, "-n", 20).stdout
    assert api.resume(ADDRESS, steps=9).folder.address == ADDRESS
    printed("train", *words, "--run", tmp_path / "plain")
    assert (tmp_path / "plain" / "model.safetensors").read_bytes() == weights
    longer = (place_of(ADDRESS) / "model.safetensors").read_bytes()
    api.resume(tmp_path / "plain", steps=9)
    assert (tmp_path / "plain" / "model.safetensors").read_bytes() == longer
    with pytest.raises(RunError, match="there is no run at"):
        anew.load("memory://bucket/other")
    with pytest.raises(RunError, match="already holds a run of another request"):
        api.train(data, ADDRESS, steps=7)
    with pytest.raises(ConfigError):
        api.train(data, "memory://bucket/new", steps=-1)
    assert not store.exists("/bucket/new")


@pytest.mark.slow
def test_the_plan_of_a_run_at_an_address_is_replayed(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = samples.names(tmp_path / "names.txt")
    api.train(data, ADDRESS, steps=5, settings=SETTINGS)
    weights = (place_of(ADDRESS) / "model.safetensors").read_bytes()
    another_machine(monkeypatch, tmp_path, "other")
    api.train(data, tmp_path / "again", plan=ADDRESS, settings={"evaluate_samples": 20, "previews": 0})
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == weights
    assert json.loads((tmp_path / "again" / "config.json").read_text())["request"]["plan_from"] == ADDRESS


def test_a_plan_at_an_address_that_is_not_there(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run at 'memory://bucket/none'"):
        api.train(samples.names(tmp_path / "names.txt"), tmp_path / "run", plan="memory://bucket/none")
    assert not (tmp_path / "run").exists()
    with pytest.raises(RunError, match="never read on this computer"):  # a run of somebody else may name it
        replayed_run(ADDRESS)


def test_a_store_that_fails_is_said_and_loses_nothing(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = begun({"model": "x"})
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    with (
        pytest.raises(RunError, match=r"cannot be written \(gone\).*the run lies in") as caught,
        mirror_thread.mirrored(local.folder),
    ):
        monkeypatch.setattr(type(store), "pipe_file", lambda *a, **m: (_ for _ in ()).throw(OSError("gone")))
        write(local, "model", "y")
    monkeypatch.undo()
    assert contents(local.folder)["model"] == "y"
    assert caught.value.exit_code == STOPPED


@pytest.mark.parametrize(("error", "code"), [(ConnectionError("gone"), STOPPED), (PermissionError("no"), USER_ERROR)])
def test_a_run_whose_store_is_out_is_opened_later(
    error: OSError, code: int, store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher repeats a command that ended with 75, and no other: one that began during an outage ended with 2."""
    begun({"model": "x"}).push()
    shutil.rmtree(place_of(ADDRESS))
    monkeypatch.setattr(addresses, "RETRY_S", 0.0)
    for name in ("cat_file", "get_file", "info", "exists", "ls"):
        monkeypatch.setattr(type(store), name, lambda *a, **m: (_ for _ in ()).throw(error))
    with pytest.raises(RunError, match="cannot be read") as caught:
        api.load(ADDRESS)
    assert caught.value.exit_code == code


def test_every_upload_has_a_limit_of_time(store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that took nothing of a checkpoint kept the training waiting at its end."""
    limits: dict[str, float] = {}
    put_file, pipe_file = type(store).put_file, type(store).pipe_file

    def put(self: fsspec.AbstractFileSystem, path: str, key: str, timeout: float = 0.0) -> None:
        limits[key.rpartition("/")[2]] = timeout
        put_file(self, path, key)

    def pipe(self: fsspec.AbstractFileSystem, key: str, data: bytes, timeout: float = 0.0) -> None:
        limits[key.rpartition("/")[2]] = timeout
        pipe_file(self, key, data)

    monkeypatch.setattr(type(store), "async_impl", True)
    monkeypatch.setattr(type(store), "put_file", put)
    monkeypatch.setattr(type(store), "pipe_file", pipe)
    begun({"model": "x" * 1_000_000, events.NAME: "{}"}).push()
    assert set(limits) == {"config.json", "model", events.NAME, MANIFEST}
    assert min(limits.values()) > 60.0 and limits["model"] > limits["config.json"] + 7.0


def test_what_was_learned_is_said_where_the_store_fails_at_the_end(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(mirror: Mirror) -> None:
        raise RunError(f"{mirror.address!r} cannot be written (gone)")

    monkeypatch.setattr(Mirror, "push", fail)
    data = samples.names(tmp_path / "names.txt", 300)
    options = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    output = printed("train", data, "--run", ADDRESS, "--steps", 2, *options, code=2)
    assert "\nnew? " in output.stdout.lower() and str(place_of(ADDRESS)) in output.stdout
    assert "cannot be written (gone); the run lies in" in output.stderr


def test_a_new_run_needs_an_address_of_its_own(store: fsspec.AbstractFileSystem) -> None:
    local = begun({"model": "x"})
    local.push()
    with mirror_thread.mirrored(local.folder):  # a run itself is in the way of no one
        pass
    above = Mirror("memory://bucket/runs")
    above.fetch(whole=True)
    sentence = "'memory://bucket/runs' is not empty \\(it holds 'names'\\); give an address below"
    with pytest.raises(RunError, match=sentence), mirror_thread.mirrored(above.folder):
        pytest.fail("the work began")


@pytest.mark.parametrize("has_links", [True, False])
def test_what_is_removed_while_the_store_is_away_is_no_missing_bucket(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    local = begun({"checkpoints/step-1/state": "one", "report/old.png": "old"})
    monkeypatch.setattr(addresses.time, "sleep", lambda seconds: None)
    if not has_links:
        monkeypatch.setattr(mirror.os, "link", lambda *a: (_ for _ in ()).throw(PermissionError("no links here")))
    failures, real = ["state", "old.png"], type(store).put_file

    def away(self: object, lpath: str, rpath: str, **more: Any) -> object:
        name = rpath.rpartition("/")[2]
        if name in failures:  # what is sent is removed, and the store fails once
            failures.remove(name)
            shutil.rmtree(local.folder / ("checkpoints/step-1" if name == "state" else "report"))
            write(local, f"checkpoints/after-{name}/state", f"after {name}")
            raise ConnectionResetError("gone")
        return real(self, lpath, rpath, **more)

    monkeypatch.setattr(type(store), "put_file", away)
    local.push()
    assert not failures and not local.folder.with_name(mirror.SENDING).exists()
    another_machine(monkeypatch, tmp_path, "elsewhere")
    other = Mirror(ADDRESS)
    other.fetch(whole=True)
    assert contents(other.folder) == contents(local.folder)
    assert len(store.find("/bucket/runs/names/objects")) == 3  # nothing is left of the first attempts


def test_a_checkpoint_is_sent_whole_while_the_training_replaces_it(
    store: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = begun({"checkpoints/step-1/a": "a", "checkpoints/step-1/b": "b"})
    real, sent = type(store).put_file, 0

    def slow(self: object, lpath: str, rpath: str, **more: Any) -> object:
        nonlocal sent
        sent += 1
        shutil.rmtree(local.folder / f"checkpoints/step-{sent}", ignore_errors=True)  # faster than it can be sent
        write(local, f"checkpoints/step-{sent + 1}/b", "b")
        return real(self, lpath, rpath, **more)

    monkeypatch.setattr(type(store), "put_file", slow)
    local.push()
    assert sent == 3
    another_machine(monkeypatch, tmp_path, "elsewhere")
    Mirror(ADDRESS).fetch(whole=True)
    assert contents(place_of(ADDRESS)) == {
        "checkpoints/step-1/a": "a",
        "checkpoints/step-1/b": "b",
        "config.json": "{}",
    }


def test_a_bucket_that_is_removed_meanwhile_is_named(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = begun({"model": "x"})
    monkeypatch.setattr(type(store), "put_file", lambda *a, **m: (_ for _ in ()).throw(FileNotFoundError("bucket")))
    with pytest.raises(RunError, match="its bucket does not exist"):
        local.push()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (FileNotFoundError("NoSuchBucket"), "its bucket does not exist"),
        (PermissionError("no"), "check your permissions"),
    ],
)
def test_what_cannot_be_kept_is_said_before_the_work(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch, fault: Exception, sentence: str
) -> None:
    local = begun({"model": "x"})
    assert not store.exists("/bucket/runs/names/anew-probe")
    monkeypatch.setattr(type(store), "pipe_file", lambda *a, **m: (_ for _ in ()).throw(fault))
    with pytest.raises(RunError, match=sentence), mirror_thread.mirrored(local.folder):
        pytest.fail("the work began")


def test_a_file_that_cannot_be_read_is_named(store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    local, real = begun({"model": "x"}), mirror._digest

    def digest(path: Path) -> Stored:
        if path.name == "model":
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(mirror, "_digest", digest)
    with pytest.raises(RunError, match=r"model' cannot be read \(Input/output error\); check its permissions"):
        local.push()


def test_a_file_that_changes_without_end_is_named(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, real, attempts = begun({"notes": "x"}), type(store).put_file, []

    def slow(self: object, lpath: str, rpath: str, **more: Any) -> object:
        if Path(lpath).name == "notes":
            attempts.append(lpath)
            write(local, "notes", "x" * (1 + len(attempts)))
        return real(self, lpath, rpath, **more)

    monkeypatch.setattr(type(store), "put_file", slow)
    with pytest.raises(RunError, match="notes' changes whenever it is sent to 'memory://bucket/runs/names'"):
        local.push()
    assert len(attempts) == mirror.SEND_TRIES


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), AttributeError("a bug")])
def test_a_fault_of_the_background_is_kept_and_it_goes_on(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    local, faults = begun({"model": "x"}), [fault]
    monkeypatch.setattr(mirror_thread, "INTERVAL_S", 0.01)
    real = mirror._held

    def held(folder: Path, names: list[str]) -> contextlib.AbstractContextManager[dict[str, Path]]:
        if faults:
            raise faults[0]
        return real(folder, names)

    monkeypatch.setattr(mirror, "_held", held)
    with mirror_thread.mirrored(local.folder):
        until(lambda: str(fault.args[-1]) in (mirror_thread.note_change(local.folder) or ""))
        faults.clear()
        until(lambda: mirror_thread.note_change(local.folder) is None)
    assert local.exists()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_no_more_of_a_manifest_is_read_than_it_may_have(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, real, ends = begun({"model": "x"}), type(store).cat_file, []

    def cat_file(self: object, path: str, start: int | None = None, end: int | None = None) -> bytes:
        ends.append(end)
        return bytes(real(self, path, start=start, end=end))

    local.push()
    monkeypatch.setattr(type(store), "cat_file", cat_file)
    for module in (mirror, manifest):
        monkeypatch.setattr(module, "MANIFEST_BYTES", 100)
    with pytest.raises(RunError, match=r"is damaged \(has more than 100 bytes\)"):
        local.exists()
    assert ends == [101]


def test_files_of_weights_that_are_replaced_while_their_index_is_sent(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index says the same of both, so it must not be sent with the files of the first."""
    part, index = "model-00001-of-00001.safetensors", "model.safetensors.index.json"
    local, real, replaced = begun({part: "one", index: "{}"}), type(store).put_file, []

    def slow(self: object, lpath: str, rpath: str, **more: Any) -> object:
        if Path(lpath).name == index and not replaced:
            replaced.append(lpath)
            write(local, part, "another")
        return real(self, lpath, rpath, **more)

    monkeypatch.setattr(type(store), "put_file", slow)
    local.push()
    manifest = json.loads(store.cat_file(f"/bucket/runs/names/{MANIFEST}"))
    assert manifest["files"][part]["bytes"] == len("another")
