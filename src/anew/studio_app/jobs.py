"""The queue of commands, as files, so that it outlives the Studio and the page."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import psutil
from filelock import FileLock, Timeout
from pydantic import Field

from anew.core import files
from anew.core.schema import Name, NotNegative, Record, Text, Whole, checked
from anew.errors import RunError, printable

QUEUE_LOCK, RUNNER_LOCK = "queue.lock", "runner.lock"
LOCK_SECONDS = 10.0  # the queue is locked for moments only, so a longer wait is an error
LOG_TAIL_BYTES = 6000  # length of the end of a job's log, which says why it failed
FILE_BYTES = 2**20  # size of a job's file, which holds one command
SAME_PROCESS_SECONDS = 1.0  # precision to which the start time of a process is known


class Job(Record):
    """A command of the queue.

    Attributes:
        id: Its number, in the order of the queue.
        verb: "train", "resume", "evaluate" (of a run), "evaluate_samples" (of another tool) or "compare".
        run: Name of the folder that it writes, below the start folder.
        words: Its arguments, the verb first.
        queued_at, began_at, ended_at: Seconds since 1970.
        state: State in the queue.
        pid, pid_since: Its process, and the start time of that.
        exit: Its exit code; None if no runner saw its end.
    """

    id: Whole
    verb: Name
    run: Text
    words: list[Text]
    queued_at: NotNegative
    state: Literal["queued", "running", "ended"] = "queued"
    pid: Whole | None = None
    pid_since: NotNegative | None = None
    began_at: NotNegative | None = None
    ended_at: NotNegative | None = None
    exit: Annotated[int, Field(strict=True)] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether its process is running."""
        if self.state != "running" or self.pid is None or self.pid_since is None:
            return False
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.pid_since) < SAME_PROCESS_SECONDS
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


class JobStore:
    """The queue, in the folder of the Studio's state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "jobs"
        self._read: dict[str, tuple[files.Stamp, Job]] = {}  # jobs by file name

    def prepare(self) -> None:
        """Create the folder."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def all(self) -> list[Job]:
        """All jobs in the order of the queue; damaged files are ignored."""
        jobs: dict[str, tuple[files.Stamp, Job]] = {}
        try:
            entries = [entry for entry in os.scandir(self.folder) if entry.name.endswith(".json")]
        except OSError:
            return []
        for entry in entries:
            try:
                stamp = files.change_stamp(entry.stat(follow_symlinks=False))
                known_stamp, job = self._read.get(entry.name, (None, None))
                if job is None or known_stamp != stamp:
                    job = self._load(Path(entry.path))
                jobs[entry.name] = stamp, job
            except (OSError, RunError, ValueError):
                continue
        self._read = jobs
        return sorted((job for _, job in jobs.values()), key=lambda job: job.id)

    def _load(self, path: Path) -> Job:
        return checked(Job, files.read_json(path, FILE_BYTES), path.name)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """A context with the lock of the queue.

        Raises:
            RunError: Another process keeps the lock.
        """
        try:
            with FileLock(self.folder / QUEUE_LOCK, timeout=LOCK_SECONDS):
                self._read = {}
                yield
        except Timeout:
            raise RunError("the queue is locked by another process; try again") from None

    def add(self, verb: str, run: str, words: Sequence[str]) -> Job:
        """Add a command to the end of the queue."""
        with self.changing():
            return self.append(verb, run, words)

    def append(self, verb: str, run: str, words: Sequence[str]) -> Job:
        """The same as `add`, inside `changing`: for what depends on the commands of the queue."""
        number = max((job.id for job in self.all()), default=0) + 1
        job = Job(id=number, verb=verb, run=run, words=list(words), queued_at=time.time())
        self.write(job)
        return job

    def write(self, job: Job) -> None:
        """Write the file of a job; inside `changing`."""
        files.write_json(self.folder / f"{job.id:06d}.json", job.model_dump())

    def delete(self, job: Job) -> None:
        """Delete the files of a job; inside `changing`."""
        for suffix in (".json", ".log"):
            (self.folder / f"{job.id:06d}{suffix}").unlink(missing_ok=True)

    def log_path(self, job: Job) -> Path:
        """Path of the job's log."""
        return self.folder / f"{job.id:06d}.log"

    def log_tail(self, job: Job) -> list[str]:
        """The last lines of the job's log."""
        try:
            files.check_regular(self.log_path(job))
            with open(self.log_path(job), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - LOG_TAIL_BYTES))
                lines = file.read(LOG_TAIL_BYTES).decode(errors="replace").splitlines()
        except (OSError, RunError):
            return []
        return [printable(line) for line in (lines[1:] if size > LOG_TAIL_BYTES else lines)]

    def stop(self, job: Job) -> bool:
        """Ask the job's process to save and stop; Windows ends it at once. Returns whether it was running."""
        if not job.is_alive or job.pid is None:
            return False
        try:
            os.kill(job.pid, signal.SIGTERM)
        except ProcessLookupError:  # it has ended meanwhile
            return False
        return True

    def has_runner(self) -> bool:
        """Whether a runner works through the queue."""
        lock = FileLock(self.folder / RUNNER_LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return True
        lock.release()
        return False
