"""What the choice of the family costs: the default beside every family of images, the same budget and judge for all.

    python bench/regret.py --data FOLDER [FOLDER ...] [--budget 60s 300s] [--only gan diffusion-pixel]

Each row is a whole command, all on the same split. `anew compare --runs` then draws as many samples of each and measures
them against the same held-out images. `regret` is the Fréchet distance of a row as a multiple of the best row's: that of the default
is what the choice costs, and 1 is the best that it can do.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from _common import Table, anew, fresh, parser, setting_words, train_seconds

DEFAULT = "anew"
ROWS: dict[str, tuple[str, ...]] = {
    DEFAULT: (),
    "gan": ("--family", "gan"),
    "diffusion-pixel": ("--family", "diffusion", "--set", "space=pixel"),
    "diffusion-latent": ("--family", "diffusion", "--set", "space=latent"),
    "vae": ("--family", "vae"),
}
FIGURES = ("frechet_distance", "two_sample_auc")


def train(options: argparse.Namespace, data: Path, budget: str, name: str, run: Path) -> dict[str, Any]:
    words = ["--run", run, "--budget", budget, "--seed", options.seed, *ROWS[name], *setting_words(options.set)]
    completed = anew("train", data, *words, cores=options.cores, scratch=options.work)
    config = json.loads((run / "config.json").read_text())
    _, steps = train_seconds(run)
    return {
        "family": config["family"]["name"],
        "steps": steps,
        "wall": completed.wall,
        "pilots": config["plan"]["pilots"],
    }


def judged(options: argparse.Namespace, runs: dict[str, Path], out: Path) -> dict[str, dict[str, float]]:
    """Figures of each row, and of training images under `real_` and the same name."""
    words = ["--runs", *runs.values(), "--out", out, "-n", options.samples]
    anew("compare", *words, cores=options.cores, scratch=options.work)
    report = json.loads((out / "compare.json").read_text())
    figures = {}
    for name, run in zip(runs, report["runs"], strict=True):
        scores = {score["name"]: score for score in run["scores"]}
        figures[name] = {figure: scores[figure]["value"] for figure in FIGURES}
        figures[name] |= {f"real_{figure}": scores[figure]["real_baseline"] for figure in FIGURES}
    return figures


def compare(options: argparse.Namespace, data: Path, budget: str, rows: Table) -> None:
    place = fresh(options.work / "regret" / f"{data.name}-{budget}")
    facts, runs = {}, {}
    for name in options.only:
        runs[name] = place / name
        facts[name] = train(options, data, budget, name, runs[name])
    figures = judged(options, runs, place / "compared")
    best = min(figures, key=lambda name: figures[name]["frechet_distance"])
    for name in options.only:
        regret = figures[name]["frechet_distance"] / figures[best]["frechet_distance"]
        rows.add(
            row=name,
            data=data.name,
            budget=budget,
            seed=options.seed,
            **figures[name],
            regret=regret,
            best=best,
            **facts[name],
        )


def arguments() -> argparse.Namespace:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, nargs="+", required=True, help="folders of images")
    build.add_argument("--budget", nargs="+", default=["60s", "300s"], help="of each whole command")
    build.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), help="rows, two at least")
    build.add_argument("--samples", type=int, default=500, help="of each row")
    build.add_argument("--seed", type=int, default=0, help="of the split, the training and the samples")
    build.add_argument("--trial", action="store_true", help="print the rows, record none")
    return build.parse_args()


def main() -> None:
    options = arguments()
    rows = Table("regret", kept=not options.trial)
    for data in options.data:
        for budget in options.budget:
            compare(options, data, budget, rows)
    rows.show(["row", "data", "budget", *FIGURES, "regret", "best", "family", "steps", "wall"])


if __name__ == "__main__":
    main()
