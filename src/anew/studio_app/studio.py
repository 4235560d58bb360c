"""The state of a Studio: its folder, the runs in it, and the queue. Does not import PyTorch."""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from anew.core import files
from anew.runs.paths import CONFIG
from anew.server.errors import ApiError
from anew.studio_app import queue_runner, run_summary
from anew.studio_app.jobs import Job, JobStore
from anew.studio_app.run_page import RunLogs, detail
from anew.studio_app.start_folder import StartFolder, can_be_named
from anew.studio_app.watcher import Signature, Watcher, signature
from anew.workflows.inspect_run import is_run

# Levels of folders below the root: `runs/`, a project, a comparison; deeper folders are mostly data.
DEPTH = 3
MAX_ENTRIES = 20_000  # so many entries of a folder are read: a larger folder holds data
MAX_FOLDERS = 5_000  # that are searched: a home folder has more, and the page waits for the list; chosen
# Pages of commands that do not make a run, by the verb of their job. Queues from before 0.2 say "audit".
PAGES = {"compare": "compare.html", "evaluate_samples": "report.html", "audit": "report.html"}


@dataclass(slots=True)
class _FolderContents:
    """Contents of a folder whose modification time was `stamp`."""

    stamp: files.Stamp
    folders: list[str]
    has_config: bool


class RunFinder:
    """Finds runs below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listings: dict[str, _FolderContents] = {}
        self._is_run: dict[str, tuple[files.Stamp, bool]] = {}

    def find(self) -> list[Path]:
        """The folders of all runs, sorted by name."""
        runs: list[Path] = []
        listings: dict[str, _FolderContents] = {}
        pending = [(str(self.root), 0)]
        while pending and len(listings) < MAX_FOLDERS:
            folder, depth = pending.pop()
            listing = self._listing(folder)
            if listing is None:
                continue
            listings[folder] = listing
            if listing.has_config and self._holds_run(folder):
                runs.append(Path(folder))
            elif depth < DEPTH:
                pending += [(os.path.join(folder, name), depth + 1) for name in listing.folders]
        self._listings = listings
        self._is_run = {folder: value for folder, value in self._is_run.items() if folder in listings}
        return sorted(runs)

    def _listing(self, folder: str) -> _FolderContents | None:
        """Contents of a folder; None if it cannot be read."""
        try:
            stamp = files.change_stamp(os.stat(folder))
            cached = self._listings.get(folder)
            if cached is not None and cached.stamp == stamp:
                return cached
            with os.scandir(folder) as entries:
                first = list(itertools.islice(entries, MAX_ENTRIES))
            visible = [entry for entry in first if not entry.name.startswith(".") and can_be_named(entry.name)]
            folders = [entry.name for entry in visible if entry.is_dir(follow_symlinks=False)]
            return _FolderContents(stamp, folders, any(entry.name == CONFIG for entry in first))
        except OSError:
            return None

    def _holds_run(self, folder: str) -> bool:
        try:
            stamp = files.change_stamp(os.lstat(os.path.join(folder, CONFIG)))
        except OSError:
            return False
        cached = self._is_run.get(folder)
        if cached is None or cached[0] != stamp:
            cached = self._is_run[folder] = (stamp, is_run(Path(folder)))
        return cached[1]


class Studio:
    """State of the Studio, for the routes. first: names of the runs to open first."""

    def __init__(self, folder: StartFolder, first: list[str]) -> None:
        self.folder, self.first = folder, first
        self.jobs = JobStore(folder.state)
        self.jobs.prepare()
        self.logs = RunLogs()
        self.watcher = Watcher(self._signatures)
        self._finder = RunFinder(folder.root)
        self._summaries: dict[str, tuple[object, dict[str, object]]] = {}
        self._runners: list[subprocess.Popen[bytes]] = []
        self._lock = threading.RLock()

    # ---- runs ----

    def runs(self) -> dict[str, Path]:
        """Folders of all runs by name."""
        with self._lock:
            return {self.folder.name(path): path for path in self._finder.find()}

    def run(self, name: str) -> Path:
        """The folder of a run.

        Raises:
            ApiError: 403 it is outside of the start folder; 404 it is not a run.
        """
        path = self.folder.path(name)
        # Commands in the queue name runs, so a run must have one name: not also one with `..` or a slash at its end.
        is_plain = PurePosixPath(name).as_posix() == name and ".." not in PurePosixPath(name).parts
        if path == self.folder.root or not is_plain or not is_run(path):
            raise ApiError(404, f"{name[:200]!r} is not a run, or was deleted")
        return path

    def job_of(self, name: str) -> Job | None:
        """The newest job that writes a run; None without one."""
        return next((job for job in reversed(self.jobs.all()) if job.run == name), None)

    def summaries(self) -> list[dict[str, object]]:
        """Entries of the list of runs, as JSON values: active ones first, then the newest."""
        self.folder.check_exists()
        with self._lock:
            newest = {job.run: job for job in self.jobs.all()}
            runs = self.runs()
            values = [self._summary(name, path, newest.get(name)) for name, path in runs.items()]
            current = {name: self._summaries[name] for name in runs if name in self._summaries}
            self._summaries = current
        waiting = [job for name, job in newest.items() if name not in runs and _is_listed(job)]
        values += [run_summary.queued_summary(job, self.folder.root) for job in waiting]
        return sorted(values, key=_sort_key)

    def _summary(self, name: str, path: Path, job: Job | None) -> dict[str, object]:
        """The entry of a run. Only those of finished and damaged runs are cached."""
        stamp = (signature(path), job)
        cached = self._summaries.get(name)
        if cached is not None and cached[0] == stamp and cached[1]["state"] in ("finished", "damaged"):
            return cached[1]
        value = run_summary.summary(name, path, job)
        self._summaries[name] = (stamp, value)
        return value

    def detail(self, name: str) -> dict[str, object]:
        """Contents of a run's page besides its curves, with the end of its job's log."""
        job = self.job_of(name)
        is_missing = job is not None and not is_run(self.folder.path(name))
        value = (
            run_summary.queued_summary(job, self.folder.root)
            if job and is_missing
            else detail(name, self.run(name), job, self.logs)
        )
        words = [] if job is None else self.jobs.log_tail(job)
        error_sentence = run_summary.error_sentence(words) if value["failed"] else ""
        return value | {
            "log_tail": words,
            "error_sentence": error_sentence,
            "command": [] if job is None else job.words,
        }

    # ---- comparisons ----

    def comparisons(self) -> list[dict[str, object]]:
        """Comparisons and reports on samples of other tools that were started here, newest first."""
        jobs = [job for job in self.jobs.all() if job.verb in PAGES]
        return [self._comparison(job) for job in reversed(jobs)]

    def comparison(self, name: str) -> dict[str, object]:
        """A comparison or a report on samples, with the end of its log.

        Raises:
            ApiError: 404 there is none of this name.
        """
        job = self.comparing_job(name)
        words = self.jobs.log_tail(job)
        runs = [
            {"id": self.folder.name(run), "name": run.name, "grades": run_summary.grades(run)}
            for run in self._compared_runs(job)
        ]
        return self._comparison(job) | {
            "log_tail": words,
            "error_sentence": run_summary.error_sentence(words),
            "runs": runs,
        }

    def _compared_runs(self, job: Job) -> list[Path]:
        """The runs that a comparison is of."""
        words = job.words[job.words.index("--runs") + 1 :] if "--runs" in job.words else []
        return [path for path in map(Path, words) if path.is_relative_to(self.folder.root)]

    def comparison_page(self, name: str) -> Path:
        """The path of the page of a comparison or a report on samples; ApiError 404 as of `comparison`."""
        return self.folder.path(name) / PAGES[self.comparing_job(name).verb]

    def comparing_job(self, name: str) -> Job:
        """The newest job that makes a comparison or a report on samples; ApiError 404 as of `comparison`."""
        job = self.job_of(name)
        if job is None or job.verb not in PAGES:
            raise ApiError(404, f"{name[:200]!r} is not a comparison or report of this Studio")
        return job

    def _comparison(self, job: Job) -> dict[str, object]:
        has_page = (self.folder.root / job.run / PAGES[job.verb]).is_file()
        was_stopped = job.exit is not None and not run_summary.has_failed(job)
        unfinished = {"ended": "stopped" if was_stopped else "failed", "queued": "queued"}.get(job.state, "measuring")
        state = "finished" if has_page and not job.is_alive else unfinished
        name = Path(job.run).name
        return {"id": job.run, "name": name, "state": state, "of": _compared(job.words), "job_state": job.state}

    # ---- queue ----

    def _signatures(self) -> Mapping[str, Signature]:
        """Signatures of all runs for the watcher. Also starts a runner if the queue needs one."""
        jobs = self.jobs.all()
        self._ensure_runner(jobs)
        values = {name: signature(path) for name, path in self.runs().items()}
        for job in jobs:
            state = (job.state, job.exit, job.state != "running" or job.is_alive, self._log_size(job))
            values[job.run] = (*values.get(job.run, ()), job.id, *state)
        return values

    def _log_size(self, job: Job) -> int:
        try:
            return self.jobs.log_path(job).stat().st_size
        except OSError:
            return 0

    def _ensure_runner(self, jobs: list[Job]) -> None:
        """Start a runner if the queue is not empty and none is running."""
        self._runners = [process for process in self._runners if process.poll() is None]
        if any(job.state != "ended" for job in jobs) and not self._runners and not self.jobs.has_runner():
            self._runners.append(queue_runner.start_runner(self.folder.root))


def _compared(words: Sequence[str]) -> str:
    """The subject of a comparison or of a report on samples, for its title. words: those of its command."""
    if "--runs" in words:
        return ", ".join(Path(word).name for word in words[words.index("--runs") + 1 :])
    samples, data = (Path(run_summary.option(words, name)).name for name in ("--samples", "--data"))
    return f"{samples}, against {data}"


def _is_listed(job: Job) -> bool:
    """Whether a job without a run belongs in the list: it is queued, starting, or failed at once."""
    return job.verb == "train" and (job.state != "ended" or job.exit not in (0, None))


def _sort_key(value: dict[str, object]) -> tuple[int, float, str]:
    states = ("training", "preparing", "measuring", "queued")
    changed = value["changed"]
    rank = states.index(str(value["state"])) if value["state"] in states else len(states)
    return rank, -changed if isinstance(changed, int | float) else 0.0, str(value["id"])
