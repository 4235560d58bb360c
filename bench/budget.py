"""Budget kept: wall time of the whole command against its budget, on text and on images.

    python bench/budget.py --text FILE-OR-DIR --images FOLDER [--quick]

Ten runs from 30 s to 10 min by default (38 minutes in all). A run may be over by at most 2 s, and uses at least 90%
of its budget unless validation data ended it early, which the command says.
"""

from __future__ import annotations

from pathlib import Path

from _common import Table, anew, fresh, parser, setting_words, train_seconds

FULL = ["30s", "60s", "150s", "5m", "10m"]
QUICK = ["30s", "45s"]
OVER, LEAST = 2.0, 0.9
UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(budget: str) -> float:
    return float(budget[:-1]) * UNITS[budget[-1]] if budget[-1] in UNITS else float(budget)


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--text", type=Path, help="a text file or folder")
    build.add_argument("--images", type=Path, help="a folder of images or idx files")
    build.add_argument("--budgets", nargs="*", help="these budgets instead, e.g. 30s 10m")
    build.add_argument("--quick", action="store_true", help="two short budgets a kind")
    build.add_argument("--seed", type=int, default=0)
    given = build.parse_args()
    kinds = [(kind, path) for kind, path in (("text", given.text), ("images", given.images)) if path is not None]
    if not kinds:
        build.error("give --text, --images or both")

    rows = Table("budget")
    for budget in given.budgets or (QUICK if given.quick else FULL):
        for kind, data in kinds:
            place = fresh(given.work / "budget" / f"{kind}-{budget}")
            words = ["--run", place / "run", "--budget", budget, "--seed", given.seed, *setting_words(given.set)]
            done = anew("train", data, *words, cores=given.cores, scratch=place)
            allowed = seconds_of(budget)
            early = "ended early" in done.out + done.err
            trained, steps = train_seconds(place / "run")
            rows.add(
                kind=kind,
                budget_s=allowed,
                wall=round(done.wall, 2),
                over_s=round(max(0.0, done.wall - allowed), 2),
                used=round(done.wall / allowed, 3),
                training_share=None if trained is None else round(trained / allowed, 3),
                steps=steps,
                ended_early=early,
                passes=done.wall <= allowed + OVER and (early or done.wall >= LEAST * allowed),
            )
    rows.show()
    print(f"\n{sum(row['passes'] for row in rows.rows)} of {len(rows.rows)} runs kept their budget")


if __name__ == "__main__":
    main()
