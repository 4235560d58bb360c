"""`python -m fuzz`: damaged files, altered runs and odd command lines until the time is over; a table at the end."""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fuzz import commands, containers, corpus, runs
from fuzz.children import Outcome
from fuzz.formats import CONTAINERS, FORMATS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results" / "fuzz.jsonl"
SHARES = {"containers": 6, "runs": 3, "commands": 1}  # turns of each in a round


@dataclass(slots=True)
class Row:
    """What was tried of one kind. tried: files, runs or command lines; seconds and peak: of the children."""

    tried: int = 0
    batches: int = 0
    failed: int = 0
    seconds: float = 0.0
    peak: int = 0
    signatures: dict[str, str] = field(default_factory=dict)

    def add(self, outcome: Outcome, failures: Sequence[Outcome], tried: int, about: str, seconds: float) -> None:
        self.tried += tried
        self.batches += 1
        self.failed += bool(failures)
        self.seconds += seconds
        self.peak = max(self.peak, outcome.peak, *(failure.peak for failure in failures), 0)
        for failure in failures:
            if failure.signature not in self.signatures:
                self.signatures[failure.signature] = f"{about}: {failure.detail}"


Step = tuple[str, Callable[[], tuple[Outcome, list[Outcome], int, str]]]


def _container(name: str, seed: int, keep: bool, size: int) -> tuple[Outcome, list[Outcome], int, str]:
    return *containers.batch(name, seed, keep, size=size), f"seed {seed}"


def _altered(kind: str, seed: int) -> tuple[Outcome, list[Outcome], int, str]:
    outcome, failures, about = runs.case(kind, seed)
    return outcome, failures, 1, f"seed {seed} ({about})"


def _lines(seed: int) -> tuple[Outcome, list[Outcome], int, str]:
    return *commands.group(seed), f"seed {seed}"


def campaign(only: Sequence[str], seed: int, keep: bool, min_count: int) -> Iterator[Step]:
    """Turns of many files, until every kind of container has had so many: its formats in equal shares."""
    sources = {
        container: [name for name in formats if not only or {name, container, "containers"} & set(only)]
        for container, formats in CONTAINERS.items()
    }
    for turn in itertools.count():
        due = [
            (n, names) for names in sources.values() for n in names if turn * len(names) * containers.MANY < min_count
        ]
        if not due:
            return
        for name, _ in due:
            yield name, functools.partial(_container, name, seed + turn, keep, containers.MANY)


def steps(only: Sequence[str], seed: int, keep: bool = True) -> Iterator[Step]:
    """Turns without end: containers, runs and command lines in their shares, each kind with seeds that count up."""
    named = {name for container in only for name in CONTAINERS.get(container, ())} | set(only)
    formats = [name for name in FORMATS if not only or name in named or "containers" in only]
    kinds = [name for name in runs.KINDS if not only or f"run {name}" in only or "runs" in only]
    lines = ["commands"] if not only or "commands" in only else []
    files = (
        (name, functools.partial(_container, name, s, keep, containers.FEW))
        for s in itertools.count(seed)
        for name in formats
    )
    altered = ((f"run {kind}", lambda k=kind, s=s: _altered(k, s)) for s in itertools.count(seed) for kind in kinds)
    typed = (("commands", lambda s=s: _lines(s)) for s in itertools.count(seed))
    sources = [
        (files, SHARES["containers"], formats),
        (altered, SHARES["runs"], kinds),
        (typed, SHARES["commands"], lines),
    ]
    chosen = [(turns, share) for turns, share, names in sources if names]
    if not chosen:
        raise SystemExit(
            f"nothing is called {', '.join(only)}; give containers, {', '.join(CONTAINERS)}, a format, runs, 'run KIND' or commands"
        )
    while True:
        for turns, share in chosen:
            yield from itertools.islice(turns, share)


def fuzz(turns: Iterator[Step], seconds: float, count: int | None = None) -> dict[str, Row]:
    """Take turns until the time, or their number, is over; what fails is told at once."""
    rows: dict[str, Row] = {}
    with contextlib.suppress(KeyboardInterrupt):  # what was found by then is shown
        _take(turns, seconds, count, rows)
    return rows


def _take(turns: Iterator[Step], seconds: float, count: int | None, rows: dict[str, Row]) -> None:
    end = time.monotonic() + seconds
    for name, step in itertools.islice(turns, count):
        if time.monotonic() >= end:
            break
        began = time.monotonic()
        outcome, failures, tried, about = step()
        signatures = set(rows.setdefault(name, Row()).signatures)
        rows[name].add(outcome, failures, tried, about, time.monotonic() - began)
        for signature in rows[name].signatures.keys() - signatures:
            print(f"{name}: {signature} | {rows[name].signatures[signature]}"[:600].replace("\n", " "), flush=True)


def table(rows: dict[str, Row]) -> str:
    """The figures of every kind, aligned."""
    sums = {name: [rows[form] for form in formats if form in rows] for name, formats in CONTAINERS.items()}
    lines = [("kind", "tried", "batches", "failed", "a second", "peak MB")]
    lines += [_cells(name, [row]) for name, row in rows.items()]
    lines += [_cells(f"= {name}", group) for name, group in sums.items() if group]
    lines.append(_cells("all", list(rows.values())))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([name.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]) for name, *cells in lines)


def _cells(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    tried, batches, failed = (sum(getattr(row, field) for row in rows) for field in ("tried", "batches", "failed"))
    rate = tried / max(sum(row.seconds for row in rows), 1e-9)
    peak = max((row.peak for row in rows), default=0) >> 20
    return name, str(tried), str(batches), str(failed), f"{rate:.1f}", str(peak)


def record(rows: dict[str, Row], seed: int, seconds: float) -> None:
    """Append the figures to bench/results/fuzz.jsonl."""
    figures = {name: {"tried": r.tried, "batches": r.batches, "failed": r.failed, "seconds": round(r.seconds, 1), "peak_mb": r.peak >> 20,
                      "signatures": sorted(r.signatures)} for name, r in rows.items()}  # fmt: skip
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with open(RESULTS, "a") as file:
        file.write(
            json.dumps({"day": time.strftime("%Y-%m-%d"), "seed": seed, "seconds": seconds, "kinds": figures}) + "\n"
        )


def main() -> int:
    """Exit code 1 where anything failed."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long at most (default: 600)")
    parser.add_argument("--count", type=int, help="how many turns at most")
    parser.add_argument("--seed", type=int, default=0, help="where the seeds begin")
    parser.add_argument(
        "--only", nargs="+", default=[], help="containers, one of them, a format, runs, 'run KIND', commands"
    )
    parser.add_argument("--files", type=int, help="damaged files of every kind of container, and nothing else")
    parser.add_argument("--record", action="store_true", help="append the figures to bench/results/fuzz.jsonl")
    parser.add_argument("--no-keep", action="store_true", help="keep no failing files in the corpus")
    parser.add_argument("--replay", action="store_true", help="try the files of the corpus again instead; JSON")
    options = parser.parse_args()
    containers.preload()
    if options.replay:
        faults = containers.replay(corpus.lines())
        print(json.dumps(faults, indent=1))
        return 1 if any(faults.values()) else 0
    keep = not options.no_keep
    turns = (
        campaign(options.only, options.seed, keep, options.files)
        if options.files
        else steps(options.only, options.seed, keep)
    )
    rows = fuzz(turns, options.seconds, options.count)
    print(table(rows))
    if options.record:
        record(rows, options.seed, options.seconds)
    return 1 if any(row.failed for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
