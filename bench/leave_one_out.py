"""What the choice of the family costs on a set of data that had no say in it, from the rows of bench/regret.py.

    python bench/leave_one_out.py

For each set and budget: the regret (README.md) of the default, and of the one family that is best on all other sets of that budget,
by the median of its regrets there. A default that costs more than that family has no rule worth its lines. Only families that were
trained on most of the other sets count, and the newest run of a set and budget. Where the default trained the same family as
another row, the better of the two stands for the family.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any

from _common import RESULTS, Table, parser
from regret import DEFAULT

# Regrets of each row, by the set of data
Regrets = dict[str, dict[str, float]]
MOST = 0.75  # share of the other sets, those on which a family was trained
SPACES = {"diffusion-pixel": "diffusion", "diffusion-latent": "diffusion"}


def families(regrets: Mapping[str, float], default_family: str) -> dict[str, float]:
    """Regrets of the families of one set. The default's counts for its family where that has no row of its own."""
    by_family: dict[str, float] = {}
    for name, regret in regrets.items():
        family = default_family if name == DEFAULT else SPACES.get(name, name)
        by_family[family] = min(regret, by_family.get(family, regret))
    return by_family


def runs(lines: Iterable[str]) -> Iterator[dict[str, dict[str, Any]]]:
    """The rows of each run of bench/regret.py by name. A run ends where the data or the budget changes, or a name comes again."""
    rows: dict[str, dict[str, Any]] = {}
    place = None
    for row in map(json.loads, lines):
        if (row["budget"], row["data"]) != place or row["row"] in rows:
            yield rows
            rows, place = {}, (row["budget"], row["data"])
        rows[row["row"]] = row
    yield rows


def read() -> dict[str, Regrets]:
    """Regrets of the families and of the default, by budget and set, from the newest run that has the default."""
    tables: dict[str, Regrets] = {}
    with open(RESULTS / "regret.jsonl", encoding="utf-8") as lines:
        for rows in runs(lines):
            if DEFAULT not in rows:
                continue
            default = rows[DEFAULT]
            regrets = {name: float(row["regret"]) for name, row in rows.items()}
            by_family = families(regrets, default["family"]) | {DEFAULT: regrets[DEFAULT]}
            tables.setdefault(default["budget"], {})[default["data"]] = by_family
    return tables


def best_elsewhere(regrets: Regrets, left_out: str) -> str | None:
    """The family with the lowest median regret on all sets but one, of those trained on most of them; None if there is none."""
    others = [by_family for data, by_family in regrets.items() if data != left_out]
    values: dict[str, list[float]] = {}
    for by_family in others:
        for family in by_family.keys() - {DEFAULT}:
            values.setdefault(family, []).append(by_family[family])
    medians = {family: median(known) for family, known in sorted(values.items()) if len(known) >= MOST * len(others)}
    return min(medians, key=medians.__getitem__) if medians else None


def arguments() -> argparse.Namespace:
    build = parser(__doc__)
    build.add_argument("--trial", action="store_true", help="print the rows, record none")
    return build.parse_args()


def worst_and_median(values: Iterable[float]) -> dict[str, float]:
    known = sorted(values)
    return {"median": median(known), "worst": known[-1]}


def main() -> None:
    options = arguments()
    table = Table("leave-one-out", is_recorded=not options.trial)
    for budget, regrets in read().items():
        chosen: dict[str, float] = {}
        for data in regrets:
            family = best_elsewhere(regrets, data)
            if family is None or family not in regrets[data]:
                continue
            chosen[data] = regrets[data][family]
            table.add(
                data=data, budget=budget, default=regrets[data][DEFAULT], left_out=chosen[data], best_elsewhere=family
            )
        if chosen:
            for row, values in (
                ("default", [regrets[data][DEFAULT] for data in chosen]),
                ("left out", list(chosen.values())),
            ):
                table.add(data=f"{row}, {len(values)} sets", budget=budget, **worst_and_median(values))
    table.show(["data", "budget", "default", "left_out", "best_elsewhere", "median", "worst"])


if __name__ == "__main__":
    main()
