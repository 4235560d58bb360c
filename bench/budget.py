"""Budget kept: wall time of the whole command against its budget, alone and beside other busy processes.

    python bench/budget.py DATA [DATA ...] [--budgets 60s 90s] [--busy 0 1 3]

A row for each data set, budget and number of processes that spin on the same cores meanwhile. A run may be over by at most
2 s or 2%, whichever is more, or refuse a budget that reading used up; alone it uses at least 90% of its budget, unless validation
data ended it early, which the command says.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from _common import Table, anew_command, fresh, parser, pinned, setting_words
from _runs import train_seconds

BUDGETS = ["30s", "60s", "150s"]
OVER_S, OVER_SHARE, LEAST = 2.0, 0.02, 0.9
UNITS = {"s": 1, "m": 60, "h": 3600}
REFUSED = 2  # exit code of a budget that is too short for this data
SPIN = "while True: pass"


def seconds_of(budget: str) -> float:
    return float(budget[:-1]) * UNITS[budget[-1]] if budget[-1] in UNITS else float(budget)


@contextmanager
def busy_processes(count: int, cores: Sequence[int]) -> Iterator[None]:
    """So many processes that do nothing but take time, on the cores of the run."""
    pin = partial(os.sched_setaffinity, 0, set(cores))
    processes = [subprocess.Popen([sys.executable, "-c", SPIN], preexec_fn=pin) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> None:
    build = parser(__doc__)
    build.add_argument("data", nargs="+", type=Path, help="data sets, of several kinds")
    build.add_argument("--budgets", nargs="*", default=BUDGETS, help="e.g. 30s 10m")
    build.add_argument("--busy", nargs="*", type=int, default=[0], help="processes that spin beside the run")
    build.add_argument("--seed", type=int, default=0)
    options = build.parse_args()

    rows = Table("budget")
    for budget, data, busy in itertools.product(options.budgets, options.data, options.busy):
        place = fresh(options.work / "budget" / f"{data.stem}-{budget}-{busy}")
        words = ["--run", place / "run", "--budget", budget, "--seed", options.seed, *setting_words(options.set)]
        with busy_processes(busy, options.cores):
            completed = pinned(anew_command("train", data, *words), options.cores, place)
        allowed = seconds_of(budget)
        is_in_time = completed.wall <= allowed + max(OVER_S, OVER_SHARE * allowed)
        if completed.code == REFUSED and "leaves no time" in completed.err:
            rows.add(
                data=data.stem,
                budget_s=allowed,
                busy=busy,
                wall=round(completed.wall, 2),
                refused=True,
                passes=is_in_time,
            )
            continue
        completed.check()
        ended_early = "stopped early" in completed.out + completed.err
        trained, steps = train_seconds(place / "run")
        rows.add(
            data=data.stem,
            budget_s=allowed,
            busy=busy,
            wall=round(completed.wall, 2),
            over_s=round(max(0.0, completed.wall - allowed), 2),
            used=round(completed.wall / allowed, 3),
            training_share=None if trained is None else round(trained / allowed, 3),
            steps=steps,
            ended_early=ended_early,
            passes=is_in_time and (ended_early or busy > 0 or completed.wall >= LEAST * allowed),
        )
    rows.show()
    print(f"\n{sum(row['passes'] for row in rows.rows)} of {len(rows.rows)} runs kept their budget")


if __name__ == "__main__":
    main()
