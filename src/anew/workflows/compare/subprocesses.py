"""The trainings of a comparison. Each is a process of its own, so that its memory is freed and a failure stays its own."""

from __future__ import annotations

import os
import queue
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from anew.core import files
from anew.core.durations import as_duration
from anew.core.programs import own_command
from anew.core.registry import check_name
from anew.core.wording import ERROR_PREFIX
from anew.errors import ConfigError, UserError, did_you_mean
from anew.errors import command as shell
from anew.runs.folder import RunFolder
from anew.runs.paths import CONFIG
from anew.runs.record import Request

# Advice after the refusal of a single family
SETTINGS_ARE_COMPARED = (
    "To compare settings of one family, train a run with each, and give the finished runs with `runs`"
)
SPACES = ("auto", "pixel", "latent")
ReportLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run of a comparison.

    Attributes:
        name: Its name in the comparison.
        folder: The run.
        requested_family: The family as it was asked for ("diffusion:latent"), if it is to be trained; "" for a finished run.
        seed_offset: Added to the seed of the request, where a family is trained with several.
        repeated: Whether it is one of several trainings of its family.
    """

    name: str
    folder: Path
    requested_family: str = ""
    seed_offset: int = 0
    repeated: bool = False

    @property
    def family(self) -> str:
        return self.requested_family.partition(":")[0]

    @property
    def space(self) -> str:
        return self.requested_family.partition(":")[2]


def parse_families(families: str | Sequence[str], out: Path, seeds: int, seed: int) -> list[ComparedRun]:
    """The runs that `families` names, as in "vae,gan,diffusion:latent", each trained with `seeds` seeds from `seed` on.

    Raises:
        ConfigError: A family or a space is unknown, a name is given twice, or there are fewer than two.
    """
    listed = families.split(",") if isinstance(families, str) else families
    listed = [name.strip() for name in listed if name.strip()]
    for name in listed:
        family, colon, space = name.partition(":")
        check_name("families", family)
        if colon and space not in SPACES:
            raise ConfigError(f"unknown space {space!r} in {name!r}{did_you_mean(space, SPACES)}")
    repeated = next((name for name in listed if listed.count(name) > 1), None)
    if repeated is not None:
        raise ConfigError(f"{repeated!r} was given twice; name each family once. {SETTINGS_ARE_COMPARED}")
    if len(listed) < 2:
        raise ConfigError(
            f"`families` must name two or more, as in vae,gan,diffusion (got {','.join(listed)!r}). {SETTINGS_ARE_COMPARED}"
        )
    if seeds == 1:
        return [ComparedRun(name, out / name.replace(":", "-"), name) for name in listed]
    return [
        ComparedRun(f"{name} {seed + i}", out / f"{name.replace(':', '-')}-{seed + i}", name, i, repeated=True)
        for name in listed
        for i in range(seeds)
    ]


def log_of(entry: ComparedRun) -> Path:
    """The log file of a training process, next to its run."""
    return entry.folder.with_name(f"{entry.folder.name}.log")


def train_all(entries: Sequence[ComparedRun], request: Request, say: ReportLine) -> dict[str, str]:
    """Train all runs that have not finished: one after another or, with several CUDA devices, one on each at a time.

    Returns:
        The reasons of failures, by name of the run.
    """
    devices = _devices()
    free: queue.Queue[str | None] = queue.Queue()
    for device in devices:
        free.put(device)
    running: list[subprocess.Popen[str]] = []
    names = [entry.requested_family for entry in entries]

    def train(entry: ComparedRun) -> str:
        device = free.get()
        try:
            return _train(entry, command_of(entry, request, names), device, say, running)
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(devices)) as pool:
        try:
            reasons = list(pool.map(train, entries))
        except BaseException:  # Ctrl-C included: no training may continue that nobody waits for
            pool.shutdown(wait=False, cancel_futures=True)
            _terminate(running)
            raise
    return {e.name: reason for e, reason in zip(entries, reasons, strict=True) if reason}


def _terminate(running: Sequence[subprocess.Popen[str]]) -> None:
    """End the trainings. Each saves its state when it is terminated, so that the same command continues it."""
    for process in running:
        if process.poll() is None:
            process.terminate()
    for process in running:
        process.wait()


def _devices() -> list[str | None]:
    """A value of CUDA_VISIBLE_DEVICES for each device; [None], which leaves it alone, if there are fewer than two."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count < 2:
        return [None]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return list(visible.split(",")) if visible else [str(i) for i in range(count)]


def _train(
    entry: ComparedRun,
    command: list[str] | None,
    device: str | None,
    say: ReportLine,
    running: list[subprocess.Popen[str]],
) -> str:
    """Train one run in a process and return why it failed, "" if it did not.

    Its output goes to a file next to its run; lines about steps are reported, too.

    Args:
        command: The arguments of the process; None if the run is finished.
        device: Value of CUDA_VISIBLE_DEVICES; None leaves it alone.
        say: Reports a line.
        running: The process is added here, so that it can be ended.
    """
    if command is None:
        say(f"{entry.name}: already trained")
        return ""
    say(f"{entry.name}: {shell('anew', *command)}")
    begin, last, reason = time.monotonic(), "", ""
    environment = {
        **os.environ,
        "ANEW_PARENT": str(os.getpid()),
        **({} if device is None else {"CUDA_VISIBLE_DEVICES": device}),
    }
    process = subprocess.Popen(
        own_command("anew", *command),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env=environment,
    )
    running.append(process)
    with process, files.open_to_append(log_of(entry)) as log:
        for line in process.stdout or ():
            log.write(line)
            last = line.strip() or last
            if line.startswith(ERROR_PREFIX):
                reason = line.removeprefix(ERROR_PREFIX).strip()
            elif line.startswith("step "):
                say(f"{entry.name}: {line.strip()}")
    if process.returncode != 0:
        return reason or last or f"it exited with code {process.returncode}"
    if not _finished(entry.folder):
        return "it was stopped; the same command continues it"
    say(f"{entry.name}: done in {time.monotonic() - begin:.0f} s")
    return ""


def command_of(entry: ComparedRun, request: Request, families: Sequence[str]) -> list[str] | None:
    """The arguments that train one of the families, or resume its run; None if it is finished."""
    if (entry.folder / CONFIG).exists():
        return None if _finished(entry.folder) else ["resume", str(entry.folder)]
    words = ["train", request.data, "--run", str(entry.folder), "--family", entry.family]
    words += ["--seed", str(request.seed + entry.seed_offset)]
    words += ["--steps", str(request.steps)] if request.budget is None else ["--budget", as_duration(request.budget)]
    words += ["--modality", request.modality] if request.modality else []
    settings = {k: v for k, v in request.settings.items() if _is_for(k, entry.family, families)}
    settings |= {"space": entry.space} if entry.space else {}
    # Trainings that read different parts of the data are divided differently, so one could learn what another is scored on
    settings |= {} if request.budget is None else {"read_all": "true"}
    return [*words, *(w for key, value in settings.items() for w in ("--set", f"{key}={value}"))]


def _is_for(key: str, family: str, families: Sequence[str]) -> bool:
    """Whether a setting applies to a family: one that names a family ("gan.width") applies to that family alone."""
    owner = key.rpartition(".")[0]
    return owner == family or owner not in {name.partition(":")[0] for name in families}


def _finished(folder: Path) -> bool:
    try:
        return bool(RunFolder.open(folder).read().status == "finished")
    except UserError:
        return False
