"""Verdicts on samples whose faults are known: how often a tick is wrong, and how often real items are refused one.

python bench/verdicts.py --images DIR [DIR ...] --texts PATH [PATH ...] --records FILE [FILE ...] --sounds DIR [DIR ...]

Cases are held-out real items as they are, and with faults from invisible to gross. What is true is said by a reference: a strong
two-sample test of 400 samples against 400 real items, on features that no verdict uses (all pixels, word and character counts,
spectrograms). Verdicts are asked with fewer items (--sizes), as reports have.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from _common import Table, parser
from _verdict_cases import LOADERS, Cases, reference_auc
from anew.evaluation.modalities.audio import AudioEvaluation
from anew.evaluation.modalities.image import ImageEvaluation
from anew.evaluation.modalities.text import TextEvaluation
from anew.evaluation.reporting import verdict
from anew.evaluation.reporting.grading import graded
from anew.evaluation.score import Group

REFERENCE = 400  # items of each set of the reference test
TOLD_APART = 0.75  # by the reference, from where a tick is wrong
EVALUATIONS = {"images": ImageEvaluation, "texts": TextEvaluation, "records": TextEvaluation, "sounds": AudioEvaluation}


def judged(cases: Cases, name: str, n: int, seed: int) -> dict[str, Any]:
    """The grades that n samples of a case get."""
    held_out, train, samples = cases.draw(n, seed)
    evaluation = EVALUATIONS[cases.kind](cases.inputs(train, held_out, cases.faulty(name, samples, seed), seed))
    # What comes after these figures is how well text is predicted, which no verdict here needs and which takes long.
    scores = list(itertools.takewhile(lambda score: score.spec.group is not Group.PREDICTION, evaluation.scores()))
    grades, closeness = verdict.grade(scores), graded(scores, "closeness")
    weakest = "" if closeness is None else closeness.weakest.score.name
    return {"closeness": grades.get("closeness"), "variety": grades.get("variety"), "weakest": weakest}


def rows_of(cases: Cases, sizes: Sequence[int], repeats: int) -> Iterator[dict[str, Any]]:
    """One row a case, size and repeat."""
    for name in cases.names:
        held_out, _, samples = cases.draw(REFERENCE, 10_000)
        told_apart = reference_auc(cases, cases.faulty(name, samples, 10_000), held_out)
        for n in sizes:
            for seed in range(repeats if name == "real" else 1):
                begin = time.process_time()
                row = {"data": cases.name, "case": name, "n": n, "seed": seed, "reference": round(told_apart, 3)}
                yield row | judged(cases, name, n, seed) | {"cpu_s": round(time.process_time() - begin, 2)}


def summary(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The shares that are to be reached, of each data set and of all. A tick: that samples are close and as varied."""
    for name in [*dict.fromkeys(row["data"] for row in rows), "all"]:
        own = [row for row in rows if name in (row["data"], "all")]
        different = [row for row in own if row["reference"] >= TOLD_APART]
        ticks = sum(row["closeness"] == "good" and row["variety"] == "good" for row in different)
        close = sum(row["closeness"] == "good" for row in different)
        enough = [row for row in own if row["case"] == "real" and row["n"] >= 300]
        refused = sum(row["closeness"] != "good" or row["variety"] != "good" for row in enough)
        few = [row for row in own if row["case"] == "real" and row["n"] < 300]
        accused = sum(
            "fair" in (row["closeness"], row["variety"]) or "poor" in (row["closeness"], row["variety"]) for row in few
        )
        yield {
            "data": name, "different": len(different), "ticks": ticks, "close": close, "real": len(enough), "refused": refused,
            "real_few": len(few), "accused": accused,
            "passes": ticks <= 0.02 * len(different) and refused <= 0.05 * len(enough),
        }  # fmt: skip


def main() -> None:
    build = parser(__doc__)
    for kind in LOADERS:
        build.add_argument(f"--{kind}", type=Path, nargs="*", default=[], help=f"folders or files of {kind}")
    build.add_argument("--sizes", default="40,100,200,400", help="samples that verdicts are asked with")
    build.add_argument("--repeats", type=int, default=4, help="draws of real items; of each fault there is one")
    build.add_argument("--aside", action="store_true", help="mark the rows as of data that no limit was chosen by")
    given: argparse.Namespace = build.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    rows = Table("verdicts")
    for kind, load in LOADERS.items():
        for path in getattr(given, kind):
            for row in rows_of(load(path), sizes, given.repeats):
                rows.add(aside=given.aside, **row)
    totals = Table("verdicts")
    for row in summary(rows.rows):
        totals.add(part="summary", aside=given.aside, **row)
    totals.show()


if __name__ == "__main__":
    main()
