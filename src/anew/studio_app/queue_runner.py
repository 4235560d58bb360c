"""The process that works through the queue, one command at a time: `python -m anew.studio_app.queue_runner FOLDER`.

It outlives the Studio that started it, and ends when the queue is empty.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
from filelock import FileLock, Timeout

from anew.core.programs import own_command
from anew.errors import RunError, disk_is_full
from anew.studio_app.jobs import RUNNER_LOCK, Job, JobStore
from anew.studio_app.start_folder import STATE

# Time between two looks at the queue: a run seems to start at once, and each look lists one folder.
SECONDS_BETWEEN_CHECKS = 0.25
# Seconds between two attempts on a full disk: a user who frees space sees the queue continue; chosen
FULL_DISK_RETRY_SECONDS = 2.0
# Seconds in which the lock is tried for: a check whether there is a runner holds it for a moment, which busy cores make longer; chosen
LOCK_SECONDS = 2.0


def start_runner(root: Path) -> subprocess.Popen[bytes]:
    """Start a runner for a start folder, which outlives its caller."""
    return subprocess.Popen(
        own_command("anew.studio_app.queue_runner", str(root)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def run_queue(root: Path) -> None:
    """Run jobs until none is left. Returns after LOCK_SECONDS if another process does so."""
    store = JobStore(root / STATE)
    store.prepare()
    lock = FileLock(store.folder / RUNNER_LOCK, timeout=LOCK_SECONDS)
    try:
        lock.acquire(poll_interval=0.02)
    except Timeout:
        return
    try:
        while _run_next(store, root):
            pass
    finally:
        lock.release()


def _run_next(store: JobStore, root: Path) -> bool:
    """Wait for the running job, or start the next one and wait for it. Returns whether there was one."""
    running = next((job for job in store.all() if job.state == "running"), None)
    if running is not None:  # its runner was killed
        while running.is_alive:
            time.sleep(SECONDS_BETWEEN_CHECKS)
        _record_end(store, running, None)
        return True
    started = _retry_while_disk_is_full(lambda: _start_next(store, root))
    if started is None:
        return False
    job, process = started
    _record_end(store, job, process.wait())
    return True


def _start_next(store: JobStore, root: Path) -> tuple[Job, subprocess.Popen[bytes]] | None:
    """Start the next command, and record that it runs; None if none is queued.

    Raises:
        RunError, OSError: That cannot be recorded. The command is then ended, since it would be started a second time.
    """
    with store.changing():
        job = next((job for job in store.all() if job.state == "queued"), None)
        if job is None:
            return None
        store.write(job)  # checks that the disk has room, before anything is started
        process = _start(store, job, root)
        fields = {
            "state": "running",
            "pid": process.pid,
            "pid_since": _start_time(process.pid),
            "began_at": time.time(),
        }
        job = job.model_copy(update=fields)
        try:
            store.write(job)
        except RunError:
            process.kill()
            process.wait()
            raise
    return job, process


Result = TypeVar("Result")


def _retry_while_disk_is_full(work: Callable[[], Result]) -> Result:
    """The result of `work`, which is repeated as long as it fails because the disk is full."""
    while True:
        try:
            return work()
        except (RunError, OSError) as error:
            if not disk_is_full(error):
                raise
        time.sleep(FULL_DISK_RETRY_SECONDS)


def _start_time(pid: int) -> float:
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


def _record_end(store: JobStore, job: Job, code: int | None) -> None:
    ended = job.model_copy(update={"state": "ended", "exit": code, "ended_at": time.time()})

    def write() -> None:
        with store.changing():
            store.write(ended)

    _retry_while_disk_is_full(write)


if __name__ == "__main__":
    run_queue(Path(sys.argv[1]))
