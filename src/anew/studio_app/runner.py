"""The process that works through the queue, one command at a time: `python -m anew.studio_app.runner FOLDER`.

It is nobody's child for long: the Studio may end, and commands go on and are waited for. It ends when nothing is left to do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil
from filelock import FileLock, Timeout

from anew.core.programs import own_command
from anew.errors import RunError, disk_is_full
from anew.studio_app.jobs import RUNNER_LOCK, Job, JobStore
from anew.studio_app.start_folder import STATE

SECONDS_BETWEEN_LOOKS = 0.25  # at the queue: a run begins at once to the eye, and a look is one listing
SECONDS_WITHOUT_ROOM = 2.0  # between two tries on a full disk: whoever frees some sees it go on; chosen
ATTEMPTS = 20  # to take the lock: whoever looks whether there is a runner holds it for a moment


def begin(root: Path) -> subprocess.Popen[bytes]:
    """Start a runner for a start folder that lives on when the caller ends."""
    return subprocess.Popen(
        own_command("anew.studio_app.runner", str(root)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def run_queue(root: Path) -> None:
    """Carry out jobs until none is left; returns at once where another process does so."""
    store = JobStore(root / STATE)
    store.prepare()
    lock = FileLock(store.folder / RUNNER_LOCK, timeout=0)
    for attempt in range(ATTEMPTS):
        try:
            lock.acquire()
            break
        except Timeout:
            if attempt == ATTEMPTS - 1:
                return
            time.sleep(0.02)
    with lock:
        while _work(store, root):
            pass


def _work(store: JobStore, root: Path) -> bool:
    """Wait for the job that runs, or start the next one and wait for it; whether there was one."""
    running = next((job for job in store.all() if job.state == "running"), None)
    if running is not None:  # of a runner that was killed
        while running.is_alive:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        _end(store, running, None)
        return True
    started = _once_there_is_room(lambda: _next(store, root))
    if started is None:
        return False
    job, process = started
    _end(store, job, process.wait())
    return True


def _next(store: JobStore, root: Path) -> tuple[Job, subprocess.Popen[bytes]] | None:
    """Start the next command, and note that it runs; None where none waits.

    Raises:
        RunError, OSError: It cannot be noted, and nothing runs: what runs without a note would be started once more.
    """
    with store.changing():
        job = next((job for job in store.all() if job.state == "queued"), None)
        if job is None:
            return None
        store.write(job)  # before anything begins: whether there is room for a note
        process = _start(store, job, root)
        fields = {"state": "running", "pid": process.pid, "pid_since": _began(process.pid), "began_at": time.time()}
        job = job.model_copy(update=fields)
        try:
            store.write(job)
        except RunError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    return job, process


Result = TypeVar("Result")


def _once_there_is_room(work: Callable[[], Result]) -> Result:
    """Do what writes; on a full disk again and again, until it can."""
    while True:
        try:
            return work()
        except (RunError, OSError) as error:
            if not disk_is_full(error):
                raise
        time.sleep(SECONDS_WITHOUT_ROOM)


def _began(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:  # it has ended already
        return time.time()


def _start(store: JobStore, job: Job, root: Path) -> subprocess.Popen[bytes]:
    with open(store.log_path(job), "wb") as log:
        return subprocess.Popen(
            own_command("anew", *job.words),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=root,
            env=os.environ | {"NO_COLOR": "1", "COLUMNS": "120"},
            start_new_session=True,
        )


def _end(store: JobStore, job: Job, code: int | None) -> None:
    ended = job.model_copy(update={"state": "ended", "exit": code, "ended_at": time.time()})

    def note() -> None:
        with store.changing():
            store.write(ended)

    _once_there_is_room(note)


if __name__ == "__main__":
    run_queue(Path(sys.argv[1]))
