"""Lets only one process write a run at a time. The operating system releases the lock of a process that dies."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from anew.core import files
from anew.core.processes.launcher import is_first_process
from anew.errors import InUseError, RunError

NAME = ".lock"
# The file that says who holds the lock. Windows lets nobody read or write a locked file, so it is another one there.
HOLDER = NAME if fcntl is not None else ".lock-holder"
BYTES = 4096  # most bytes of the file, which holds three short values; a stranger's may be of any size
# How long the lock is waited for: another process may hold it for an instant, to learn who does (`is_held`); chosen
WAIT_SECONDS = 0.2
CLOCK_SECONDS = 2.0  # the clocks of one system, for processes and for files, may differ by so much; chosen


class _Holder(NamedTuple):
    """A process that holds the lock. since: seconds since 1970."""

    pid: int
    host: str
    since: float


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run. The first of torchrun's processes holds it for all.

    Raises:
        InUseError: Another process holds it; the sentence says which.
        RunError: The disk has no locks.
    """
    if not is_first_process():
        yield
        return
    from filelock import FileLock, Timeout

    path = folder / NAME
    files.check_regular(path, missing_ok=True)
    holder = _holder(folder)  # read first, because older releases of filelock empty the file when they try
    lock = FileLock(path, timeout=WAIT_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise InUseError(f"the run {str(folder)!r} is in use by {holder}; wait until it is done, or stop it") from None
    except (OSError, NotImplementedError) as error:
        raise RunError(f"cannot lock {str(folder)!r} ({files.clause(error)}); copy the run to another disk") from None
    try:
        with contextlib.suppress(OSError):  # the content only helps messages; the lock works without it
            (folder / HOLDER).write_text(
                json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()})
            )
        yield
    finally:
        with contextlib.suppress(OSError):  # best effort, as above
            # Not removed: a process that has opened it meanwhile would lock a file that others do not see
            (folder / HOLDER).write_text("")
        lock.release()


def names_holder(folder: Path) -> bool:
    """Whether the file of a run's lock names a process: one that holds the lock, or was killed while it did."""
    return _read_holder(folder) is not None


def is_held(folder: Path) -> bool:
    """Whether a living process holds the lock of a run, according to its file.

    Takes no lock where the file names this machine, so it never stops a training that is about to begin here. If it names another
    one, the system is asked: a container whose process was killed comes back under another name, and nobody writes then.
    """
    holder = _read_holder(folder)
    if holder is None:
        return False
    if holder.host != socket.gethostname():
        return not _is_unlocked(folder / NAME)
    try:
        process = psutil.Process(holder.pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= holder.since + CLOCK_SECONDS
    except (psutil.Error, ValueError, OverflowError):
        return False


def holder_elsewhere(folder: Path) -> str | None:
    """Who holds the lock of a run, if that is a process of another machine; see `is_held`."""
    holder = _read_holder(folder)
    is_elsewhere = holder is not None and holder.host != socket.gethostname()
    return _holder(folder) if is_elsewhere and is_held(folder) else None


def _is_unlocked(path: Path) -> bool:
    """Whether the system knows that nobody holds a lock. It is taken for an instant, so not asked where a process of this
    machine may be about to take it."""
    if fcntl is None:
        return False
    try:
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # closing it lets go of the lock
    except OSError:  # it is held, or the disk has no locks
        return False
    return True


def _holder(folder: Path) -> str:
    """Who holds the lock of a run since when, if its file says so."""
    holder = _read_holder(folder)
    if holder is None:
        return "another process"
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since))
    except (ValueError, OverflowError, OSError):
        return "another process"
    return f"process {holder.pid} on {holder.host[:60]!r} since {since}"


def _read_holder(folder: Path) -> _Holder | None:
    """The contents of a run's lock file; None if it is missing or damaged."""
    try:
        match files.read_json(folder / HOLDER, BYTES):
            case {"pid": int(pid), "host": str(host), "since": int() | float() as since}:
                return _Holder(pid, host, float(since))
    except (RunError, OverflowError, OSError):
        pass
    return None
