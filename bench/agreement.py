"""One run, three reports: the run's own, `anew evaluate -n 400`, and `anew compare`: do they agree within their intervals?

    python bench/agreement.py RUN RUN [RUN ...]

A row for each run and report beside the run's own. Figures that have a say in a grade are compared by what grades go by: how far
they are from the same figure of real data, which takes the number of items out of it. Two disagree where they differ by more than
both 95% intervals together (the root of the sum of their squares, those of the real data included) explain, which chance does to 5%.
`conflict`: one report says that samples are as good as real items, and the other that they differ.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from _common import Table, anew, fresh, parser
from _runs import by_name, read_comparison, read_report
from anew.runs import report_record
from anew.runs.report_record import ReportRecord, ScoreRecord

Scores = Mapping[str, ScoreRecord]
Grades = Mapping[str, str]
OPPOSED = ({"good", "fair"}, {"good", "poor"})


class Excess(NamedTuple):
    """How much more a score is than that of real data, and half of what an interval of the difference would span."""

    value: float
    half: float


def excesses_of(scores: Scores) -> dict[str, Excess]:
    """Those of the scores with an interval."""
    excesses = {}
    for name, score in scores.items():
        if not (score.value is None or score.low is None or score.high is None or score.real_baseline is None):
            excesses[name] = Excess(score.value - score.real_baseline, math.sqrt(2.0) * (score.high - score.low) / 2.0)
    return excesses


def apart(a: Excess, b: Excess) -> float:
    """How far two scores are apart, as a multiple of what their intervals explain."""
    return abs(a.value - b.value) / max(math.hypot(a.half, b.half), 1e-9)


def compared(own: ReportRecord, scores: Scores, grades: Grades, parts: set[str]) -> dict[str, Any]:
    """The figures that the report of a run and another one of it have. scores, grades: of the other one."""
    a, b = excesses_of(by_name(own.scores)), excesses_of(scores)
    distances = {name: apart(a[name], b[name]) for name in parts & set(a) & set(b)}
    questions = ("closeness", "variety")
    pairs = [{own.grades[question], grades.get(question)} for question in questions]
    return {
        "figures": len(distances),
        "disagree": ", ".join(f"{name} {x:.1f}" for name, x in distances.items() if x > 1.0),
        "n_disagree": sum(x > 1.0 for x in distances.values()),
        "conflict": any(pair in OPPOSED for pair in pairs),
        "grades": [[of_report.get(question) for question in questions] for of_report in (own.grades, grades)],
    }


def copied(run: Path, to: Path) -> Path:
    """A copy of a run that finds its data."""
    shutil.copytree(run, to)
    config = json.loads((to / "config.json").read_text())
    for section, name in (("request", "data"), ("data", "path")):
        config[section][name] = str((run / config[section][name]).resolve())
    (to / "config.json").write_text(json.dumps(config))
    return to


def main() -> None:
    build = parser(__doc__)
    build.add_argument("runs", nargs="+", type=Path, help="finished runs of one modality, two at least")
    build.add_argument("--samples", type=int, default=400, help="of `evaluate` and `compare`")
    arguments = build.parse_args()
    place = fresh(arguments.work / "agreement")
    rows = Table("agreement")
    copies: list[Path] = []
    own: dict[Path, ReportRecord] = {}
    parts: set[str] = set()
    for number, run in enumerate(arguments.runs):  # evaluate adds a report to a run
        copies.append(copied(run, place / f"{number}-{run.parent.name}-{run.name}"))
        own[copies[-1]] = read_report(run)
        parts |= {part["name"] for part in json.loads((run / "report" / "report.json").read_text())["parts"]}
    out = place / "compared"
    words = ["--runs", *copies, "--out", out, "-n", arguments.samples]
    anew("compare", *words, cores=arguments.cores, scratch=place)
    for run, scores in zip(copies, read_comparison(out), strict=True):
        rows.add(run=run.name, report="compare", **compared(own[run], scores, {}, parts))
        completed = anew("evaluate", run, "-n", arguments.samples, "--json", cores=arguments.cores, scratch=place)
        other = report_record.as_record(completed.json())
        rows.add(run=run.name, report="evaluate", **compared(own[run], by_name(other.scores), other.grades, parts))
    rows.show()
    total, disagree = (sum(row[name] for row in rows.rows) for name in ("figures", "n_disagree"))
    print(f"\n{disagree} of {total} figures disagree; {sum(row['conflict'] for row in rows.rows)} conflicts")


if __name__ == "__main__":
    main()
