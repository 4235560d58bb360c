"""Verdicts on samples whose faults are known: how often a tick is wrong, and how often real items are refused one.

python bench/verdicts.py --images DIR [DIR ...] --texts PATH [PATH ...] --proteins FASTA ... --sounds DIR [DIR ...]

Cases are held-out real items as they are, and with faults from invisible to gross. What is true is said by a reference: a strong
two-sample test of 400 samples against 400 real items, on features that no verdict uses (all pixels, word and character counts,
spectrograms). Verdicts are asked with fewer items (--sizes), as reports have; of a small set with a third of it, at most.
Where they leave an answer open and name a number that would do, they are asked with that number, too, if there are as many items.
With --models 30s 300s the cases are samples of models that were trained on one half of each data set, against the other half; with
--models RUN RUN those of runs that are there, of that data.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import _verdict_media as media
import _verdict_models
import _verdict_sequences as sequences
from _common import Table, parser
from _verdict_cases import Cases
from anew.evaluation.reporting import verdict
from anew.evaluation.reporting.grading import grade_question
from anew.evaluation.score import Group

TOLD_APART = 0.75  # by the reference, from where a tick is wrong
ENOUGH = 300  # items with which real data is to get its tick
LOADERS: dict[str, Callable[[Path], Cases]] = {
    "images": media.images,
    "clips": media.clips,
    "sounds": media.sounds,
    "texts": sequences.texts,
    "code": sequences.code,
    "records": sequences.records,
    "proteins": sequences.proteins,
    "molecules": sequences.molecules,
}


def judged(cases: Cases, name: str, n: int, seed: int) -> dict[str, Any]:
    """The grades that n samples of a case get."""
    held_out, train, samples = cases.draw(n, seed)
    evaluation = cases.evaluation(cases.inputs(train, held_out, cases.faulty(name, samples, seed), seed))
    # What comes after these figures is how well text is predicted, which no verdict here needs and which takes long.
    scores = list(itertools.takewhile(lambda score: score.spec.group is not Group.PREDICTION, evaluation.scores()))
    grades = verdict.Verdict(scores).grades
    gradings = {question: grade_question(scores, question) for question in ("closeness", "variety")}
    weakest = {q: "" if g is None else f"{g.weakest.score.name} {g.weakest.weakness:.2f}" for q, g in gradings.items()}
    return {
        "closeness": grades.get("closeness"),
        "variety": grades.get("variety"),
        "needed": max((g.needed for g in gradings.values() if g is not None), default=0),
        "weakest": weakest["closeness"],
        "weakest_variety": weakest["variety"],
    }


def rows_of(cases: Cases, sizes: Sequence[int], repeats: int, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One row a case, size and repeat. names: of cases; empty for all."""
    sizes = sorted({min(size, cases.most) for size in sizes})
    for name in names or cases.faults:
        told_apart = cases.reference_auc(name, 10_000)
        seeds = range(repeats if name == "real" else 1)
        for n, seed in itertools.product(sizes, seeds):
            row: dict[str, Any] = {
                "data": cases.name,
                "case": name,
                "n": n,
                "seed": seed,
                "reference": round(told_apart, 3),
            }
            asked = row | timed(cases, name, n, seed)
            yield asked
            if n < asked["needed"] <= cases.available(name):
                yield row | timed(cases, name, asked["needed"], seed) | {"n": asked["needed"], "named_by": n}


def timed(cases: Cases, name: str, n: int, seed: int) -> dict[str, Any]:
    begin = time.process_time()
    return judged(cases, name, n, seed) | {"cpu_s": round(time.process_time() - begin, 2)}


def is_ticked(row: dict[str, Any]) -> bool:
    """Whether samples are said to be close and as varied."""
    return bool(row["closeness"] == "good" and row["variety"] == "good")


def is_open(row: dict[str, Any]) -> bool:
    """Whether an answer is left open for lack of items."""
    return "too_few" in (row["closeness"], row["variety"])


def summary(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The shares that are to be reached, of each data set and of all."""
    for name in [*dict.fromkeys(row["data"] for row in rows), "all"]:
        of_data = [row for row in rows if name in (row["data"], "all")]
        selected, again = ([row for row in of_data if ("named_by" in row) is is_again] for is_again in (False, True))
        different = [row for row in selected if row["reference"] >= TOLD_APART and row["case"] != "real"]
        ticks = sum(map(is_ticked, different))
        close = sum(row["closeness"] == "good" for row in different)
        is_enough = [row for row in selected if row["case"] == "real" and row["n"] >= ENOUGH]
        refused = sum(not is_ticked(row) for row in is_enough)
        few_items = [row for row in selected if row["case"] == "real" and row["n"] < ENOUGH]
        accused = sum(bool({"fair", "poor"} & {row["closeness"], row["variety"]}) for row in few_items)
        yield {
            "data": name,
            "different": len(different),
            "ticks": ticks,
            "close": close,
            "real": len(is_enough),
            "refused": refused,
            "real_few": len(few_items),
            "accused": accused,
            "asked_again": len(again),
            "still_open": sum(map(is_open, again)),
            "passes": ticks <= 0.02 * len(different) and refused <= 0.05 * len(is_enough),
        }


def main() -> None:
    build = parser(__doc__)
    for modality in LOADERS:
        build.add_argument(f"--{modality}", type=Path, nargs="*", default=[], help=f"folders or files of {modality}")
    build.add_argument("--sizes", default="40,100,200,400", help="samples that verdicts are asked with")
    build.add_argument("--repeats", type=int, default=4, help="draws of real items; of each fault there is one")
    build.add_argument("--cases", nargs="*", default=[], help="only these, as in real")
    build.add_argument(
        "--models", nargs="*", default=[], metavar="BUDGET", help="judge models instead, as in 30s 300s; or runs"
    )
    build.add_argument("--aside", action="store_true", help="mark the rows as of data that no limit was chosen by")
    arguments: argparse.Namespace = build.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    rows = Table("verdicts")
    for modality, load in LOADERS.items():
        for path in getattr(arguments, modality):
            cases = load(path)
            if arguments.models:
                cases = _verdict_models.models(cases, arguments.models, arguments)
            for row in rows_of(cases, sizes, arguments.repeats, arguments.cases):
                rows.add(aside=arguments.aside, **row)
    totals = Table("verdicts")
    for row in summary(rows.rows):
        totals.add(part="summary", aside=arguments.aside, **row)
    totals.show()


if __name__ == "__main__":
    main()
