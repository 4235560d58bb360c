"""Reading: how long `anew look` takes, and encoding a whole data set beside one epoch of training on it.

    python bench/reading.py --data fsdd=DIR sprites=DIR ... [--look 10000]

Encoding is the CPU time from a divided data set to the end of a first pass over its train part, with nothing cached, less
that of a second pass. The epoch is that of the network of `--model-size` (1: what five minutes on one core buy, or less): the
median step times the steps of an epoch, on a core that nothing else uses. `look`, which finds twins and divides the data, is timed on a
folder that holds at least `--look` files (links to those given).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
from pathlib import Path

from _common import HERE, Table, anew, fresh, parser, pinned, setting_words
from _runs import read_steps, seconds_between

LOOK_SECONDS, TIMES = 20.0, 5.0


def multiplied(source: Path, target: Path, min_count: int) -> int:
    """Links to every file of a folder under new names, until there are `min_count`. How many there are."""
    files = sorted(path for path in source.rglob("*") if path.is_file())
    rounds = max(1, -(-min_count // max(len(files), 1)))
    for number, path in itertools.product(range(rounds), files):
        place = target / path.relative_to(source).parent
        place.mkdir(parents=True, exist_ok=True)
        os.symlink(path, place / f"{path.stem}-{number}{path.suffix}")
    return rounds * len(files)


def epoch(options: argparse.Namespace, data: Path, run: Path, examples: int) -> float:
    """Seconds of one pass of training over so many examples."""
    settings = setting_words(options.set, ["evaluate_samples=8", f"model_size={options.model_size}"])
    anew("train", data, "--run", run, "--steps", options.steps, *settings, cores=options.cores, scratch=options.work)
    steps = read_steps(run)
    gaps = list(itertools.starmap(seconds_between, itertools.pairwise(steps)))
    batch = steps[1]["examples"] - steps[0]["examples"]
    return statistics.median(gaps) * examples / batch


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--data", nargs="+", required=True, metavar="NAME=PATH", help="data sets by name")
    build.add_argument("--look", type=int, default=0, help="files that `look` is timed on; 0: those that there are")
    build.add_argument("--model-size", type=int, default=1, help="size of the network whose epoch is compared")
    build.add_argument("--steps", type=int, default=30, help="steps that the pace of training is taken from")
    options = build.parse_args()
    place, rows = fresh(options.work / "reading"), Table("reading")
    for name, path in (word.split("=", 1) for word in options.data):
        data = Path(path).resolve()
        looked, files = data, None
        if data.is_dir() and options.look:
            looked = fresh(place / name / "look")
            files = multiplied(data, looked, options.look)
        look = anew("look", looked, "--json", cores=options.cores, scratch=options.work)
        command = [sys.executable, HERE / "_reading.py", data, fresh(place / name / "cache")]
        result = json.loads(pinned(list(map(str, command)), options.cores, options.work).check().out.splitlines()[-1])
        seconds = epoch(options, data, place / name / "run", result["examples"])
        facts = {"kind": result["kind"], "looked_at": files, "look_s": look.wall, "look_cpu_s": look.cpu}
        rows.add(
            what=name,
            **facts,
            examples=result["examples"],
            model_size=options.model_size,
            encoding_s=result["encoding_s"],
            epoch_s=seconds,
            times=seconds / result["encoding_s"],
            passes=seconds / result["encoding_s"] >= TIMES and look.wall <= LOOK_SECONDS,
        )
    rows.show()


if __name__ == "__main__":
    main()
