"""Kill: SIGKILL at random instants of a training, then resume; the final weights must be the uninterrupted run's.

    python bench/kill.py --data DIR [--kills 20] [--steps 200] [--threads 1 2]

The instants are spread over the CPU time of the whole command of the uninterrupted run: start, training, saving, evaluation. Each is
a run of its own, killed once, and again in the middle of its resume where --twice is given. Where the kill comes
before there is a run folder to resume, the training is started again, which the table counts apart.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from _common import Finished, Table, anew_command, end_group, fresh, parser, pinned, setting_words, start
from _runs import read_status, read_steps

ENDED = "had ended before"  # the instant came too late: not counted as a kill


def digest(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def killed(command: Sequence[str], cores: Sequence[int], place: Path, after: float) -> bool:
    """Starts a command and kills its process group after so many seconds of processor time, which do not depend on what
    else the machine does; False where it had ended before."""
    process = start(command, cores, place / "killed")
    while process.poll() is None and used_by(process.pid) < after:
        time.sleep(0.005)
    cut = process.poll() is None
    end_group(process)
    process.wait()
    return cut


def used_by(process: int) -> float:
    """Seconds of processor time of a process and of what it has started, so far."""
    try:
        own = psutil.Process(process)
        times = [member.cpu_times() for member in (own, *own.children(recursive=True))]
    except psutil.Error:
        return 0.0
    return sum(t.user + t.system for t in times) + times[0].children_user + times[0].children_system


def state(run: Path) -> str:
    """Where the kill met the run: before there was one, in training, after training, or after the end."""
    if not (run / "config.json").exists():
        return "no run yet"
    status = read_status(run)
    whole = [p for p in (run / "checkpoints").glob("*") if not p.name.startswith(".")] if status == "training" else []
    if status != "training":
        return status
    return "training, with a checkpoint" if whole else "training, before a checkpoint"


def last_step(run: Path) -> int:
    return max((step["step"] for step in read_steps(run)), default=0)


def finish(run: Path, train: list[str], cores: Sequence[int], place: Path) -> Finished:
    if (run / "config.json").exists():
        return pinned(anew_command("resume", run), cores, place)
    shutil.rmtree(run, ignore_errors=True)
    return pinned(train, cores, place)


def trial(
    options: argparse.Namespace, number: int, cores: Sequence[int], instants: tuple[float, float | None], expected: str
) -> dict[str, Any]:
    place = fresh(options.work / "kill" / f"{len(cores)}-{number}")
    run = place / "run"
    train = train_command(options, run)
    cut = killed(train, cores, place, instants[0])
    met, step = state(run), last_step(run)
    if instants[1] is not None and (run / "config.json").exists():
        killed(anew_command("resume", run), cores, place, instants[1])
    completed = finish(run, train, cores, place)
    same = completed.code == 0 and digest(run) == expected
    row = {
        "threads": len(cores),
        "kill": number,
        "instant_s": round(instants[0], 3),
        "again_s": instants[1] and round(instants[1], 3),
        "met": met if cut else ENDED,
        "step": step,
        "resumed": completed.code == 0,
        "report": (run / "report" / "report.json").exists(),
        "same_bytes": same,
    }
    if completed.code:
        row["error"] = (completed.err or completed.out).strip().splitlines()[-1][:300]
    elif same:
        shutil.rmtree(place)
    return row


def train_command(options: argparse.Namespace, run: Path) -> list[str]:
    settings = setting_words(options.set, [f"checkpoint_seconds={options.checkpoint_seconds:g}"])
    return anew_command(
        "train", options.data, "--run", run, "--steps", options.steps, "--seed", options.seed, *settings
    )


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, required=True, help="any data that Anew trains on")
    build.add_argument("--kills", type=int, default=20, help="random instants for each number of threads")
    build.add_argument("--steps", type=int, default=200)
    build.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    build.add_argument("--checkpoint-seconds", type=float, default=0.3, help="save this often, so that kills meet it")
    build.add_argument("--twice", action="store_true", help="kill the resume too")
    build.add_argument("--seed", type=int, default=0)
    options = build.parse_args()

    rows, chance = Table("kill"), random.Random(options.seed)
    for threads in options.threads:
        cores = options.cores[:threads]
        if len(cores) < threads:
            build.error(f"{threads} threads need as many cores; give them with --cores")
        place = fresh(options.work / "kill" / f"{threads}-whole")
        whole = pinned(train_command(options, place / "run"), cores, place).check()
        expected = digest(place / "run")
        print(f"uninterrupted with {threads} threads: {whole.cpu:.1f} s of CPU, {expected[:16]}", flush=True)
        met = 0
        while met < options.kills:
            again = chance.uniform(0, whole.cpu) if options.twice else None
            row = rows.add(**trial(options, met, cores, (chance.uniform(0, whole.cpu), again), expected))
            met += row["met"] != ENDED
    rows.show()
    kills = [row for row in rows.rows if row["met"] != ENDED]
    good = sum(row["resumed"] and row["same_bytes"] for row in kills)
    print(f"\n{good} of {len(kills)} kills: resumed, with the uninterrupted run's model.safetensors byte for byte")
    if good < len(kills):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
