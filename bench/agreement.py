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
from typing import Any

from _common import Table, anew, fresh, parser

Scores = Mapping[str, Mapping[str, Any]]
OPPOSED = ({"good", "fair"}, {"good", "poor"})


def scores_of(report: Mapping[str, Any]) -> Scores:
    """Scores with an interval, by name."""
    return {s["name"]: s for s in report["scores"] if None not in (s["low"], s["high"], s["real_baseline"])}


def apart(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """How far two scores are apart, as a multiple of what their intervals explain."""
    halves = [math.sqrt(2.0) * (score["high"] - score["low"]) / 2.0 for score in (a, b)]
    excess_a, excess_b = (score["value"] - score["real_baseline"] for score in (a, b))
    return abs(excess_a - excess_b) / max(math.hypot(*halves), 1e-9)


def compared(own: Mapping[str, Any], other: Mapping[str, Any], parts: set[str]) -> dict[str, Any]:
    """The figures that both reports have."""
    a, b = scores_of(own), scores_of(other)
    distances = {name: apart(a[name], b[name]) for name in parts & set(a) & set(b)}
    grades = [{report.get("grades", {}).get(q) for report in (own, other)} for q in ("closeness", "variety")]
    return {
        "figures": len(distances),
        "disagree": ", ".join(f"{name} {x:.1f}" for name, x in distances.items() if x > 1.0),
        "n_disagree": sum(x > 1.0 for x in distances.values()),
        "conflict": any(pair in OPPOSED for pair in grades),
        "grades": [[report.get("grades", {}).get(q) for q in ("closeness", "variety")] for report in (own, other)],
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
    copies, own = [], {}
    for number, run in enumerate(arguments.runs):  # evaluate adds a report to a run
        copies.append(copied(run, place / f"{number}-{run.parent.name}-{run.name}"))
        own[copies[-1]] = json.loads((run / "report" / "report.json").read_text())
    parts = {part["name"] for report in own.values() for part in report["parts"]}
    out = place / "compared"
    words = ["--runs", *copies, "--out", out, "-n", arguments.samples]
    anew("compare", *words, cores=arguments.cores, scratch=place)
    measured = json.loads((out / "compare.json").read_text())["runs"]
    for run, by_compare in zip(copies, measured, strict=True):
        rows.add(run=run.name, report="compare", **compared(own[run], by_compare, parts))
        completed = anew("evaluate", run, "-n", arguments.samples, "--json", cores=arguments.cores, scratch=place)
        rows.add(run=run.name, report="evaluate", **compared(own[run], completed.json(), parts))
    rows.show()
    total, disagree = (sum(row[name] for row in rows.rows) for name in ("figures", "n_disagree"))
    print(f"\n{disagree} of {total} figures disagree; {sum(row['conflict'] for row in rows.rows)} conflicts")


if __name__ == "__main__":
    main()
