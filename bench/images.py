"""Images: judge distance (README.md) after 300 seconds on one core, and the time of 1,000 samples, beside the peers in one run.

    python bench/images.py --data MNIST-FOLDER [--seeds 3] [--only vae-whole pythae ...]
    python bench/images.py --colour FOLDER [--side 32]

Digits: 8,000 training and 2,000 held-out ones (fixed split). The judge is a small classifier that this benchmark
trains, never on the held-out digits. Distances are between the samples and the held-out digits in the judge's 64
features; `distance_clean` has pixels under 0.15 set to zero on both sides; the floor is what training digits get.
Colour: any folder of images, brought to one size, a fixed 80/20 split; the judge is Anew's fixed embedding.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from _colour import Colour
from _common import HERE, Table, anew, environment, fresh, median, parser, pinned, setting_words, table, version_in
from _figures import Subject
from _judge import DigitSubject, accuracy, load_or_train
from _mnist import digits, export, read_png, write_sheet
from _runs import read_config, train_seconds

OURS_OF_A_PAPER = ""  # instead of a package: no package has it, so the script is written from the paper
PEERS = {
    "pythae": ("pythae", "_peer_pythae.py", ("--loss", "bce")),
    "pythae-mse": ("pythae", "_peer_pythae.py", ("--loss", "mse")),
    "torchgan": ("torchgan", "_peer_torchgan.py", ()),
    "torchgan-minimax": ("torchgan", "_peer_torchgan.py", ("--loss", "minimax")),
    "ddpm": ("denoising-diffusion-pytorch", "_peer_ddpm.py", ()),
    "diffusers": ("diffusers", "_peer_diffusers.py", ()),
    "r3gan": (OURS_OF_A_PAPER, "_peer_r3gan.py", ()),
    "edm2": (OURS_OF_A_PAPER, "_peer_edm2.py", ()),
}
# what `anew train` is asked for, and the peers of the same kind
FAMILIES = {
    "anew": ((), ("ddpm", "diffusers", "edm2")),
    "vae": (("--family", "vae"), ("pythae",)),
    "gan": (("--family", "gan"), ("torchgan", "r3gan")),
    "diffusion": (("--family", "diffusion", "--set", "space=pixel"), ("ddpm", "diffusers", "edm2")),
    "diffusion-latent": (("--family", "diffusion", "--set", "space=latent"), ("ddpm", "diffusers", "edm2")),
    "transformer": (("--family", "transformer"), ("ddpm", "diffusers", "edm2")),
}
FORMS = ("train", "whole")
OURS = tuple(f"{family}-{form}" for family in FAMILIES for form in FORMS)
ROWS = (*OURS, *PEERS)
WEAKER = ("pythae-mse", "torchgan-minimax")  # another loss that the package offers: only where --only asks for it
FIGURES = ("distance", "distance_clean", "precision", "recall", "coverage", "variety", "spread")
# timed inside one process, as the peers' sampling is: no start-up, no image files
TIMED = """
import json, sys, time, anew
model = anew.load(sys.argv[1])
model.sample(10, seed=1)
begun, wall = time.process_time(), time.perf_counter()
model.sample(int(sys.argv[2]), seed=0)
print(json.dumps({"cpu": time.process_time() - begun, "wall": time.perf_counter() - wall}))
"""


class Setting(NamedTuple):
    """What every row of one command shares."""

    options: argparse.Namespace
    subject: Subject
    place: Path
    core: list[int]

    @property
    def mode(self) -> str:
        return "L" if self.subject.train.ndim == 3 else "RGB"


def run_peer(setting: Setting, name: str, seed: int) -> list[dict[str, Any]]:
    """A row for each file of samples that the peer writes: `ddpm` has two averages, `pythae` two samplers."""
    options, place = setting.options, setting.place
    package, script, own = PEERS[name]
    python = environment(package, [package], options.work) if package else sys.executable
    np.save(place / "train.npy", setting.subject.train)
    stem = f"{name}-{seed}"
    for old in (*place.glob(f"{stem}.npy"), *place.glob(f"{stem}_*.npy")):
        old.unlink()
    command = [python, str(HERE / script), "--images", str(place / "train.npy"), "--out", str(place / f"{stem}.npy")]
    command += ["--seconds", str(options.seconds), "--samples", str(options.samples), "--seed", str(seed), *own]
    command += [] if options.peer_rate is None else ["--rate", str(options.peer_rate)]
    completed = pinned(command, setting.core, options.work).check()
    output = completed.json()
    endings = output.pop("endings", {})
    version = version_in(python, package) if package else ""
    rows = []
    for path in sorted((*place.glob(f"{stem}.npy"), *place.glob(f"{stem}_*.npy"))):
        ending, generated = path.stem.removeprefix(stem), np.load(path)
        figures = setting.subject.judged(generated)
        write_sheet(path.with_suffix(".png"), generated)
        facts = {**output, **endings.get(ending, {})}
        rows.append({"row": name + ending, **figures, "version": version, "wall": completed.wall, **facts})
    return rows


def run_anew(setting: Setting, name: str, seed: int) -> list[dict[str, Any]]:
    options, core = setting.options, setting.core
    family, form = name.rsplit("-", 1)
    seconds = f"{options.seconds:g}"
    time_words = ["--budget", f"{seconds}s"] if form == "whole" else ["--set", f"train_seconds={seconds}"]
    place = fresh(setting.place / f"{name}-{seed}")
    run, out = place / "run", place / "samples"
    words = ["--run", run, "--seed", seed, *FAMILIES[family][0], *time_words, *setting_words(options.set)]
    trained = anew("train", setting.subject.folder, *words, cores=core, scratch=options.work)
    words = ["--out", out, "-n", options.samples, "--seed", seed]
    sampled = anew("sample", run, *words, cores=core, scratch=options.work)
    generated = read_png(out, setting.mode)
    write_sheet(place.with_suffix(".png"), generated)
    timed = pinned([sys.executable, "-c", TIMED, str(run), "1000"], core, options.work).check().json()
    if len(generated) != options.samples:
        raise SystemExit(f"anew sample wrote {len(generated)} images where {options.samples} were asked for")
    row = {
        "row": name,
        **setting.subject.judged(generated),
        "wall": trained.wall,
        "cpu": trained.cpu,
        "sample_seconds_1000": timed["cpu"],
        "sample_command_seconds": sampled.wall,
        **plan_of(run),
    }
    return [row]


def plan_of(run: Path) -> dict[str, Any]:
    """What the plan chose, and how many steps it came to. With a codec: the steps and time of the family on its latents,
    the parameters of both."""
    config = read_config(run)
    plan, codec = config.plan, config.codec
    seconds, steps = train_seconds(run)
    return {
        "family": config.family.name,
        "codec": codec.family.name if codec else None,
        "settings": dict(config.request.settings),
        "steps": steps,
        "train_wall": seconds,
        "batch": plan.batch,
        "parameters": plan.parameters + (codec.plan.parameters if codec else 0),
    }


def digit_subject(options: argparse.Namespace, rows: Table) -> Subject:
    """The judge learns on the digits that neither the generators nor the score use, or on the generators' own 8,000."""
    data, place = digits(options.data), options.work / "images"
    folder = export(data, place / ("digits-by-label" if options.labels else "digits"), options.labels)
    images, labels = (data.rest, data.rest_labels) if options.judge == "rest" else (data.train, data.train_labels)
    judge = load_or_train(place / f"judge-{options.judge}.pt", images, labels)
    right = accuracy(judge, data.held_out, data.held_labels)
    rows.add(row=f"judge, trained on {len(images):,} digits", data="mnist", accuracy=right)
    return DigitSubject(data, judge, folder)


def prepare(options: argparse.Namespace, rows: Table) -> Setting:
    place = options.work / "images"
    place.mkdir(parents=True, exist_ok=True)
    subject: Subject
    if options.colour is None:
        subject = digit_subject(options, rows)
    else:
        subject = Colour(options.colour, place, options.side)
        place = place / options.name
        place.mkdir(exist_ok=True)
    split = f"{len(subject.train):,} / {len(subject.held_out):,}"
    rows.add(
        row="floor: training images", data=options.name, split=split, **subject.judged(subject.train[: options.samples])
    )
    return Setting(options, subject, place, options.cores[-1:])


def summary(rows: Table) -> list[dict[str, Any]]:
    """Medians over the seeds, and how many times the best peer's distance and time of its kind are ours."""
    lines: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["row"] for row in rows.rows if "seed" in row):
        mine = [row for row in rows.rows if row["row"] == name]
        keys = (*FIGURES, "sample_seconds_1000", "wall", "steps")
        middle = {key: median([row[key] for row in mine if row.get(key) is not None]) for key in keys}
        lines[name] = {"row": name, "seeds": len(mine), **middle}
    for name in (name for name in lines if name in OURS):
        line, family_title = lines[name], FAMILIES[name.rsplit("-", 1)[0]][1]
        peers = [other for other in lines.values() if other["row"].startswith(family_title)]
        if peers:
            best = min(peers, key=lambda other: other["distance"])
            line["best peer"] = best["row"]
            line["peer / distance"] = best["distance"] / line["distance"]
            line["peer / time"] = best["sample_seconds_1000"] / line["sample_seconds_1000"]
            line["coverage - peer"] = line["coverage"] - max(other["coverage"] for other in peers)
    return list(lines.values())


def arguments() -> argparse.Namespace:
    build = parser(__doc__)
    source = build.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="folder of MNIST's idx files, gzipped or not")
    source.add_argument("--colour", type=Path, help="folder of colour images, with or without subfolders")
    build.add_argument("--side", type=int, default=32, help="height and width that colour images are brought to")
    build.add_argument("--seeds", type=int, default=3, help="how many seeds")
    build.add_argument("--first-seed", type=int, default=0, help="the first of them")
    build.add_argument("--only", nargs="*", choices=ROWS, metavar="ROW", help=f"of {', '.join(ROWS)}")
    build.add_argument("--seconds", type=float, default=300.0, help="training seconds, and the whole command's budget")
    build.add_argument(
        "--samples", type=int, help="samples a row, the same for everyone; 2000 digits or 1000 in colour"
    )
    build.add_argument("--judge", choices=["train", "rest"], default="train", help="8,000 digits, or the other 50,000")
    build.add_argument("--labels", action="store_true", help="give Anew the digits in a folder for each label")
    build.add_argument("--peer-rate", type=float, help="another learning rate for the peers than their own default")
    build.add_argument("--trial", action="store_true", help="print the rows, record none")
    options = build.parse_args()
    options.only = options.only or [row for row in ROWS if row not in WEAKER]
    options.samples = options.samples or (2000 if options.colour is None else 1000)
    options.name = "mnist" if options.colour is None else options.colour.resolve().name
    return options


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    rows = Table("images", is_recorded=not options.trial)
    setting = prepare(options, rows)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for name in options.only:
            for row in (run_peer if name in PEERS else run_anew)(setting, name, seed):
                rows.add(
                    **{"row": row.pop("row"), "data": options.name, "seconds": options.seconds, "seed": seed, **row}
                )
    columns = ("row", "seed", *FIGURES, "sample_seconds_1000", "wall", "steps", "parameters")
    rows.show([key for key in columns if any(key in row for row in rows.rows)])
    print("\nMedians:\n" + table(summary(rows)))


if __name__ == "__main__":
    main()
