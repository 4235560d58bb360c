"""Processes: a step of one process on all cores beside a step of one process for each core, at the same global batch.

    python bench/processes.py [--images DIGITS] [--text TEXT] [--records NAMES] [--families vae transformer] [--steps 150] [--repeats 3]

Whole commands in turns, `anew train` and `torchrun ... -m anew train`, until all steps are taken. `one_s` and `many_s`:
medians over the repeats of each run's median time of a step in its last two thirds. `faster`: how many times as fast the many are.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import THREAD_VARIABLES, Table, anew_command, end_group, fresh, parser, setting_words, start
from _runs import read_config, read_steps

FAMILIES = {
    "gan": ("images",),
    "vae": ("images",),
    "diffusion": ("images",),
    "transformer": ("images", "text", "records"),
    "fsq": ("images",),
}
CODECS = ("fsq",)  # families that are trained in RUN/codec, for a Transformer
LEAST_SEEN = 2 / 3  # share of the steps of a codec that are timed at least; chosen
DEFAULTS = ("previews=0", "evaluate_samples=1", "timelapse=false")


def step_times(run: Path) -> list[float]:
    """Seconds from the beginning of training to each step so far."""
    with contextlib.suppress(FileNotFoundError):
        return [seconds for step in read_steps(run) if (seconds := step["seconds"]) is not None]
    return []


def step_seconds(times: Sequence[float]) -> float:
    """Median time of a step in the last two thirds. times: see `step_times`."""
    apart = [after - before for before, after in itertools.pairwise(times[len(times) // 3 :])]
    return statistics.median(apart)


def configuration(run: Path) -> dict[str, Any]:
    return dict(read_config(run).family.config)


def train(
    command: Sequence[str], place: Path, run: Path, arguments: argparse.Namespace, threads: int
) -> tuple[float, dict[str, Any]]:
    """Median time of a step of a command whose processes have so many threads each, and the settings of the run.

    It is stopped behind the last step: the report is not timed.

    Args:
        run: The run, in this place, whose steps are timed.
    """
    times: list[float] = []
    settings: dict[str, Any] = {}
    process = start(command, arguments.cores, place / "command", extra=dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        while process.poll() is None:
            time.sleep(0.5)
            times = step_times(run) or times
            if times and not settings:
                settings = configuration(run)
            # A codec's run is removed soon after its last step, often before that was seen
            is_removed = times and not run.exists()
            if len(times) >= arguments.steps or (is_removed and len(times) >= LEAST_SEEN * arguments.steps):
                return step_seconds(times), settings
    finally:
        process.terminate()  # torchrun ends its processes, which are in sessions of their own
        process.wait(timeout=60)
        end_group(process)
    raise SystemExit(f"no steps: {' '.join(command)}\n{Path(f'{place}/command.err').read_text()[-2000:]}")


def row(arguments: argparse.Namespace, family: str, source: str, data: Path) -> dict[str, Any]:
    """A family on one kind of data, both ways in turns."""
    place = arguments.work / "processes" / f"{family}-{source}"
    chosen = ["--family", "transformer" if family in CODECS else family]
    run = place / "run" / "codec" if family in CODECS else place / "run"
    words = ["train", str(data.resolve()), *chosen, "--steps", str(arguments.steps)]
    words += ["--run", str(place / "run"), *setting_words(arguments.set, DEFAULTS)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--nproc-per-node", str(len(arguments.cores)), "-m", "--", "anew"]
    ways = (("one", anew_command(*words), len(arguments.cores)), ("many", [*torchrun, *words], 1))
    seconds: dict[str, list[float]] = {"one": [], "many": []}
    shapes = []
    for _ in range(arguments.repeats):
        for way, command, threads in ways:
            fresh(place)
            step_s, settings = train(command, place, run, arguments, threads)
            seconds[way].append(step_s)
            shapes.append(settings)
    if any(shape != shapes[0] for shape in shapes):
        raise SystemExit(f"{family}: the runs had different settings: {shapes}")
    one_s, many_s = (statistics.median(seconds[way]) for way in ("one", "many"))
    facts = {"family": family, "data": source, "batch": shapes[0]["batch_size"]}
    return facts | {"one_s": round(one_s, 4), "many_s": round(many_s, 4), "faster": round(one_s / many_s, 2)}


def main() -> None:
    build = parser(__doc__)
    for source in sorted({source for sources in FAMILIES.values() for source in sources}):
        build.add_argument(f"--{source}", type=Path, help="a folder or file")
    build.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    build.add_argument("--steps", type=int, default=150)
    build.add_argument("--repeats", type=int, default=3)
    arguments = build.parse_args()
    table = Table("processes")
    cases = [(family, source) for family in arguments.families for source in FAMILIES[family]]
    for family, source in cases:
        data = getattr(arguments, source)
        if data is not None:
            table.add(**row(arguments, family, source, data))
    table.show()


if __name__ == "__main__":
    main()
