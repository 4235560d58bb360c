"""Several processes train one model, on machines that share no folder; one is told to stop, or is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from anew.workflows.inspect_run import inspect_run
from processes import SOURCES, Ended, Forked, finish, fork
from samples import names, weights_digest

STEPS = 150
SMALL = ("--set", "previews=0", "--set", "evaluate_samples=4", "--set", "width=16", "--set", "layers=1",
         "--set", "heads=1", "--set", "precision=fp32", "--set", "checkpoint_seconds=0.5")  # fmt: skip
TRAIN = ("-m", "anew", "train", "names.txt", "--run", "run", "--steps", str(STEPS), *SMALL)


def hosts(folder: Path, count: int = 2) -> list[Path]:
    """A folder for each machine, with a copy of the data."""
    paths = [folder / f"host{number}" for number in range(count)]
    for path in paths:
        path.mkdir()
        names(path / "names.txt", 300)
    return paths


def train(folders: Sequence[Path], *commands: Sequence[str]) -> list[Ended]:
    return finish(fork(commands or [TRAIN] * len(folders), folders), timeout=300)


def steps_of(run: Path) -> list[int]:
    try:
        lines = (run / "events.jsonl").read_text().splitlines()
    except OSError:
        return []
    return [json.loads(line)["step"] for line in lines if line.endswith("}") and '"event": "step"' in line]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes without a common folder."""
    folders = hosts(tmp_path_factory.mktemp("undisturbed"))
    ended = train(folders)
    assert [process.code for process in ended] == [0, 0], ended
    assert "step 1 " in ended[0].out and ended[1].out == ""  # one of them speaks
    assert not (folders[1] / "run").exists()
    described = inspect_run(folders[0] / "run")
    assert described.facts()["so far"].endswith(", by 2 processes on 1 machine")
    return folders[0] / "run"


COPY = """
import sys
from anew.workflows.run_copy import folder_of_copy
print(folder_of_copy().path, flush=True)
open(sys.argv[1]).read()
"""


def test_the_copy_of_a_process_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    place = tmp_path / "copies"
    place.mkdir()

    def begun(name: str) -> tuple[Forked, Path]:
        os.mkfifo(tmp_path / name)
        process = Forked(("-c", COPY, str(tmp_path / name)), os.environ | {"TMPDIR": str(place)})
        return process, Path(process.stdout.readline().strip())

    processes, copies = zip(begun("first"), begun("second"), strict=True)
    assert all(copy.is_dir() for copy in copies)  # their processes live
    (copies[0] / "model.safetensors").write_text("weights")
    processes[0].kill()
    processes[0].communicate()
    assert copies[0].is_dir()
    again, copy = begun("again")
    assert copy.parent == place and copy.name.startswith("anew-copy-") and copy not in copies
    assert not copies[0].exists() and copies[1].is_dir()
    for name in ("again", "second"):
        (tmp_path / name).write_text("")
    assert [process.communicate(timeout=60) for process in (again, processes[1])] == [("", "")] * 2
    assert again.returncode == processes[1].returncode == 0 and not list(place.iterdir())


@pytest.mark.slow
def test_one_that_is_stopped_stops_all_and_the_same_command_goes_on(undisturbed: Path, tmp_path: Path) -> None:
    folders = hosts(tmp_path)
    processes = fork([TRAIN, TRAIN], folders)
    while len(steps_of(folders[0] / "run")) < 10:
        time.sleep(0.05)
    assert processes[1].poll() is None
    processes[1].send_signal(signal.SIGTERM)
    ended = finish(processes)
    assert [process.code for process in ended] == [75, 75], ended
    assert ended[0].err == "anew: stopped\n" and ended[1].err == ""
    assert max(steps_of(folders[0] / "run")) < STEPS
    ended = train(folders)
    assert [process.code for process in ended] == [0, 0], ended
    assert steps_of(folders[0] / "run") == list(range(1, STEPS + 1))
    assert weights_digest(folders[0] / "run") == weights_digest(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_worker_is_restarted_to_the_same_weights(undisturbed: Path, tmp_path: Path, rank: int) -> None:
    folder = hosts(tmp_path, 1)[0]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with subprocess.Popen(
        [*torchrun, "--max-restarts", "2", "-m", "--", *TRAIN[1:]],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as agent:
        while len(steps_of(folder / "run")) < 40:
            time.sleep(0.05)
        os.kill(worker_of(agent.pid, rank), signal.SIGKILL)
        out, _ = agent.communicate(timeout=300)
    assert agent.returncode == 0, out
    assert f"anew: process {rank} on " in out and "continuing from step" in out, out
    assert weights_digest(folder / "run") == weights_digest(undisturbed)


def worker_of(agent: int, rank: int) -> int:
    """The process that torchrun started for a rank."""
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
            variables = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == agent and f"RANK={rank}".encode() in variables:
            return int(number)
    raise AssertionError(f"torchrun has no process {rank}")


@pytest.mark.slow
def test_processes_that_differ_are_refused(tmp_path: Path) -> None:
    folders = hosts(tmp_path)
    ended = train(folders, TRAIN, (*TRAIN, "--seed", "5"))
    assert [process.code for process in ended] == [2, 2]
    assert "process 1 on " in ended[0].err and " in the arguments of the command (" in ended[0].err
    assert "; start all processes with the same command" in ended[0].err
    assert ended[1].err == ""
    text = (folders[1] / "names.txt").read_text()
    (folders[1] / "names.txt").write_text("".join(reversed(text.splitlines(keepends=True))))
    ended = train(folders)
    assert [process.code for process in ended] == [2, 2]
    assert "in the data; give all processes the same files" in ended[0].err
    (folders[1] / "names.txt").unlink()
    ended = train(folders)
    assert [process.code for process in ended] == [2, 2]
    assert ended[0].err.startswith(
        "anew: 'names.txt' does not exist; give a folder, a file, an address, or a hub dataset"
    )
    assert "(process 1 on " in ended[0].err and ended[0].err.count("\n") == 1
    assert not (folders[0] / "run").exists()
