"""Several processes that train together, started as torchrun starts them, each in a folder of its own if wanted."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))


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


def start(commands: Sequence[Sequence[str]], folders: Sequence[Path | None]) -> list[subprocess.Popen[str]]:
    """A process for each command, with the words of Python behind its name."""
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


def finish(processes: Sequence[subprocess.Popen[str]], timeout: float = 120.0) -> list[Ended]:
    """Wait for all; those that hang are killed, and the test fails."""
    try:
        outputs = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [Ended(int(p.returncode), *output) for p, output in zip(processes, outputs, strict=True)]


def together(script: str, size: int = 2) -> list[Ended]:
    """The same script in so many processes."""
    return finish(start([("-c", script)] * size, [None] * size))
