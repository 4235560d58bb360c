"""Processes that tests start: several that train together, as torchrun starts them, and whole commands.

Most are forked from one that has imported what they need, which takes longer than what they do. A test of how Python itself starts,
or of memory, starts Python.
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO
from unittest import mock

ROOT = Path(__file__).parents[1]
SOURCES = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))

_FORKING = get_context("forkserver")
# torch._dynamo is what the first optimiser imports
_FORKING.set_forkserver_preload(
    ["torch", "torch._dynamo", "torch.distributed.fsdp", "torch.distributed.tensor", "anew.cli.commands", "anew.workflows.train",
     "anew.workflows.evaluate", "anew.families.transformer.family", "anew.studio_app.app"]
)  # fmt: skip


class Forked:
    """A process that runs `python WORDS`, but for the start of Python; used like `subprocess.Popen`.

    Attributes:
        stdout: What it prints, as it comes; likewise `stderr`.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> None:
        pipes = [_FORKING.Pipe(duplex=False) for _ in range(2)]
        with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):  # threads would not outlive the fork
            forkserver.ensure_running()
        self._process = _FORKING.Process(
            target=_run, args=(list(words), dict(environment), folder or Path.cwd(), *(pipe[1] for pipe in pipes))
        )
        self._process.start()
        for _, end in pipes:
            end.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(begin.fileno()), encoding="utf-8") for begin, _ in pipes)
        for begin, _ in pipes:
            begin.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended; `subprocess.TimeoutExpired` where that takes longer than `timeout` seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        """What it printed, once it has ended."""
        with ThreadPoolExecutor(2) as pool:
            printed = [pool.submit(_read, file) for file in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            out, err = (text.result() for text in printed)
        return out, err


def _read(file: IO[str]) -> str:
    with file:
        return file.read()


def _run(words: list[str], environment: dict[str, str], folder: Path, out: Connection, err: Connection) -> None:
    """In the forked process, what Python does with these words: `-c SCRIPT ...` or `-m MODULE ...`."""
    for number, end in ((1, out), (2, err)):
        os.dup2(end.fileno(), number)
        end.close()
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # that of the environment
    os.chdir(folder)
    sys.argv = [words[0], *words[2:]]
    try:
        if words[0] == "-c":
            sys.modules["__main__"].__dict__["__name__"] = "__main__"
            exec(compile(words[1], "<string>", "exec"), sys.modules["__main__"].__dict__)
        else:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    return os.environ | {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": SOURCES,
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def fork(commands: Sequence[Sequence[str]], folders: Sequence[Path | None]) -> list[Forked]:
    """A forked process for each command, with the words of Python behind its name."""
    port = free_port()
    return [
        Forked([str(word) for word in command], environment(rank, len(commands), port), folder)
        for rank, (command, folder) in enumerate(zip(commands, folders, strict=True))
    ]


def start(commands: Sequence[Sequence[str]], folders: Sequence[Path | None]) -> list[subprocess.Popen[str]]:
    """A Python of its own for each command, with its words."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            env=environment(rank, len(commands), port),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, (command, folder) in enumerate(zip(commands, folders, strict=True))
    ]


def finish(processes: Sequence[Forked | subprocess.Popen[str]], timeout: float = 120.0) -> list[Ended]:
    """Wait for all; those that hang are killed, and the test fails."""
    try:
        outputs = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [Ended(int(p.returncode), *output) for p, output in zip(processes, outputs, strict=True)]


def together(script: str, size: int = 2) -> list[Ended]:
    """The same script in so many forked processes."""
    return finish(fork([("-c", script)] * size, [None] * size))
