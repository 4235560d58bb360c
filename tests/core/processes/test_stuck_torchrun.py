"""A torchrun that hangs after its process has ended is killed; one that notices it, or may go on, is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from anew.core.processes import stuck_torchrun
from anew.core.processes.stuck_torchrun import end_if_stuck, start_watching
from processes import SOURCES

WORKER = """
import sys
from anew.core.processes import stuck_torchrun
stuck_torchrun.start_watching()
sys.exit(75)
"""


def torchrun(folder: Path, then: str, *words: str) -> subprocess.Popen[str]:
    """A program of the name of torchrun that starts a process and does something then."""
    program = folder / "torchrun"
    program.write_text(
        f"import subprocess, sys, time\nchild = subprocess.Popen(sys.argv[1:])\nprint(child.pid, flush=True)\n{then}"
    )
    return subprocess.Popen(
        [sys.executable, str(program), *words],
        env={name: value for name, value in os.environ.items() if not name.startswith("TORCHELASTIC_")}
        | {"PYTHONPATH": SOURCES},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def child_of(parent: subprocess.Popen[str]) -> psutil.Process:
    assert parent.stdout is not None
    return psutil.Process(int(parent.stdout.readline()))


def test_one_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stuck_torchrun, "NOTICING_S", 0.3)
    with torchrun(tmp_path, "time.sleep(60)", sys.executable, "-c", "") as parent:
        assert end_if_stuck(child_of(parent))
    assert parent.returncode == -signal.SIGKILL


@pytest.mark.parametrize("then", ["child.wait(); time.sleep(60)", ""])
def test_one_that_notices_it_or_ends_is_left_alone(tmp_path: Path, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stuck_torchrun, "NOTICING_S", 20.0)
    with torchrun(tmp_path, then, sys.executable, "-c", "import time; time.sleep(0.5)") as parent:
        assert not end_if_stuck(child_of(parent))
        assert then == "" or parent.poll() is None
        parent.kill()


def test_the_process_that_watches_outlives_the_one_that_ends(tmp_path: Path) -> None:
    with torchrun(tmp_path, "time.sleep(60)", sys.executable, "-c", WORKER) as parent:
        child = child_of(parent)
        deadline = time.monotonic() + 20.0
        while child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.01)
        words = ["anew.core.processes.stuck_torchrun", str(child.pid)]
        watchers = [
            process for process in psutil.process_iter(["cmdline"]) if (process.info["cmdline"] or [])[-2:] == words
        ]
        assert len(watchers) == 1
        watchers[0].kill()
        parent.kill()


@pytest.mark.parametrize(
    ("variables", "words", "watches"),
    [
        ({}, ["python", "/bin/torchrun", "-m"], True),
        ({}, ["python", "-m", "torch.distributed.run", "--nnodes", "2"], True),
        ({"TORCHELASTIC_MAX_RESTARTS": "3", "TORCHELASTIC_RESTART_COUNT": "3"}, ["torchrun"], True),
        ({"TORCHELASTIC_MAX_RESTARTS": "3", "TORCHELASTIC_RESTART_COUNT": "2"}, ["torchrun"], False),
        ({"LOCAL_RANK": "1"}, ["torchrun"], False),
        ({}, ["sh", "train.sh"], False),
    ],
)
def test_who_is_watched(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: list[str], watches: bool
) -> None:
    for name in ("TORCHELASTIC_MAX_RESTARTS", "TORCHELASTIC_RESTART_COUNT", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda words, **options: started.append(words))
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: words)
    monkeypatch.setattr(stuck_torchrun, "_watchers", [])
    start_watching()
    assert [command[-1] for command in started] == [str(os.getpid())] * watches
