"""Scale: training on 10 GB of text and on 200,000 small image files, which the benchmark makes.

    python bench/scale.py --words BOOK-OR-DIR [--gigabytes 10] [--images 200000] [--budget 60s]

Peak memory of the process tree, time from the start of the command to the first finished step, and the step rate
beside the rate of the same sizes on a small part of the same data, which lies in memory. `anew look` on 10,000 images.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

from _bulk import pictures, text
from _common import Finished, Table, anew, fresh, parser, setting_words
from _runs import read_config, read_steps, seconds_between
from anew.runs.record import RunRecord

PARTS = ("text", "images", "look")
MEMORY, FIRST, RATE, LOOK = 2e9, 15.0, 0.95, 5.0


def words_of(path: Path | None) -> str:
    if path is None:
        raise SystemExit("give a book, or a folder of .txt, with --words")
    files = [path] if path.is_file() else sorted(path.rglob("*.txt"))
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


def pace(run: Path, begun: float) -> tuple[float, float, int]:
    """Seconds from the command's start to its first finished step, median seconds a step of the later half, steps."""
    steps = read_steps(run)
    if len(steps) < 20:
        raise SystemExit(f"only {len(steps)} steps in {run}; give a longer --budget")
    later = steps[len(steps) // 2 :]
    gaps = itertools.starmap(seconds_between, itertools.pairwise(later))
    return steps[0]["time"] - begun, statistics.median(gaps), len(steps)


def small_part(folder: Path, place: Path, files: int) -> Path:
    """Copies files of a large folder, spread over it, into a folder of their own, with the folders that they lie in."""
    every = sorted(path for path in folder.rglob("*") if path.is_file())
    step = max(1, len(every) // files)
    target = fresh(place / "part")
    for path in every[::step][:files]:
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target


def sizes_of(config: RunRecord) -> list[str]:
    """Settings by which a run on less data takes the sizes of this one."""
    tokens, family = config.data.learned.get("tokens"), config.family.config
    vocab = [f"vocab={tokens['size']}"] if isinstance(tokens, dict) and tokens["kind"] == "bpe" else []
    clusters = [f"{name}={family[name]}" for name in ("num_components", "num_clusters") if name in family]
    return [f"model_size={config.plan.model_size}", *vocab, *clusters]


def train(options: argparse.Namespace, data: Path, run: Path, settings: list[str]) -> Finished:
    words = ["--run", run, "--budget", options.budget, "--seed", "0", *setting_words([*options.set, *settings])]
    return anew("train", data, *words, cores=options.cores, scratch=options.work)


def measured(options: argparse.Namespace, rows: Table, modality: str, data: Path, small: Path, title: str) -> None:
    """One row for the large data, one for the small part at the sizes that the large one's plan chose."""
    place = fresh(options.work / "scale" / f"runs-{modality}")
    completed = train(options, data, place / "large", [])
    first, step, steps = pace(place / "large", completed.begun)
    config = read_config(place / "large")
    same = train(options, small, place / "small", [*sizes_of(config), *options.small_set])
    small_first, small_step, small_steps = pace(place / "small", same.begun)
    plan, small_plan = config.plan, read_config(place / "small").plan
    sizes = {"batch": (plan.batch, small_plan.batch), "parameters": (plan.parameters, small_plan.parameters)}
    differing = {name: pair for name, pair in sizes.items() if pair[0] != pair[1]}
    rate: dict[str, Any] = {"rate": 1 / step, "in_memory_rate": 1 / small_step, "kept": small_step / step}
    rows.add(
        what=title,
        budget=options.budget,
        wall=completed.wall,
        first_step_s=first,
        held_gb=completed.peak / 1e9,
        peak_gb=completed.high / 1e9,
        steps=steps,
        **rate,
        differs=json.dumps(differing) if differing else None,
        passes=completed.high < MEMORY and first <= FIRST and rate["kept"] >= RATE,
    )
    rows.add(
        what=f"  a small part of it, {small_steps} steps",
        wall=same.wall,
        first_step_s=small_first,
        held_gb=same.peak / 1e9,
        peak_gb=same.high / 1e9,
        rate=1 / small_step,
    )


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--words", type=Path, help="a book or a folder of .txt whose words the large text is made of")
    build.add_argument("--gigabytes", type=float, default=10.0)
    build.add_argument("--images", type=int, default=200_000, help="how many image files")
    build.add_argument("--budget", default="60s")
    build.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    build.add_argument(
        "--small-set", action="append", default=[], metavar="K=V", help="a setting for the small part alone"
    )
    build.add_argument("--keep", action="store_true", help="keep the large data for the next time")
    options = build.parse_args()

    rows, place = Table("scale"), options.work / "scale"
    if "text" in options.only:
        data = text(place / f"text-{options.gigabytes:g}", words_of(options.words), options.gigabytes)
        small = small_part(data, place / "small-text", 3)
        measured(options, rows, "text", data, small, f"{options.gigabytes:g} GB of text")
        if not options.keep:
            shutil.rmtree(data.parent)
    if "images" in options.only:
        data = pictures(place / f"images-{options.images}", options.images)
        small = small_part(data, place / "small-images", 4000)
        measured(options, rows, "images", data, small, f"{options.images:,} image files")
        if not options.keep:
            shutil.rmtree(data.parent)
    if "look" in options.only:
        data = pictures(place / "images-10000", 10_000)
        for state in ("first", "again"):
            completed = anew("look", data, "--json", cores=options.cores, scratch=options.work)
            row = {
                "what": f"anew look, 10,000 images, {state}",
                "wall": completed.wall,
                "peak_gb": completed.high / 1e9,
            }
            rows.add(**row, passes=completed.wall < LOOK)
    rows.show()


if __name__ == "__main__":
    main()
