"""What the timelapse of a training costs: processor time and wall time inside it, as shares of those of the training.

python bench/timelapse.py names=names.txt:transformer digits=mnist:gan [--seconds 60]

Each operand is NAME=DATA:FAMILY. Processor time is that of the whole process, so that other programs change it little.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from _common import Table, fresh, parser

ALLOWED = 0.02  # share of the training


class Meter:
    """Adds up what calls of the timelapse take, beside the training from the timelapse's first sight of it."""

    def __init__(self) -> None:
        self.cpu = self.wall = self.cpu_end = self.wall_end = 0.0
        self.cpu_begun, self.wall_begun = time.process_time(), time.monotonic()
        self.steps = 0

    def around(self, call: Any) -> Any:
        def measured(timelapse: Any, result: Any) -> Any:
            cpu, wall = time.process_time(), time.monotonic()
            if not self.steps:
                self.cpu_begun, self.wall_begun = cpu, wall
            self.steps += 1
            answer = call(timelapse, result)
            self.cpu_end, self.wall_end = time.process_time(), time.monotonic()
            self.cpu += self.cpu_end - cpu
            self.wall += self.wall_end - wall
            return answer

        return measured


def measure(name: str, data: Path, family: str, place: Path, options: argparse.Namespace) -> dict[str, Any]:
    import anew
    from anew.runs import timelapse as frames_of_run
    from anew.workflows import timelapse

    meter, ordinary = Meter(), timelapse.Timelapse.__call__
    timelapse.Timelapse.__call__ = meter.around(ordinary)  # type: ignore[method-assign]
    run = fresh(place / name)
    try:
        settings = {"train_seconds": options.seconds, "evaluate_samples": 1}
        settings |= dict(text.split("=", 1) for text in options.set)
        anew.train(data, run / "run", budget=2 * options.seconds + 30, family=family, settings=settings)
    finally:
        timelapse.Timelapse.__call__ = ordinary  # type: ignore[method-assign]
    frames = [path.stat().st_size for path in (run / "run" / frames_of_run.FOLDER).glob("frame-*")]
    row = {
        "what": name,
        "family": family,
        "steps": meter.steps,
        "trained_s": meter.wall_end - meter.wall_begun,
        "frames": len(frames),
        "largest_kb": max(frames, default=0) / 1000,
        "cpu_share": meter.cpu / max(1e-9, meter.cpu_end - meter.cpu_begun),
        "wall_share": meter.wall / max(1e-9, meter.wall_end - meter.wall_begun),
        "allowed": ALLOWED,
    }
    shutil.rmtree(run)
    return row


def main() -> None:
    build = parser(__doc__)
    build.add_argument("trainings", nargs="+", metavar="NAME=DATA:FAMILY")
    build.add_argument("--seconds", type=float, default=60.0, help="of each training")
    options = build.parse_args()
    os.sched_setaffinity(0, options.cores)
    rows = Table("timelapse")
    for training in options.trainings:
        name, _, rest = training.partition("=")
        data, _, family = rest.rpartition(":")
        if not data:
            sys.exit(f"{training!r} is not NAME=DATA:FAMILY")
        rows.add(**measure(name, Path(data), family, options.work / "timelapse", options))
    rows.show()


if __name__ == "__main__":
    main()
