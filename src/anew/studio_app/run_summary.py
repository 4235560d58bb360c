"""Summary of a run for the page: state, progress and outputs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anew.core.exit_codes import DONE, STOPPED
from anew.core.registry import available
from anew.core.wording import ERROR_PREFIX
from anew.errors import AnewError, RunError, command
from anew.runs import events, lock
from anew.runs.folder import RunFolder
from anew.runs.paths import CONFIG, OWN_FAMILY, WEIGHTS
from anew.runs.record import BegunRun, RunRecord
from anew.runs.report_record import record_or_none
from anew.runs.weights import weights_path
from anew.studio_app.jobs import Job

# "stopped": its process ended unobserved; "failed": its command ended with an error
State = Literal["queued", "preparing", "training", "measuring", "finished", "paused", "stopped", "failed", "damaged"]
MAX_LINES = 300  # lines of the log that are read, from its end: a list of many runs must not read whole logs
NOTE_BYTES = 2**16  # room for the file of a job, which has some hundreds, on disks with blocks of up to 64 kB
MISSING_WEIGHTS = (
    f"Its weights ({WEIGHTS}) are missing. If the folder was copied, copy it once more, with all its files."
)
_SHEET_NAME = re.compile(r"step-(\d{1,15})\.(png|txt)")


@dataclass(frozen=True, slots=True)
class RunState:
    """The state of a run.

    Attributes:
        sentence: Explanation for the user.
        failed: Whether the last command on the run failed.
    """

    name: State
    sentence: str
    failed: bool = False


def read_record(run: Path) -> BegunRun | RunRecord | str:
    """Contents of config.json, or the reason why it cannot be read."""
    try:
        return RunFolder.open(run).read()
    except AnewError as error:
        return str(error)


def has_own_code(record: BegunRun | RunRecord | str) -> bool:
    """Whether the family of a run is Python code in its folder, which the Studio does not run."""
    return not isinstance(record, str) and OWN_FAMILY in (
        record.request.family,
        record.family.name if isinstance(record, RunRecord) else None,
    )


def refused_code(run: Path) -> str:
    """The sentence on why the Studio does not load a run whose family is code, with the command that does."""
    words = command("anew", "sample", run, "--out", "samples", "--trust-code")
    return (
        f"the family of this run is Python code, which the Studio does not run; read {str(run / OWN_FAMILY)!r}, then use "
        f"`{words}` in a terminal"
    )


def own_code_commands(run: Path, record: BegunRun | RunRecord | str, *, has_weights: bool) -> list[str]:
    """Commands for a run whose family is code, in place of the buttons of its page; [] for other runs."""
    if not has_own_code(record) or isinstance(record, str):
        return []
    more = ("--budget", "5m") if record.status == "finished" else ()
    resume = command("anew", "resume", run, *more, "--trust-code")
    if not has_weights:
        return [resume]
    sample = command("anew", "sample", run, "--out", "samples", "--trust-code")
    evaluate = [command("anew", "evaluate", run, "--trust-code")] if record.status == "finished" else []
    return [sample, *evaluate, resume]


def error_sentence(words: Sequence[str]) -> str:
    """The sentence in which a command says why it failed; "" without one. words: the last lines of its output."""
    sentences = [line.removeprefix(ERROR_PREFIX) for line in words if line.startswith(ERROR_PREFIX)]
    return sentences[-1] if sentences else ""


def state_of(run: Path, record: BegunRun | RunRecord | str, job: Job | None) -> RunState:
    """The state of a run.

    Args:
        run: Its folder.
        record: Its record, see `read_record`.
        job: The newest job of the Studio that writes it; None without one.
    """
    if isinstance(record, str):
        return RunState("damaged", record)
    if job is not None and job.state == "queued":
        return RunState("queued", _queued_sentence(run))
    is_held = lock.is_held(run)
    if (
        job is not None
        and job.is_alive
        and not is_held
        and not (record.status == "finished" and _has_written(job, run))
    ):
        return RunState("preparing", "Starting.")
    if is_held:
        if record.status == "begun":
            return RunState("preparing", "Reading the data and choosing the model.")
        if record.status == "training":
            return RunState("training", "Learning.")
        return RunState("measuring", "Sampling and measuring.")
    if record.status == "finished":
        if not has_weights(run):
            return RunState("damaged", MISSING_WEIGHTS)
        if job is not None and has_failed(job) and not _has_written(job, run):
            return RunState("finished", "Finished. The last command on it failed, and changed nothing.", failed=True)
        return RunState("finished", "Finished.")
    return _unfinished_state(run, record, job)


def has_weights(run: Path) -> bool:
    """Whether a run has weights, if only those of a checkpoint."""
    checkpoints = run / "checkpoints"
    try:
        has_checkpoint = any(path.name.startswith("step-") for path in checkpoints.iterdir())
    except OSError:  # there is none, or a training has just removed it
        has_checkpoint = False
    return weights_path(run).is_file() or has_checkpoint


def has_failed(job: Job) -> bool:
    """Whether a job ended with an error, not because it was done or asked to stop."""
    return job.exit is not None and job.exit not in (DONE, STOPPED) and not was_ended_at_once(job.exit)


def was_ended_at_once(code: int | None, system: str = os.name) -> bool:
    """Whether a command with this exit code was asked to stop, and could not save: it had just begun, or it ran on Windows, which ends
    a process without asking it."""
    return code == -signal.SIGTERM or (system == "nt" and code == signal.SIGTERM)


def _has_written(job: Job, run: Path) -> bool:
    """Whether the job has written what it writes last. Its process has then released the run, and is about to end."""
    last = events.NAME if job.verb == "evaluate" else CONFIG
    try:
        return job.began_at is not None and (run / last).stat().st_mtime >= job.began_at
    except OSError:
        return False


def _unfinished_state(run: Path, record: BegunRun | RunRecord, job: Job | None) -> RunState:
    """The state of an unfinished run that no process works on."""
    code = None if job is None else job.exit
    if job is not None and job.state == "running" and _disk_is_full(run):  # how it ended is recorded once there is room
        return RunState(
            "stopped",
            "Its process ended, and the disk is full. Free some space, then resume it from its last checkpoint.",
        )
    if job is not None and code is not None and has_failed(job):
        ending = f"It ended by signal {-code}" if code < 0 else f"It ended with exit code {code}"
        return RunState(
            "failed",
            f"{ending}. The end of its output is below. Resume continues from the last checkpoint.",
            failed=True,
        )
    was_killed = code is None and lock.names_holder(run)
    if was_killed:
        return RunState("stopped", "Its process ended unexpectedly. Resume continues from the last checkpoint.")
    if was_ended_at_once(code):
        return RunState("paused", "Stopped. Resume continues from the last checkpoint.")
    if record.status == "trained":
        return RunState("paused", "Trained, but not measured yet. Resume measures it.")
    return RunState("paused", "Stopped and saved. Resume continues from there.")


def last_step(run: Path) -> events.Event:
    """The last step in events.jsonl, of which only the end is read; empty if there is none, or the log cannot be read."""
    try:
        return events.last_step(run, MAX_LINES)
    except RunError:
        return events.Event()


def seconds_left(record: RunRecord, step: events.Event, now: float) -> float | None:
    """Estimated seconds until the run is finished; None if it is not known yet.

    Args:
        step: Its last step.
        now: Seconds since 1970.
    """
    seconds, progress = step.get("seconds"), step.get("progress")
    if not isinstance(seconds, int | float) or not isinstance(progress, int | float) or progress <= 0.0:
        return None
    left = record.plan.train_s - seconds if record.plan.train_s is not None else seconds * (1.0 - progress) / progress
    since = now - float(step.get("time", now))
    return max(0.0, left - max(0.0, since)) + (record.plan.evaluate_s or 0.0)


def sheets(run: Path) -> list[tuple[int, str]]:
    """(step, file name) of the sample sheets that were drawn during training, in the order of steps."""
    try:
        names = os.listdir(run / "samples")
    except OSError:
        return []
    numbered = [(int(match[1]), name) for name in names if (match := _SHEET_NAME.fullmatch(name))]
    return sorted(numbered)


def final_sheet(run: Path) -> str | None:
    """The file name of the sheet of final samples; None without one."""
    return next((name for name in ("final.png", "final.txt") if (run / "samples" / name).is_file()), None)


def grades(run: Path) -> dict[str, str]:
    """The three grades of the report; empty without a report."""
    report = record_or_none(run)
    return {} if report is None else dict(report.grades)


def copying_test(run: Path) -> dict[str, object]:
    """The result of the report's copying test, with the data of its chart; empty without one."""
    report = record_or_none(run)
    copies = None if report is None else report.copies
    fields = {
        "detected",
        "p",
        "reference_p",
        "control_p",
        "verdict",
        "method",
        "samples",
        "train",
        "held_out",
        "distance",
        "detection_limit",
        "controls",
        "picture",
    }
    return {} if copies is None else copies.model_dump(include=fields, exclude_unset=True)


def summary(name: str, run: Path, job: Job | None) -> dict[str, object]:
    """A run's entry in the list, as JSON values."""
    record = read_record(run)
    state = state_of(run, record, job)
    value: dict[str, object] = {
        "id": name,
        "name": name.rpartition("/")[2],
        "state": state.name,
        "sentence": state.sentence,
        "failed": state.failed,
        "changed": _changed(run),
        "job": None if job is None else job.id,
        "verb": None if job is None else job.verb,
        "job_state": None if job is None else job.state,
    }
    if isinstance(record, str):
        return value
    request = record.request
    value |= {
        "data": Path(request.data).name,
        "seed": request.seed,
        "budget_s": request.budget,
        "family": request.family or "",
        "modality": request.modality or "",
        "has_own_code": has_own_code(record),
    }
    if isinstance(record, RunRecord):
        step = last_step(run)
        sheet = final_sheet(run) or next((file for _, file in reversed(sheets(run))), None)
        value |= {
            "family": record.family.name,
            "modality": record.data.modality,
            "described_family": record.described_family,
            "parameters": record.plan.parameters,
            "labels": list(record.data.labels) if record.spec.classes else [],
            "step": step.get("step", 0),
            "progress": step.get("progress", 0.0),
            "seconds": step.get("seconds"),
            "seconds_left": seconds_left(record, step, time.time()) if state.name == "training" else None,
            "losses": events.recent_losses(run),
            "sheet": sheet,
            "grades": grades(run) if record.status == "finished" else {},
        }
    return value


def queued_summary(job: Job, root: Path) -> dict[str, object]:
    """The entry of a job whose run does not exist: it is queued, or could not be started. root: the start folder."""
    # The end of a job cannot be recorded on a full disk
    is_beginning = job.state == "running" and not _disk_is_full(root)
    state = "queued"
    if job.state != "queued":
        state = "preparing" if job.is_alive or is_beginning else "failed"
    sentences = {
        "queued": _queued_sentence(root),
        "preparing": "Starting.",
        "failed": "It could not be started.",
    }
    return {
        "id": job.run,
        "name": job.run.rpartition("/")[2],
        "state": state,
        "sentence": sentences[state],
        "failed": state == "failed",
        "changed": job.ended_at or job.began_at or job.queued_at,
        "job": job.id,
        "verb": job.verb,
        "job_state": job.state,
        "data": Path(job.words[1] if len(job.words) > 1 else "").name,
        "family": option(job.words, "--family"),
        "modality": option(job.words, "--modality"),
        "reading": reading_of(job, root),
    }


def reading_of(job: Job, root: Path) -> dict[str, object] | None:
    """The data of a training and how it is read, as the page New run takes them; None for other commands. root: the start folder."""
    if job.verb != "train":
        return None
    try:
        data = Path(root, job.words[1]).relative_to(root).as_posix()
    except ValueError:  # a record of a run that was trained elsewhere
        return None
    assigned = [word.removeprefix("--set=") for word in job.words if word.startswith("--set=")]
    settings = dict(text.split("=", 1) for text in assigned)
    kinds = available("data")
    of_data = {name: value for name, value in settings.items() if name.partition(".")[0] in kinds}
    return {"data": data, "settings": of_data}


def _queued_sentence(folder: Path) -> str:
    """The sentence on why a command does not run yet."""
    if _disk_is_full(folder):
        return "The disk is full. It starts once you free some space."
    return "It starts when the commands before it in the queue have ended."


def _disk_is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no room for the file of a job."""
    try:
        return shutil.disk_usage(folder).free < NOTE_BYTES
    except OSError:
        return False


def option(words: Sequence[str], name: str) -> str:
    """The value of an option of a command that has it as NAME=VALUE; "" without it."""
    return next((word.removeprefix(f"{name}=") for word in words if word.startswith(f"{name}=")), "")


def _changed(run: Path) -> float:
    """Time of the last change of a run, in seconds since 1970."""
    times = []
    for name in (CONFIG, events.NAME):
        try:
            times.append((run / name).stat().st_mtime)
        except OSError:
            continue
    return max(times, default=0.0)


def plan_lines(record: RunRecord) -> list[str]:
    """The plan in words."""
    plan = record.plan
    lines = [f"{plan.parameters:,} parameters, {plan.batch:,} examples in each step"]
    if plan.steps is not None:
        lines.append(f"{plan.steps:,} steps")
    elif plan.expected_steps:
        passes = f", {plan.epochs:.3g} passes over the data" if plan.epochs else ""
        lines.append(f"about {plan.expected_steps:,} steps in {plan.train_s or 0:.0f} s{passes}")
    parts = record.data.parts
    if parts:
        lines.append(", ".join(f"{count:,} to {name}" for name, count in parts.items()))
    return [*lines, *plan.notes]


def pilots(record: RunRecord) -> list[dict[str, object]]:
    """The pilots of a run, as JSON values."""
    return [
        {"family": pilot.family, "distance": pilot.distance, "expected": pilot.expected, "seconds": pilot.seconds}
        for pilot in record.plan.pilots
    ]
