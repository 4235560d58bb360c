"""How many processes a training starts, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from anew.cli import main
from anew.core.exit_codes import STOPPED
from anew.core.processes import launcher
from anew.core.processes.launcher import count_gpus, processes_to_start, quiet_transport
from anew.errors import ConfigError
from processes import SOURCES, finish, fork
from samples import names


@pytest.mark.parametrize(("visible", "count"), [(None, 3), ("", 0), ("0", 1), ("0,2", 2), ("0,1,2,3", 3)])
def test_gpus_are_counted_by_their_files(
    tmp_path: Path, visible: str | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"nvidia{number}").touch()
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(launcher, "GPU_FILES", str(tmp_path / "nvidia[0-9]*"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert count_gpus() == count


def test_a_process_for_each_gpu_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "count_gpus", lambda: 4)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes_to_start(0, "auto") == processes_to_start(0, "cuda") == 4
    assert processes_to_start(0, "cuda:1") == processes_to_start(0, "cpu") == processes_to_start(1, "auto") == 1
    monkeypatch.setattr(launcher, "count_cores", lambda: 6)
    assert processes_to_start(6, "cpu") == 6
    with pytest.raises(
        ConfigError, match=r"`processes` 7 is more than this machine has room for \(6 cores\); give at most 6"
    ):
        processes_to_start(7, "cpu")
    with pytest.raises(ConfigError, match=r"\(4 GPUs\)"):
        processes_to_start(6, "auto")
    with pytest.raises(ConfigError, match="`processes` 2 cannot share device=mps; leave it out, or give device=cpu"):
        processes_to_start(2, "mps")
    assert processes_to_start(1, "mps") == processes_to_start(0, "mps") == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert processes_to_start(0, "auto") == 1


def test_processes_share_the_cores_that_the_command_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv(launcher.STARTED, "0")
    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", lambda config, python: lambda *words: None)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(launcher, "count_cores", lambda: 6)
    assert launcher.launch(2, ["train", "data"], 0.0) == 0
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_stacks_of_broken_connections_are_not_shown_by_one_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("TORCH_CPP_LOG_LEVEL", raising=False)
    quiet_transport()
    assert "TORCH_CPP_LOG_LEVEL" not in os.environ
    monkeypatch.setenv("WORLD_SIZE", "2")
    quiet_transport()
    assert os.environ["TORCH_CPP_LOG_LEVEL"] == "ERROR"
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "INFO")
    quiet_transport()
    assert os.environ["TORCH_CPP_LOG_LEVEL"] == "INFO"


def anew(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "WORLD_SIZE"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": SOURCES}
    command = [sys.executable, "-m", "anew", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_command_that_processes_cannot_divide_is_carried_out_by_the_first(tmp_path: Path) -> None:
    words = ["-m", "anew", "example", "names", str(tmp_path / "names")]
    first, second = finish(fork([words] * 2, [None] * 2))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.out.startswith("wrote ") and second.out == second.err == ""


@pytest.mark.slow
def test_a_training_starts_its_processes(tmp_path: Path) -> None:
    names(tmp_path / "names.txt", 200)
    settings = {"previews": 0, "evaluate_samples": 4, "width": 16, "layers": 1, "heads": 1}
    words = ["train", "names.txt", "--run", "run", "--steps", "8", "--processes", "2"]
    words += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    completed = anew(tmp_path, *words)
    assert completed.returncode == 0, completed.stderr
    # What takes long says what it does, so a busy machine has such lines
    lines = [line for line in completed.stderr.splitlines() if not line.endswith("so far)")]
    assert lines == ["starting 2 processes, as asked"] and completed.stdout.count("step 8 ") == 1
    plan = json.loads((tmp_path / "run" / "config.json").read_text())["plan"]
    assert any(note.startswith("2 processes, each with all weights") for note in plan["notes"])
    refused = anew(tmp_path, *(word.replace("width=16", "width=24") for word in words))
    assert refused.returncode == 2
    lines = [line for line in refused.stderr.splitlines() if not line.endswith("so far)")]
    assert [line.partition(" ")[0] for line in lines] == ["starting", "anew:"], refused.stderr


def test_a_process_that_was_killed_may_be_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ended with 247, the signal as a negative number, which no launcher repeats."""
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(launcher, "own_command", lambda *words: [sys.executable, "-c", kill])
    monkeypatch.setenv(launcher.STARTED, "")  # unset again after the test, as what `launch` sets
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert launcher.launch(1, [], 0.0) == STOPPED


def test_a_launcher_that_is_stopped_says_nothing() -> None:
    """PyTorch's launcher logged "Received 15 death signal" beside the sentence of the first process."""
    program = """
        import sys
        from anew.core.processes import launcher
        sleep = "import time; print('ready', flush=True); time.sleep(60)"
        launcher.own_command = lambda *words: [sys.executable, "-c", sleep]
        sys.exit(launcher.launch(1, [], 0.0))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.terminate()
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (STOPPED, "", "")


def test_who_starts_processes_does_not_speak_for_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said every ten seconds that it was starting, for as long as they trained."""
    monkeypatch.setattr("anew.core.activity.LINE_SECONDS", 0.05)
    monkeypatch.setattr("anew.cli.processes_to_start", lambda requested, device: 2)
    monkeypatch.setattr("anew.cli.launch", lambda processes, words, begun: time.sleep(0.5) or 0)
    assert main(["train", "names.txt", "--run", "run", "--processes", "2"]) == 0
    assert capsys.readouterr().err == "starting 2 processes, as asked\n"


def test_a_resumed_run_is_trained_on_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    monkeypatch.setattr("anew.cli.count_gpus", lambda: 4)
    monkeypatch.setattr(launcher, "count_gpus", lambda: 4)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("anew.cli.launch", lambda processes, words, begun: started.append(processes) or 0)
    monkeypatch.setattr("anew.cli.commands.run", lambda arguments, begun: 0)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    devices = {"one": "cuda:1", "all": "cuda"}
    monkeypatch.setattr("anew.api.device_of", lambda run: devices[run])
    for run in devices:
        assert main(["resume", run]) == 0
    assert started == [4]
