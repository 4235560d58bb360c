"""Work in a forked child, watched from outside: time, memory, crashes of native code, what it writes to its outputs."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anew.errors import AnewError

POLL = 0.01  # seconds between two looks at a child
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
TICK = os.sysconf("SC_CLK_TCK")
SRC = "/anew/"


@dataclass(frozen=True, slots=True)
class Limits:
    """cpu: seconds of processor time; idle: seconds without any of it, for a child that waits (on a loaded machine even one
    that works gets little, so time on the clock says nothing); memory: bytes."""

    cpu: float = 20.0
    idle: float = 30.0
    memory: int = 1536 * 1024 * 1024


@dataclass(slots=True)
class Outcome:
    """fault: None where all went well, else traceback, hang, memory, crash, stderr, lost, executed, written or exit;
    detail: what was seen; where: the last lines of this package on the stack."""

    fault: str | None = None
    detail: str = ""
    where: str = ""
    seconds: float = 0.0
    peak: int = 0  # bytes
    value: Any = None
    log: str = field(default="", repr=False)

    @property
    def signature(self) -> str:
        """The same for failures that have the same cause, most likely."""
        normalised = re.sub(r"'[^']*'|\d+|0x[0-9a-f]+", "#", (self.detail.splitlines() or [""])[0])
        return f"{self.fault} {self.where or normalised[:60]}".strip()


class Failed(Exception):
    """Raised in a child: a check of the harness found a fault."""

    def __init__(self, fault: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


def failure_of(error: BaseException) -> Outcome:
    """A traceback as an outcome: the error, and the deepest frame of the package."""
    if isinstance(error, Failed):
        return Outcome(error.fault, str(error))
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if SRC in f.filename] or list(frames[-1:])
    where = f"{ours[-1].filename.rpartition(SRC)[2]}:{ours[-1].name}" if ours else ""
    line = f" line {ours[-1].lineno}" if ours else ""
    return Outcome("traceback", f"{type(error).__name__}: {str(error)[:300]}{line}", where)


def run(work: Callable[[], Any], limits: Limits | None = None, quiet: bool = True) -> Outcome:
    """Carry out `work` in a child. quiet: whatever it writes to standard error is a fault; its value must be JSON."""
    limits = limits or Limits()
    with tempfile.TemporaryDirectory() as place:
        result, errors = Path(place) / "result.json", Path(place) / "stderr"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: they were joined or sleep
            reading, writing = os.pipe()
            child = os.fork()
        if child == 0:
            os.write(writing, str(_resident()).encode())
            _work(work, result, errors)
        os.close(writing)
        inherited = int(os.read(reading, 20) or 0)
        os.close(reading)
        with contextlib.suppress(OSError):  # by both sides: whichever comes first, the group exists before it is killed
            os.setpgid(child, child)
        outcome = _watched(child, limits, inherited)
        outcome.log = errors.read_text(errors="replace")[-4000:] if errors.exists() else ""
        if outcome.fault is None and not result.exists():
            outcome.fault, outcome.detail = "crash", f"the child ended without a word {outcome.log[-300:]}"
        if outcome.fault is None:
            outcome = _reported(outcome, json.loads(result.read_text()))
        if outcome.fault is None and quiet and outcome.log.strip():
            outcome.fault, outcome.detail = "stderr", outcome.log.strip()[:500]
        return outcome


def _reported(outcome: Outcome, result: dict[str, Any]) -> Outcome:
    return Outcome(**{**result, "seconds": outcome.seconds, "peak": outcome.peak, "log": outcome.log})


def _work(work: Callable[[], Any], result: Path, errors: Path) -> None:
    """The child: never returns."""
    os.setpgid(0, 0)
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a harness that is killed leaves no child behind
    out = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # Under pytest both are objects that keep what is written; the child's must reach the file.
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    try:
        outcome = Outcome(value=work())
    except AnewError as error:
        outcome = Outcome(value=f"{type(error).__name__}: {error}")
    except BaseException as error:  # the very thing that is looked for
        outcome = failure_of(error)
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:
            stream.flush()
    text = json.dumps(asdict(outcome), default=str)
    part = result.with_suffix(".part")
    part.write_text(text)
    os.replace(part, result)
    os._exit(0)


def _resident() -> int:
    """Bytes of memory that this process holds: a fork starts with most of its parent's, and none of them is its doing."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _watched(child: int, limits: Limits, inherited: int) -> Outcome:
    """Wait for the child; it is killed where it goes over a limit."""
    began, outcome = time.monotonic(), Outcome()
    used, moved = 0.0, began
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        cpu, memory = _usage(child)
        memory = max(0, memory - inherited)
        outcome.seconds, outcome.peak = time.monotonic() - began, max(outcome.peak, memory)
        if cpu != used:
            used, moved = cpu, time.monotonic()
        if memory > limits.memory:
            outcome.fault, outcome.detail = "memory", f"more than {limits.memory >> 20} MB"
        elif cpu > limits.cpu:
            outcome.fault, outcome.detail = "hang", f"more than {limits.cpu:g} s of processor time"
        elif time.monotonic() - moved > limits.idle:
            outcome.fault, outcome.detail = "hang", f"it waits, for more than {limits.idle:g} s"
        if outcome.fault is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended in this moment
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return outcome
        time.sleep(POLL)
    outcome.seconds = time.monotonic() - began
    if os.WIFSIGNALED(status):
        outcome.fault, outcome.detail = "crash", f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return outcome


def _usage(process: int, parent: bytes = b"") -> tuple[float, int]:
    """(seconds of processor time, peak bytes of memory) of a process and all that it has started, so far.

    parent: command line of what started it; until another program is in its place it holds the same memory, not more.
    """
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{process}/status").read_text()
        threads = Path(f"/proc/{process}/task").iterdir()  # a child is listed under the thread that started it
        started = [child for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return 0.0, 0
    peak = 1024 * next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
    cpu = sum(map(int, stat[11:15])) / TICK
    peak = 0 if command == parent else peak
    inner = [_usage(int(child), command) for child in started]
    return cpu + sum(used for used, _ in inner), peak + sum(memory for _, memory in inner)
