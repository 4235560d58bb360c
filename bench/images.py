"""Images: Fréchet distance after 300 seconds on one core, and the time of 1,000 samples, beside the peers in one run.

    python bench/images.py --data MNIST-FOLDER [--seeds 3] [--only anew-whole ddpm ...]

8,000 training and 2,000 held-out digits (fixed split). The judge is a small classifier that this benchmark trains,
never on the held-out digits. Distances are between the samples and the held-out digits in the judge's 64 features;
`distance_clean` has pixels under 0.15 set to zero on both sides; the floor is what 2,000 training digits get.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _common import (
    HERE,
    Table,
    anew,
    environment,
    fresh,
    knob_words,
    median,
    parser,
    pinned,
    table,
    train_seconds,
    version_in,
)
from _judge import Judge, accuracy, distances, load_or_train
from _mnist import Digits, Pixels, digits, export, read_png

PEERS = {
    "ddpm": ("denoising-diffusion-pytorch", "_peer_ddpm.py"),
    "diffusers": ("diffusers", "_peer_diffusers.py"),
}
ROWS = ("anew-train", "anew-whole", *PEERS)
# timed inside one process, as the peers' sampling is: no start-up, no image files
TIMED = """
import json, sys, time, anew
model = anew.load(sys.argv[1])
model.sample(10, seed=1)
begun, wall = time.process_time(), time.perf_counter()
model.sample(int(sys.argv[2]), seed=0)
print(json.dumps({"cpu": time.process_time() - begun, "wall": time.perf_counter() - wall}))
"""


def judged(judge: Judge, data: Digits, made: Pixels) -> dict[str, float]:
    plain, clean = distances(judge, made, data.held)
    return {"distance": plain, "distance_clean": clean, "samples": len(made)}


def run_peer(given: argparse.Namespace, name: str, data: Any, core: list[int], seed: int) -> dict[str, Any]:
    package, script = PEERS[name]
    python = environment(package, [package], given.work)
    place = given.work / "images"
    np.save(place / "train.npy", data.train)
    made = place / f"{name}-{seed}.npy"
    command = [python, str(HERE / script), "--images", str(place / "train.npy"), "--out", str(made)]
    command += ["--seconds", str(given.seconds), "--samples", str(given.samples), "--seed", str(seed)]
    command += [] if given.peer_rate is None else ["--rate", str(given.peer_rate)]
    done = pinned(command, core, given.work).check()
    found = done.json()
    version = version_in(python, package)
    files = {path.stem.removeprefix(made.stem): np.load(path) for path in [made, *place.glob(f"{made.stem}_*.npy")]}
    return {"made": files, "version": version, "wall": done.wall, **found}


def run_anew(given: argparse.Namespace, name: str, folder: Any, core: list[int], seed: int) -> dict[str, Any]:
    whole, timed_only = ["--budget", f"{given.seconds:g}s"], ["--set", f"train_seconds={given.seconds:g}"]
    options = whole if name == "anew-whole" else timed_only
    place = fresh(given.work / "images" / f"{name}-{seed}")
    run, out = place / "run", place / "samples"
    words = ["--run", run, "--seed", seed, *options, *knob_words(given.set)]
    trained = anew("train", folder, *words, cores=core, scratch=given.work)
    words = ["--out", out, "-n", given.samples, "--seed", seed]
    sampled = anew("sample", run, *words, cores=core, scratch=given.work)
    made = read_png(out)
    timed = pinned([sys.executable, "-c", TIMED, str(run), "1000"], core, given.work).check().json()
    if len(made) != given.samples:
        raise SystemExit(f"anew sample wrote {len(made)} images where {given.samples} were asked for")
    return {
        "made": {"": made},
        "wall": trained.wall,
        "cpu": trained.cpu,
        "sample_seconds_1000": timed["cpu"],
        "sample_command_seconds": sampled.wall,
        **plan_of(run),
    }


def plan_of(run: Path) -> dict[str, Any]:
    """What the plan chose, and how many steps it came to."""
    plan = json.loads((run / "config.json").read_text())["plan"]
    seconds, steps = train_seconds(run)
    return {"steps": steps, "train_wall": seconds, "batch": plan["batch"], "parameters": plan["parameters"]}


def make_judge(given: argparse.Namespace, data: Digits, rows: Table) -> Judge:
    """Trained on the digits that neither the generators nor the score use, or on the generators' own 8,000."""
    images, labels = (data.rest, data.rest_labels) if given.judge == "rest" else (data.train, data.train_labels)
    judge = load_or_train(given.work / "images" / f"judge-{given.judge}.pt", images, labels)
    right = accuracy(judge, data.held, data.held_labels)
    rows.add(row=f"judge, trained on {len(images):,} digits", accuracy=right)
    rows.add(row="floor: 2,000 training digits", **judged(judge, data, data.train[:2000]))
    return judge


def summary(rows: Table) -> list[dict[str, Any]]:
    """Medians over the seeds, and how many times a peer's distance and sampling time are ours."""
    lines: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["row"] for row in rows.rows if "seed" in row):
        mine = [row for row in rows.rows if row["row"] == name]
        keys = ("distance", "distance_clean", "sample_seconds_1000", "wall", "steps")
        middle = {key: median([row[key] for row in mine if row.get(key) is not None]) for key in keys}
        lines[name] = {"row": name, "seeds": len(mine), **middle}
    for name, line in lines.items():
        for peer in (other for other in lines if other.startswith("ddpm") and not name.startswith(tuple(PEERS))):
            line[f"{peer} / distance"] = lines[peer]["distance"] / line["distance"]
            line[f"{peer} / time"] = lines[peer]["sample_seconds_1000"] / line["sample_seconds_1000"]
    return list(lines.values())


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, required=True, help="folder of MNIST's idx files, gzipped or not")
    build.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0")
    build.add_argument("--only", nargs="*", choices=ROWS, default=list(ROWS), help="which rows")
    build.add_argument("--seconds", type=float, default=300.0, help="training seconds, and the whole command's budget")
    build.add_argument("--samples", type=int, default=2000, help="samples a row: the same number for everyone")
    build.add_argument("--judge", choices=["train", "rest"], default="train", help="8,000 digits, or the other 50,000")
    build.add_argument("--labels", action="store_true", help="give Anew the digits in a folder for each label")
    build.add_argument("--peer-rate", type=float, help="another learning rate for the peers than their own default")
    given = build.parse_args()
    torch.set_num_threads(1)
    (given.work / "images").mkdir(parents=True, exist_ok=True)

    data = digits(given.data)
    folder = export(data, given.work / "images" / ("digits-by-label" if given.labels else "digits"), given.labels)
    rows = Table("images")
    judge = make_judge(given, data, rows)
    core = given.cores[-1:]
    for seed in range(given.seeds):
        for name in given.only:
            source = data if name in PEERS else folder
            found = (run_peer if name in PEERS else run_anew)(given, name, source, core, seed)
            made = found.pop("made")
            for ending, images in made.items():
                rows.add(row=name + ending, seed=seed, **judged(judge, data, images), **found)
    rows.show(["row", "seed", "distance", "distance_clean", "sample_seconds_1000", "wall", "steps", "parameters"])
    print("\nMedians:\n" + table(summary(rows)))


if __name__ == "__main__":
    main()
