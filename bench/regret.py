"""What the choice of the family costs: the default beside every family of images, sounds or clips, with one budget and one judge.

    python bench/regret.py --data FOLDER [FOLDER ...] [--budget 60s 300s] [--only gan diffusion-pixel]

Each row is a whole command, all on the same split. `anew compare --runs` then draws as many samples of each and measures
them against the same held-out items. `regret` is the distance of a row (of clips: of their frames) as a multiple of the best row's:
that of the default is what the choice costs, and 1 is the best that it can do. `regret_from_real` is the same where no distance counts
as less than that of training items: with few items, samples that vary too little come nearer than real ones. A family that does not
take the data has no row.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from _common import Table, anew, anew_command, fresh, parser, pinned, setting_words
from _runs import read_comparison, read_config, train_seconds

BAD_INPUT = 2

DEFAULT = "anew"
ROWS: dict[str, tuple[str, ...]] = {
    DEFAULT: (),
    "gan": ("--family", "gan"),
    "diffusion-pixel": ("--family", "diffusion", "--set", "space=pixel"),
    "diffusion-latent": ("--family", "diffusion", "--set", "space=latent"),
    "vae": ("--family", "vae"),
    "transformer": ("--family", "transformer"),
}
DISTANCE = "frechet_distance"
AUC = "two_sample_auc"


def train(options: argparse.Namespace, data: Path, budget: str, name: str, run: Path) -> dict[str, Any] | None:
    """Facts of a finished run, or None where this family does not take the data."""
    words = ["--run", run, "--budget", budget, "--seed", options.seed, *ROWS[name], *setting_words(options.set)]
    completed = pinned(anew_command("train", data, *words), options.cores, options.work)
    if completed.code == BAD_INPUT:
        print(f"  {name}: {completed.err.splitlines()[-1]}", flush=True)
        return None
    completed.check()
    config = read_config(run)
    _, steps = train_seconds(run)
    return {
        "family": config.family.name,
        "steps": steps,
        "wall": completed.wall,
        "pilots": [dataclasses.asdict(pilot) for pilot in config.plan.pilots],
    }


def judged(options: argparse.Namespace, runs: dict[str, Path], out: Path) -> dict[str, dict[str, float]]:
    """Figures of each row, and of training items under `real_` and the same name."""
    words = ["--runs", *runs.values(), "--out", out, "-n", options.samples]
    anew("compare", *words, cores=options.cores, scratch=options.work)
    figures: dict[str, dict[str, float]] = {}
    for name, scores in zip(runs, read_comparison(out), strict=True):
        measured = {"distance": scores[DISTANCE], "two_sample_auc": scores[AUC]}
        figures[name] = {}
        for figure, score in measured.items():
            assert score.value is not None and score.real_baseline is not None
            figures[name] |= {figure: score.value, f"real_{figure}": score.real_baseline}
    return figures


def compare(options: argparse.Namespace, data: Path, budget: str, rows: Table) -> None:
    place = fresh(options.work / "regret" / f"{data.name}-{budget}")
    facts, runs = {}, {}
    for name in options.only:
        if finished := train(options, data, budget, name, place / name):
            runs[name], facts[name] = place / name, finished
    figures = judged(options, runs, place / "compared")
    best = min(figures, key=lambda name: figures[name]["distance"])
    floored = {name: max(scores["distance"], scores["real_distance"]) for name, scores in figures.items()}
    for name in runs:
        regret = figures[name]["distance"] / figures[best]["distance"]
        rows.add(
            row=name,
            data=data.name,
            budget=budget,
            seed=options.seed,
            **figures[name],
            regret=regret,
            regret_from_real=floored[name] / min(floored.values()),
            best=best,
            **facts[name],
        )


def arguments() -> argparse.Namespace:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, nargs="+", required=True, help="folders of images, sounds or clips")
    build.add_argument("--budget", nargs="+", default=["60s", "300s"], help="of each whole command")
    build.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), help="rows, two at least")
    build.add_argument("--samples", type=int, default=500, help="of each row")
    build.add_argument("--seed", type=int, default=0, help="of the split, the training and the samples")
    build.add_argument("--trial", action="store_true", help="print the rows, record none")
    return build.parse_args()


def main() -> None:
    options = arguments()
    rows = Table("regret", is_recorded=not options.trial)
    for data in options.data:
        for budget in options.budget:
            compare(options, data, budget, rows)
    rows.show(
        [
            "row",
            "data",
            "budget",
            "distance",
            "two_sample_auc",
            "regret",
            "regret_from_real",
            "best",
            "family",
            "steps",
            "wall",
        ]
    )


if __name__ == "__main__":
    main()
