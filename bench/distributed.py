"""Distributed: training on several hosts that share no folder, on links of a given speed; a link that is cut; memory of FSDP2.

    python bench/distributed.py --data DATA [--parts hosts verbs resume cut kill lost memory curves] [--hosts 2 3]
        [--rate 1gbit 100mbit] [--delay 5]

Hosts are network namespaces with veth pairs on a bridge (needs root and iproute2), each with its own name, folder and copy of the
data; one process each.

- `hosts`: the largest relative difference of the logged losses from one process, and the wall time.
- `verbs`: `sample` and `evaluate` of a run that only the first host has; whether samples have the bytes of one process, and the largest
  relative difference of figures.
- `resume`: the run of so many hosts is stopped by SIGTERM to the last one, and continues on another number (`--resumed 4:3 1:2`).
- `cut`: the last host's port is taken off the bridge, `--cuts` times; seconds until the command of each host ends, and what it says.
- `kill`: on this machine, two processes under --max-restarts, a random one of which is killed at random instants (SIGKILL), until
  the run has ended `--kills` times with its report; how many ended with the bytes of the undisturbed run.
- `lost`: of two hosts under --nnodes 1:2 the last one is killed after a random step, `--losses` times; the first continues alone.
- `memory`: peak memory of each of two processes of a Transformer, DDP beside FSDP2.
- `curves`: on this machine, the largest relative difference of the losses of each family from one process, DDP and FSDP2, 2 to 4
  processes; beside it what one process makes of initial weights that differ in the last bit ("ulp"), and numbers of 64 bits.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _common import Table, anew_command, environ, fresh, parser, pinned, setting_words
from _hosts import BRIDGE, LIMIT_S, TAIL, Host, give_up, ip, kill_tree, network, start_host, wait_for
from _runs import read_status, read_steps

STUCK_S = 300.0  # after a cut link, until a command that has not ended is killed
MEMORY = Path(__file__).with_name("_memory.py")
CURVES = Path(__file__).with_name("_curves.py")


def places(arguments: argparse.Namespace, hosts: int) -> list[Path]:
    """A folder for each host, with a copy of the data."""
    folders = [fresh(arguments.work / "distributed" / f"host{number}") for number in range(hosts)]
    for folder in folders:
        copy = shutil.copytree if arguments.data.is_dir() else shutil.copy
        copy(arguments.data, folder / arguments.data.name)
    return folders


def train_words(arguments: argparse.Namespace) -> list[str]:
    defaults = ["precision=fp32", "previews=0", "evaluate_samples=20", "checkpoint_seconds=1"]
    settings = setting_words(arguments.set, defaults)
    return ["train", arguments.data.name, "--run", "run", "--steps", str(arguments.steps), *settings]


def run_hosts(
    arguments: argparse.Namespace, folders: Sequence[Path], words: Sequence[str] = ()
) -> tuple[list[int], float]:
    """Exit codes and wall seconds of a command, by default the training."""
    begin, words = time.monotonic(), words or train_words(arguments)
    hosts = [start_host(i, len(folders), f, words, arguments.cores) for i, f in enumerate(folders)]
    codes = [host.wait() for host in hosts]
    if any(codes) or None in codes:
        give_up(hosts, f"a host failed; exit codes {codes}, None where it had not ended after {LIMIT_S:.0f} s")
    return [code for code in codes if code is not None], time.monotonic() - begin


def losses(run: Path) -> list[float]:
    return [loss for step in read_steps(run) if (loss := step["loss"]) is not None]


def distance(run: Path, other: Path) -> float:
    """Largest relative difference of two loss curves."""
    pairs = list(zip(losses(run), losses(other), strict=True))
    return max(abs(a - b) / abs(b) for a, b in pairs)


def wait_for_steps(hosts: Sequence[Host], steps: int) -> None:
    """Wait until the run on the first host has logged so many steps."""
    run = hosts[0].place / "run"
    wait_for(hosts, lambda: len(losses(run)) >= steps, f"step {steps}")


def worker_of(host: Host) -> int:
    """The process of Anew below a host's torchrun."""
    import psutil

    processes = psutil.Process(host.process.pid).children(recursive=True)
    return next(p.pid for p in processes if "anew" in p.cmdline() and "torch.distributed.run" not in p.cmdline())


def train_alone(arguments: argparse.Namespace) -> Path:
    place = fresh(arguments.work / "distributed" / "alone")
    words = [str(arguments.data) if word == arguments.data.name else word for word in train_words(arguments)]
    words[words.index("run")] = str(place / "run")
    pinned(anew_command(*words), arguments.cores[:1], place).check()
    return place / "run"


def hosts_row(arguments: argparse.Namespace, hosts: int, rate: str | None, alone: Path) -> dict[str, Any]:
    folders = places(arguments, hosts)
    with network(hosts, rate, arguments.delay):
        codes, seconds = run_hosts(arguments, folders)
    others = [folder for folder in folders[1:] if (folder / "run").exists()]
    row = {
        "part": "hosts",
        "hosts": hosts,
        "rate": rate,
        "delay_ms": arguments.delay,
        "codes": codes,
        "wall_s": round(seconds, 1),
    }
    return row | {"difference": distance(folders[0] / "run", alone), "folders_elsewhere": len(others)}


def verbs_row(arguments: argparse.Namespace, hosts: int, rate: str | None, alone: Path) -> dict[str, Any]:
    """Samples and a report by several hosts, and by one process."""
    folders = places(arguments, hosts)
    place_of_one = fresh(arguments.work / "distributed" / "one")
    for place in (place_of_one, folders[0]):
        shutil.copytree(alone, place / "run")
    sample = ["sample", "run", "-n", str(arguments.n), "--out", "new"]
    evaluate = ["evaluate", "run", "-n", str(arguments.n), "--out", "measured"]
    for words in (sample, evaluate):
        pinned(anew_command(*words), arguments.cores[:1], place_of_one, cwd=place_of_one).check()
    row: dict[str, Any] = {"part": "verbs", "hosts": hosts, "rate": rate, "delay_ms": arguments.delay, "n": arguments.n}
    with network(hosts, rate, arguments.delay):
        for words in (sample, evaluate):
            codes, seconds = run_hosts(arguments, folders, words)
            row |= {f"{words[0]}_codes": codes, f"{words[0]}_s": round(seconds, 1)}
    files = [contents(place / "new") for place in (place_of_one, folders[0])]
    return row | {
        "same_bytes": files[0] == files[1],
        "figures_difference": figures_difference(place_of_one, folders[0]),
    }


def figures_difference(place: Path, other: Path) -> float:
    """Largest relative difference of a number in the reports of two places; infinite where they have different figures."""
    scores = [json.loads((folder / "measured" / "report.json").read_text())["scores"] for folder in (place, other)]
    pairs = list(itertools.zip_longest(*scores, fillvalue={}))
    numbers = [(a[key], b.get(key)) for a, b in pairs for key in a if isinstance(a[key], float)]
    if any(a.get("name") != b.get("name") for a, b in pairs) or any(b is None for _, b in numbers):
        return float("inf")
    return float(max(abs(a - b) / max(abs(b), 1e-9) for a, b in numbers))


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def resume_row(
    arguments: argparse.Namespace, hosts: int, hosts_after: int, rate: str | None, alone: Path
) -> dict[str, Any]:
    folders = places(arguments, max(hosts, hosts_after))
    run = folders[0] / "run"
    with network(len(folders), rate, arguments.delay):
        started = [
            start_host(i, hosts, f, train_words(arguments), arguments.cores) for i, f in enumerate(folders[:hosts])
        ]
        wait_for_steps(started, arguments.steps // 4)
        subprocess.run(["kill", f"-{signal.SIGTERM.value}", str(worker_of(started[-1]))], check=True)
        for host in started:
            host.wait()
        stopped_at = len(losses(run))
        codes, _ = run_hosts(arguments, folders[:hosts_after])
    row = {
        "part": "resume",
        "hosts": f"{hosts} to {hosts_after}",
        "rate": rate,
        "codes": codes,
        "stopped_at": stopped_at,
    }
    return row | {"difference": distance(run, alone)}


def cut_row(arguments: argparse.Namespace, hosts: int) -> dict[str, Any]:
    """Seconds until each host's torchrun has ended after the cut, and what Anew says there."""
    folders = places(arguments, hosts)
    with network(hosts, None):
        started = [start_host(i, hosts, f, train_words(arguments), arguments.cores) for i, f in enumerate(folders)]
        wait_for_steps(started, arguments.steps // 4)
        ip("-n", BRIDGE, "link", "set", f"port{hosts - 1}", "nomaster")
        begin = time.monotonic()
        with ThreadPoolExecutor(hosts) as pool:
            ends = list(pool.map(lambda host: wait_for_end(host, begin), started))
    return {
        "part": "cut",
        "hosts": hosts,
        "ended_after_s": ends,
        "codes": [host.process.returncode for host in started],
        "says": [sentences(host) for host in started],
    }


def sentences(host: Host) -> list[str]:
    """What Anew said on a host."""
    return [line for line in host.output.splitlines() if line.startswith("anew: ")]


def wait_for_end(host: Host, begin: float) -> float | None:
    """Seconds from `begin` to the end of a host's command; None for one that had to be killed."""
    return None if host.wait(STUCK_S) is None else round(time.monotonic() - begin, 1)


def torchrun_words(*options: object) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", *map(str, options), "-m", "--", "anew"]


def digest(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def kill_rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Runs with SIGKILLs of random workers at random instants, until there were `--kills` of them."""
    random_numbers = random.Random(1)
    place = fresh(arguments.work / "distributed" / "kill")
    words = [str(arguments.data) if word == arguments.data.name else word for word in train_words(arguments)]
    undisturbed = run_with_kills([*words[:3], str(place / "undisturbed"), *words[4:]], arguments, [])
    yield {"part": "kill", **undisturbed, "kills_so_far": 0}
    kills = number = 0
    while kills < arguments.kills:
        run = place / f"run{number}"
        number += 1
        delays = [
            random_numbers.uniform(0.5, 1.3 * undisturbed["seconds"]) for _ in range(min(4, arguments.kills - kills))
        ]
        row = run_with_kills([*words[:3], str(run), *words[4:]], arguments, delays, random_numbers)
        if not row["kills"]:
            continue
        kills += int(row["kills"])
        is_same = row["code"] == 0 and digest(run) == digest(place / "undisturbed")
        yield {
            "part": "kill",
            **row,
            "kills_so_far": kills,
            "same_bytes": is_same,
            "reported": (run / "report").exists(),
        }


def run_with_kills(
    words: Sequence[str], arguments: argparse.Namespace, delays: Sequence[float], source: random.Random | None = None
) -> dict[str, Any]:
    """One run, a worker of which is killed so many seconds after the one before (or the start) is there again."""
    command = [*torchrun_words("--standalone", "--nproc-per-node", 2, "--max-restarts", 50), *words]
    begin = time.monotonic()
    path = arguments.work / "distributed" / "kill.log"
    log = open(path, "wb")  # noqa: SIM115
    host = subprocess.Popen(command, env=environ(arguments.cores[:1]), stdout=log, stderr=log, start_new_session=True)
    states = []
    for delay in delays:
        deadline = time.monotonic() + delay
        while host.poll() is None and time.monotonic() < deadline + LIMIT_S:
            if time.monotonic() >= deadline and len(workers(host)) == 2:
                break
            time.sleep(0.05)
        alive = workers(host)
        if host.poll() is not None or not alive:
            break
        assert source is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(source.choice(alive), signal.SIGKILL)
            states.append(state_of(Path(words[3])))
        time.sleep(1.0)
    try:
        code = host.wait(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        kill_tree(host.pid)
        raise SystemExit(
            f"a run had not ended {LIMIT_S:.0f} s after its last kill\n{path.read_text()[-TAIL:]}"
        ) from None
    finally:
        log.close()
    if code and not states:
        raise SystemExit(f"the undisturbed run ended with {code}\n{path.read_text()[-TAIL:]}")
    return {"kills": len(states), "killed_at": states, "code": code, "seconds": round(time.monotonic() - begin, 1)}


def state_of(run: Path) -> str:
    """How far a run is: the step that it logged last, or its status behind the training."""
    if not (run / "config.json").exists():
        return "not begun"
    status = read_status(run)
    return f"step {len(losses(run))}" if status == "training" else status


def workers(host: subprocess.Popen[Any]) -> list[int]:
    """The processes of Anew below a torchrun."""
    import psutil

    matches = []
    with contextlib.suppress(psutil.NoSuchProcess):
        matches = [process.pid for process in psutil.Process(host.pid).children() if is_worker(process)]
    return matches


def is_worker(process: Any) -> bool:
    import psutil

    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    return "anew" in words and "torch.distributed.run" not in words


def lost_row(arguments: argparse.Namespace, after: int) -> dict[str, Any]:
    """The last of two hosts is killed with all its processes after so many steps; the first one goes on alone."""
    folders = places(arguments, 2)
    run = folders[0] / "run"
    begin = time.monotonic()
    with network(2, None):
        started = [
            start_host(i, 2, f, train_words(arguments), arguments.cores, nodes="1:2", restarts=3)
            for i, f in enumerate(folders)
        ]
        wait_for_steps(started, after)
        num_steps, lost = len(losses(run)), time.monotonic()
        kill_tree(started[-1].process.pid)
        code = started[0].wait()
    if code is None:
        give_up(started, f"the first host had not ended {LIMIT_S:.0f} s after the loss of the other")
    row = {"part": "lost", "lost_at": num_steps, "code": code, "steps": len(losses(run)), "says": sentences(started[0])}
    return row | {"before_s": round(lost - begin, 1), "seconds": round(time.monotonic() - lost, 1)}


def memory_rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    peaks = {}
    for parallel in ("ddp", "fsdp"):
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        place = fresh(arguments.work / "distributed" / parallel)
        completed = pinned(
            [*torchrun, "--", str(MEMORY), parallel, str(arguments.layers), str(arguments.memory_steps)],
            arguments.cores,
            place,
        ).check()
        matches = [json.loads(line) for line in completed.out.splitlines() if line.startswith("{")]
        peaks[parallel] = max(row["peak_mb"] for row in matches)
        yield {"part": "memory", "parallel": parallel, **matches[0], "share": peaks[parallel] / peaks["ddp"]}


def curve_rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Curves of all families beside one process, each in numbers of 32 bits, then of 64."""
    for bits in arguments.bits:
        more = [*arguments.cases, *(["fp64"] if bits == 64 else [])]
        alone = curves(arguments, 1, "ddp", *more)
        for processes, way in arguments.ways:
            words = ["ddp", "ulp", *more] if way == "ulp" else [way, *more]
            for case, losses_here in curves(arguments, processes, *words).items():
                apart = [relative_difference(*pair) for pair in zip(losses_here, alone[case], strict=True)]
                first = next((step for step, value in enumerate(apart, 1) if value > 1e-4), None)
                row = {"part": "curves", "case": case, "bits": bits, "processes": processes, "way": way}
                yield row | {
                    "difference": max(apart),
                    "after_10_steps": max(apart[:10]),
                    "first_step_above_1e-4": first,
                }


def curves(arguments: argparse.Namespace, processes: int, way: str, *more: str) -> dict[str, list[list[float]]]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "--"]
    words = [str(CURVES), way, str(arguments.steps), *more]
    place = fresh(arguments.work / "distributed" / "curves")
    out = pinned([*torchrun, *words], arguments.cores, place).check().out
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {line["case"]: line["losses"] for line in lines}


def relative_difference(losses_here: Sequence[float], expected: Sequence[float]) -> float:
    return max(abs(a - b) / max(abs(b), 1e-3) for a, b in zip(losses_here, expected, strict=True))


def number_and_way(text: str) -> tuple[int, str]:
    number, _, way = text.partition(":")
    return int(number), way


def two_numbers(text: str) -> tuple[int, int]:
    before, after = text.split(":")
    return int(before), int(after)


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, required=True, help="any data that Anew trains on")
    build.add_argument("--parts", nargs="*", default=["hosts", "resume", "cut", "memory"])
    build.add_argument("--hosts", type=int, nargs="*", default=[2, 3])
    build.add_argument("--rate", nargs="*", default=["1gbit"], help="of the links, as tc writes it")
    build.add_argument("--delay", type=float, default=0.0, help="of the links, in milliseconds one way")
    build.add_argument(
        "--resumed",
        type=two_numbers,
        nargs="*",
        default=[(2, 1), (3, 2), (4, 3), (1, 2), (2, 4)],
        metavar="HOSTS:HOSTS",
    )
    build.add_argument(
        "--ways",
        type=number_and_way,
        nargs="*",
        default=[(1, "ulp"), *itertools.product((2, 3, 4), ("ddp", "fsdp"))],
        metavar="PROCESSES:WAY",
        help="what `curves` compares with one process",
    )
    build.add_argument("--bits", type=int, nargs="*", default=[32, 64], help="of the numbers in `curves`")
    build.add_argument("--cases", nargs="*", default=[], help="families in `curves`; all by default")
    build.add_argument("--cuts", type=int, default=1, help="links that are cut in the part `cut`")
    build.add_argument("--losses", type=int, default=5, help="hosts killed in the part `lost`")
    build.add_argument("--kills", type=int, default=20, help="SIGKILLs of the part `kill`")
    build.add_argument("-n", type=int, default=300, help="samples of the part `verbs`")
    build.add_argument("--steps", type=int, default=100)
    build.add_argument(
        "--layers", type=int, default=14, help="of the Transformer of width 768 whose memory is measured"
    )
    build.add_argument("--memory-steps", type=int, default=3, help="of its training; 0: it is only built and shared")
    arguments = build.parse_args()
    arguments.data = arguments.data.resolve()
    rows = Table("distributed")
    alone = train_alone(arguments) if {"hosts", "verbs", "resume"} & set(arguments.parts) else Path()
    for hosts in arguments.hosts:
        for rate in arguments.rate if "hosts" in arguments.parts else ():
            rows.add(**hosts_row(arguments, hosts, rate, alone))
        for rate in arguments.rate if "verbs" in arguments.parts else ():
            rows.add(**verbs_row(arguments, hosts, rate, alone))
    for hosts, hosts_after in arguments.resumed if "resume" in arguments.parts else ():
        rows.add(**resume_row(arguments, hosts, hosts_after, arguments.rate[0], alone))
    for _ in range(arguments.cuts) if "cut" in arguments.parts else ():
        rows.add(**cut_row(arguments, arguments.hosts[0]))
    for row in kill_rows(arguments) if "kill" in arguments.parts else ():
        rows.add(**row)
    source = random.Random(2)
    for _ in range(arguments.losses) if "lost" in arguments.parts else ():
        rows.add(**lost_row(arguments, source.randrange(1, arguments.steps - 1)))
    for row in curve_rows(arguments) if "curves" in arguments.parts else ():
        rows.add(**row)
    for row in memory_rows(arguments) if "memory" in arguments.parts else ():
        rows.add(**row)
    rows.show()


if __name__ == "__main__":
    main()
