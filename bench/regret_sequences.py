"""What the choice of settings costs for sequences: the default beside other sizes, tokens, contexts and counts, with one budget.

    python bench/regret_sequences.py --data PATH [PATH ...] [--budget 60s 300s] [--only larger characters]

Each row is a whole command with one setting that differs from the default's, all on the same split; `score` gives the bits
per character (of proteins: residue) of the same held-out part. `regret` is a row's bits as a multiple of the best row's: that of the
default is what the choice costs, and 1 is the best that it can do. A setting that does not go with the data has no row.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import anew as library
from _common import Table, anew_command, fresh, parser, pinned, setting_words
from _runs import read_config, train_seconds
from anew.data.dataset import Dataset

BAD_INPUT = 2
DEFAULT = "anew"
SIZES = {"smaller": -1, "larger": 1}  # steps of model_size from the default's
OTHERS = {
    "characters": ("tokens=characters",),
    "bpe": ("tokens=bpe",),
    "context-256": ("context=256",),
    "no-counts": ("ngrams=false", "aligned=false", "contexts=false"),
    "ngrams": ("ngrams=true", "contexts=false"),
}
ROWS = (DEFAULT, *SIZES, *OTHERS)
MAX_CHARACTERS = 200_000  # characters of the held-out part: more take longer and settle nothing


def train(
    options: argparse.Namespace, data: Path, budget: str, run: Path, settings: list[str]
) -> dict[str, Any] | None:
    """Facts of a finished run, or None where the data does not take these settings."""
    # What is held out is scored below; a report of many samples would only shorten the training
    words = setting_words([*options.set, *settings], ["evaluate_samples=20", "previews=0"])
    command = anew_command("train", data, "--run", run, "--budget", budget, "--seed", options.seed, *words)
    completed = pinned(command, options.cores, options.work)
    if completed.code == BAD_INPUT:
        print(f"  {' '.join(settings)}: {completed.err.splitlines()[-1]}", flush=True)
        return None
    completed.check()
    plan = read_config(run).plan
    _, steps = train_seconds(run)
    return {"steps": steps, "wall": completed.wall, "model_size": plan.model_size, "parameters": plan.parameters}


def held_out(run: Path, data: Path) -> list[str]:
    """Texts of the test part of a run's data, up to MAX_CHARACTERS."""
    record = library.load(run).record
    return Dataset.reopen(record.data, run, str(data)).text("test", MAX_CHARACTERS)


def compare(options: argparse.Namespace, data: Path, budget: str, rows: Table) -> None:
    place = fresh(options.work / "regret_sequences" / f"{data.name}-{budget}")
    facts: dict[str, dict[str, Any]] = {}
    texts: list[str] = []
    for name in options.only:
        settings = list(OTHERS.get(name, ()))
        if name in SIZES:
            model_size = facts[DEFAULT]["model_size"] + SIZES[name]
            if model_size < 0:
                print(f"  {name}: the default has the smallest size", flush=True)
                continue
            settings = [f"model_size={model_size}"]
        if trained := train(options, data, budget, place / name, settings):
            texts = texts or held_out(place / name, data)
            scores = library.load(place / name).score(texts)
            facts[name] = trained | {"bits": scores.bits_per_unit, "units": scores.units}
        elif name == DEFAULT:
            return  # what it was refused for is printed; nothing can be compared with it
    best = min(facts, key=lambda name: facts[name]["bits"])
    for name, values in facts.items():
        regret = values["bits"] / facts[best]["bits"]
        rows.add(row=name, data=data.name, budget=budget, seed=options.seed, **values, regret=regret, best=best)


def arguments() -> argparse.Namespace:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, nargs="+", required=True, help="texts, code, lists, FASTA")
    build.add_argument("--budget", nargs="+", default=["60s", "300s"], help="of each whole command")
    build.add_argument("--only", nargs="+", choices=ROWS[1:], default=ROWS[1:], help="rows beside the default's")
    build.add_argument("--seed", type=int, default=0, help="of the split and the training")
    build.add_argument("--trial", action="store_true", help="print the rows, record none")
    options = build.parse_args()
    options.only = [DEFAULT, *options.only]
    return options


def main() -> None:
    options = arguments()
    rows = Table("regret-sequences", is_recorded=not options.trial)
    for data in options.data:
        for budget in options.budget:
            compare(options, data, budget, rows)
    rows.show(["row", "data", "budget", "bits", "regret", "best", "model_size", "steps", "wall"])


if __name__ == "__main__":
    main()
