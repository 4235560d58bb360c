"""A run folder from a stranger: nothing in it is run, nothing outside is written, and what does not fit is one sentence."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import anew
from anew.core import files
from anew.core.exit_codes import STOPPED
from anew.core.registry import load
from anew.errors import AnewError, ConfigError, InUseError, RunError, restoring
from anew.runs.lock import locked
from samples import TINY, names

QUICK = {"evaluate_samples": 16, "previews": 0, "context": 16, **TINY}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of names; its folder."""
    folder = tmp_path_factory.mktemp("base")
    return anew.train(names(folder / "names.txt", 300), folder / "run", steps=2, settings=QUICK).folder.path


@pytest.fixture
def gift(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it and its data, with code in it that must not run. The user stands beside it."""
    shutil.copytree(base, tmp_path / "gift")
    shutil.copy(base.parent / "names.txt", tmp_path)
    (tmp_path / "gift" / "family.py").write_text(f"open({str(tmp_path / 'PWNED')!r}, 'w')\nEXPORT = None\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "gift"


def edit(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((run / "config.json").read_text())
    change(config)
    (run / "config.json").write_text(json.dumps(config))


def begun(config: dict[str, Any], family: str) -> None:
    request = {**config["request"], "family": family}
    config.clear()
    config.update({"format": 1, "status": "begun", "request": request})


@pytest.mark.parametrize("name", ["gift/family.py", "family.py"])
def test_code_in_a_run_is_not_run(name: str, gift: Path) -> None:
    def refused(change: Callable[[dict[str, Any]], Any], call: Callable[[], Any]) -> None:
        original = (gift / "config.json").read_bytes()
        edit(gift, change)
        with pytest.raises(RunError):
            call()
        (gift / "config.json").write_bytes(original)
        assert not (gift.parent / "PWNED").exists()

    data = str(gift / json.loads((gift / "config.json").read_text())["data"]["path"])
    refused(lambda c: begun(c, name), lambda: anew.resume(gift))
    refused(lambda c: c["request"].update(family=name), lambda: anew.resume(gift, steps=4))
    refused(lambda c: c["family"].update(name=name), lambda: anew.load(gift))
    refused(lambda c: c["family"].update(name=name), lambda: anew.train(data, gift.parent / "new", plan=gift))
    refused(lambda c: c["data"].update(modality=name), lambda: anew.evaluate(gift, 8))
    codec = {"family": {"name": name, "config": {}}}
    refused(lambda c: c.update(codec={**codec, "spec": c["spec"], "plan": c["plan"]}), lambda: anew.load(gift))


def test_a_name_is_never_a_file(gift: Path) -> None:
    for package in ("families", "data", "evaluation"):
        with pytest.raises(ConfigError, match="unknown"):
            load(package, "gift/family.py")
    assert not (gift.parent / "PWNED").exists()


def test_nothing_is_written_through_a_link(base: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    for name in ("config.json", ".README.md.tmp", ".config.json.tmp", "README.md"):
        (tmp_path / name).unlink(missing_ok=True)
        os.symlink(victim, tmp_path / name)
    files.write_json(tmp_path / "config.json", {"a": "\udc80"})
    files.write_text(tmp_path / "README.md", "text")
    assert victim.read_text() == "precious\n"
    assert files.read_json(tmp_path / "config.json") == {"a": "\udc80"}
    os.symlink(victim, tmp_path / "events.jsonl")
    with pytest.raises(RunError, match="is a link"):
        files.open_to_append(tmp_path / "events.jsonl")


@pytest.mark.parametrize("name", ["../x.txt", "a/b.txt", "0000/../../../x.txt", "x", "x.toolongsuffix", "x.a\0b"])
def test_samples_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not the name of a sample file"):
        files.write_inside(tmp_path, name, b"")


@pytest.mark.parametrize(
    "name", ["config.json", "events.jsonl", "model.safetensors", "samples", "report", "checkpoints"]
)
def test_links_and_pipes_are_refused(name: str, gift: Path) -> None:
    path = gift / name
    original = gift.parent / "kept"
    path.rename(original)
    os.symlink(original, path)
    with pytest.raises(RunError, match="is a link"):
        anew.evaluate(gift, 8)
    path.unlink()
    if original.is_file():
        os.mkfifo(path)
        with pytest.raises(RunError, match="not an ordinary file"):
            anew.evaluate(gift, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("format"), "without a number"),
        (lambda c: c.update(format=2), "format 2"),
        (lambda c: c["plan"].update(seed="x"), "plan.seed"),
        (lambda c: c["request"].update(data=5), "request.data"),
        (lambda c: c.pop("request"), "does not describe a run"),
        (lambda c: c["data"].update(labels=None), "data.labels"),
        (lambda c: c["spec"]["special"].update(begin=10**6), "special.begin"),
        (lambda c: c.update(label_shares=[None]), "label_shares"),
    ],
)
def test_what_does_not_fit_is_named(change: Callable[[dict[str, Any]], Any], message: str, gift: Path) -> None:
    edit(gift, change)
    with pytest.raises(RunError, match=message):
        anew.load(gift)


def test_deep_nesting_is_one_sentence(gift: Path) -> None:
    (gift / "config.json").write_text('{"request":' + "[" * 100_000)
    with pytest.raises(RunError, match="cannot be read"):
        anew.load(gift)


@pytest.mark.parametrize(
    ("harm", "text"), [("manifest.json", '{"step": 2, "sha256": {}}'), ("meta.json", "{}"), ("meta.json", "null")]
)
def test_an_odd_checkpoint_is_passed_over(harm: str, text: str, gift: Path) -> None:
    (gift / "checkpoints" / "step-foo").mkdir()
    folder = next(p for p in (gift / "checkpoints").iterdir() if p.name.startswith("step-0"))
    (folder / harm).write_text(text)
    run = anew.load(gift).folder
    state, notes = run.latest()
    assert (state is None or state["meta"]["step"] != int(folder.name[5:])) and "damaged" in notes[0]


def test_one_writer_at_a_time(gift: Path) -> None:
    code = "import sys, time; from pathlib import Path; from anew.runs.lock import locked\n"
    code += f"with locked(Path({str(gift)!r})):\n    print('held', flush=True); time.sleep(60)"
    home = {**os.environ, "PYTHONPATH": str(Path(anew.__file__).absolute().parents[1])}
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=home)
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
    with pytest.raises(InUseError, match=rf"in use by process {other.pid} on .* since \d{{4}}-") as caught:
        anew.resume(gift, steps=4)
    assert caught.value.exit_code == STOPPED  # whoever repeats the command after that will succeed later
    other.kill()
    other.communicate()
    # The lock of a process that has died
    with locked(gift):
        assert json.loads((gift / ".lock").read_text())["pid"] == os.getpid()
    assert not (gift / ".lock").read_text()


@pytest.mark.skipif(os.name == "nt", reason="flock is of POSIX")
def test_who_opened_the_lock_before_its_release_keeps_all_others_out(tmp_path: Path) -> None:
    import fcntl

    with locked(tmp_path):
        file = (tmp_path / ".lock").open("rb+")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(RunError, match="in use by another process"), locked(tmp_path):
            pytest.fail("two processes hold the lock")


def test_a_full_device_is_not_the_fault_of_the_run(tmp_path: Path) -> None:
    import torch

    no_room = [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000000 bytes"),
        MemoryError(),
        OSError(errno.ENOSPC, "No space left on device"),
    ]
    for error in no_room:
        with pytest.raises(type(error)) as caught, restoring(tmp_path):
            raise error
        assert caught.value is error
    with pytest.raises(RunError, match="KeyError"), restoring(tmp_path):
        raise KeyError("x")


ODD = [None, -1, 0, 10**12, 1.5, float("nan"), "", "x", "../../x", [], [1], {}, {"a": 1}, True, "gift/family.py"]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    return [at, *(p for key, result in inner for p in places(result, (*at, key)))]


def mutated(config: Any, source: random.Random) -> None:
    at = source.choice(places(config)[1:])
    for key in at[:-1]:
        config = config[key]
    if source.random() < 0.3:
        del config[at[-1]]
    else:
        config[at[-1]] = source.choice(ODD)


@pytest.mark.parametrize("part", range(3))
def test_a_run_with_any_value_is_used_or_refused(part: int, gift: Path) -> None:
    outside = gift.parent
    before = {p.name for p in outside.iterdir()}
    for number in range(50 * part, 50 * part + 50):
        source = random.Random(number)
        original = (gift / "config.json").read_text()
        config = json.loads(original)
        for _ in range(source.randint(1, 2)):
            mutated(config, source)
        (gift / "config.json").write_text(json.dumps(config))
        try:
            anew.load(gift).sample(2, seed=number).save(gift / "samples")
        except AnewError:
            pass
        except Exception as error:
            raise AssertionError(f"case {number}: {type(error).__name__}: {error}") from error
        (gift / "config.json").write_text(original)
    assert {p.name for p in outside.iterdir()} == before


@pytest.mark.parametrize("steps", [None, 50])
def test_a_run_goes_on_with_no_larger_network_than_it_saved(steps: int | None, gift: Path) -> None:
    edit(gift, lambda c: c["family"]["config"].update(width=4096))
    with pytest.raises(RunError, match=r"was edited .*of more than .* bytes, which its weights do not fill"):
        anew.resume(gift, steps=steps)


def test_a_plan_is_replayed_with_no_larger_network_than_its_run_saved(gift: Path, tmp_path: Path) -> None:
    edit(gift, lambda c: c["family"]["config"].update(width=4096))
    with pytest.raises(RunError, match=r"gift.*was edited .*which its weights do not fill"):
        anew.train("names.txt", tmp_path / "again", plan=gift)
