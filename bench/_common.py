"""What all benchmark commands share: pinned subprocesses, facts about the machine, records, tables, environments."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
sys.path.insert(0, str(ROOT / "src"))  # the judges of images are measured with the package's own metrics
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Finished:
    """A command that has ended: its text, wall seconds, CPU seconds with its children, and its memory.

    peak: most bytes that the process tree held, without mapped files; high: VmHWM of the process, with them.
    begun: time.time() at the start.
    """

    command: list[str]
    code: int
    out: str
    err: str
    wall: float
    cpu: float
    peak: int
    high: int
    begun: float

    def check(self) -> Finished:
        if self.code:
            tail = "\n".join((self.err or self.out).splitlines()[-15:])
            raise SystemExit(f"exit code {self.code} from: {' '.join(self.command)}\n{tail}")
        return self

    def json(self) -> Any:
        """The last line of the output that is a JSON object, or the whole output as one."""
        with suppress(json.JSONDecodeError):
            return json.loads(self.out)
        for line in reversed(self.out.splitlines()):
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"no JSON in the output of: {' '.join(self.command)}\n{self.out[-2000:]}")


def tree_memory(pid: int) -> int:
    """Bytes of a process and all its descendants now (Linux), 0 where it has ended.

    What forked processes have in common counts once. Memory that file mappings share with the page cache is not
    counted: the system takes it back at will.
    """
    total, waiting = 0, [pid]
    while waiting:
        current = waiting.pop()
        with suppress(OSError, ValueError):
            lines = Path(f"/proc/{current}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon", "Pss_Shmem"))) * 1024
            for thread in os.listdir(f"/proc/{current}/task"):
                children = Path(f"/proc/{current}/task/{thread}/children").read_text().split()
                waiting.extend(int(child) for child in children)
    return total


def peak_of(pid: int) -> int:
    """VmHWM of one process in bytes: its peak, file mappings included."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return 0


def environ(cores: Sequence[int], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a pinned command: threads follow the cores, `anew` is found in this checkout."""
    env = dict(os.environ)
    env.update({name: str(len(cores)) for name in THREAD_VARIABLES})
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    env["PYTHONUNBUFFERED"] = "1"
    env.update(extra or {})
    return env


def start(command: Sequence[str], cores: Sequence[int], out: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Starts a command on the given cores in a process group of its own, output to `out`.out and `out`.err."""
    chosen = set(cores)
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{out}.out", "wb") as stdout, open(f"{out}.err", "wb") as stderr:
        return subprocess.Popen(
            list(command),
            stdout=stdout,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
            env=environ(cores, options.pop("extra", None)),
            preexec_fn=lambda: os.sched_setaffinity(0, chosen),
            start_new_session=True,
            **options,
        )


def end_group(process: subprocess.Popen[bytes], sig: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, sig)


def _watch(process: subprocess.Popen[bytes], deadline: float | None, peak: list[int], ended: threading.Event) -> None:
    while not ended.wait(0.25):  # the kernel walks through all pages each time
        peak[0] = max(peak[0], tree_memory(process.pid))
        peak[1] = max(peak[1], peak_of(process.pid))
        if deadline is not None and time.monotonic() > deadline:
            end_group(process)
            return


def pinned(
    command: Sequence[str], cores: Sequence[int], scratch: Path, *, limit: float | None = None, **options: Any
) -> Finished:
    """Runs a command on the given cores and waits for it; past `limit` seconds its process group is killed."""
    name = scratch / f"command-{time.time_ns()}"
    begun, clock = time.monotonic(), time.time()
    process = start(command, cores, name, **options)
    peak, ended = [0, 0], threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(process, None if limit is None else begun + limit, peak, ended), daemon=True
    )
    watcher.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except KeyboardInterrupt:
        end_group(process)
        raise
    wall = time.monotonic() - begun
    ended.set()
    watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    out, err = (Path(f"{name}.{stream}").read_text(errors="replace") for stream in ("out", "err"))
    for stream in ("out", "err"):
        Path(f"{name}.{stream}").unlink()
    cpu = usage.ru_utime + usage.ru_stime
    return Finished(list(command), process.returncode, out, err, wall, cpu, peak[0], peak[1], clock)


def anew_command(*arguments: object, python: str = sys.executable) -> list[str]:
    return [python, "-m", "anew", *map(str, arguments)]


def anew(*arguments: object, cores: Sequence[int], scratch: Path, limit: float | None = None) -> Finished:
    """Runs one Anew command; stops the benchmark where it fails."""
    return pinned(anew_command(*arguments), cores, scratch, limit=limit).check()


def environment(name: str, packages: Sequence[str], work: Path) -> str:
    """The interpreter of a virtual environment with these packages, made at first use.

    It sees this interpreter's packages too, so that Anew and its peer run on the very same torch.
    """
    folder = work / "environments" / name
    python = folder / "bin" / "python"
    marker = folder / "packages.json"
    if marker.exists() and json.loads(marker.read_text()) == list(packages):
        return str(python)
    print(f"making an environment for {name} ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    ours = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    theirs = next((folder / "lib").glob("python*/site-packages"))
    (theirs / "shared.pth").write_text("\n".join(ours) + "\n")
    torch = f"torch=={metadata.version('torch').split('+')[0]}"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", torch, *packages], check=True)
    marker.write_text(json.dumps(list(packages)))
    return str(python)


def version_in(python: str, package: str) -> str:
    code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    return subprocess.run([python, "-c", code, package], check=True, capture_output=True, text=True).stdout.strip()


def processor() -> str:
    """Model name of the CPU, with the vector units that decide what precision is fast."""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        model = next((s.split(":", 1)[1].strip() for s in text.splitlines() if s.startswith("model name")), "")
        flags = next((s.split(":", 1)[1].split() for s in text.splitlines() if s.startswith("flags")), [])
        units = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
        return f"{model} ({', '.join(units)})"
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "load": round(os.getloadavg()[0], 2),
    }


def commit() -> str:
    """The commit of the checkout, with `+` where files of the package or the benchmarks have changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "bench", ":!bench/results")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def record(name: str, row: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> None:
    """Appends one row to results/<name>.jsonl with the time, the commit and the machine."""
    RESULTS.mkdir(exist_ok=True)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"time": stamp, "commit": commit(), **row, "machine": facts or machine()}
    with open(RESULTS / f"{name}.jsonl", "a", encoding="utf-8") as out:
        out.write(json.dumps(line, default=str) + "\n")


def shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as aligned Markdown; the columns are all keys in their first order unless given."""
    names = list(columns or dict.fromkeys(key for row in rows for key in row))
    cells = [names, *([shown(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


class Table:
    """Collects the rows of one benchmark: each is recorded as it comes (if `is_recorded`), all are printed at the end."""

    def __init__(self, name: str, is_recorded: bool = True) -> None:
        self.name, self.is_recorded = name, is_recorded
        self.rows: list[dict[str, Any]] = []
        self.facts = machine()

    def add(self, **row: Any) -> dict[str, Any]:
        self.rows.append(row)
        if self.is_recorded:
            record(self.name, row, self.facts)
        print("  " + "  ".join(f"{key}: {shown(value)}" for key, value in row.items() if value is not None), flush=True)
        return row

    def show(self, columns: Sequence[str] | None = None) -> None:
        print("\n" + ", ".join(f"{key} {value}" for key, value in self.facts.items()) + f", commit {commit()}")
        print(table(self.rows, columns))


def setting_words(settings: Sequence[str], defaults: Sequence[str] = ()) -> list[str]:
    """`--set` before each setting, and before the defaults whose names are not among them."""
    names = {setting.partition("=")[0] for setting in settings}
    other_defaults = [default for default in defaults if default.partition("=")[0] not in names]
    return [word for setting in (*other_defaults, *settings) for word in ("--set", setting)]


def core_list(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    allowed = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
    build = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    build.add_argument("--work", type=Path, default=ROOT / "build" / "bench", help="folder for what is made on the way")
    build.add_argument("--cores", type=core_list, default=core_list(allowed), help="cores to use, e.g. 0,1")
    build.add_argument("--set", action="append", default=[], metavar="K=V", help="a setting for every `anew train`")
    return build


def fresh(folder: Path) -> Path:
    """An empty folder of that name; what was in it is removed first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
