"""Kill verbs: SIGKILL at random instants of sample, evaluate and compare; the same command again must end as if never killed.

    python bench/kill_verbs.py --data DIR [--kills 20] [--verbs sample evaluate compare] [--steps 30]

After each kill every JSON file that is there must be whole. Then the same command is given again: it must succeed, and
samples, figures and weights must be those of the command that was never killed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _common import Table, anew_command, fresh, parser, pinned, setting_words
from kill import ENDED, killed

Command = Callable[[Path], list[str]]
VERBS = ("sample", "evaluate", "compare")


def digest(folder: Path, pattern: str) -> str:
    """A digest of the names and contents of files."""
    digest_of_all = hashlib.sha256()
    for path in sorted(p for p in folder.rglob(pattern) if p.is_file()):
        digest_of_all.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest_of_all.hexdigest()


def outcome(verb: str, place: Path) -> str:
    """What must not depend on a kill."""
    if verb == "sample":
        return digest(place / "out", "*")
    if verb == "evaluate":
        report = json.loads((place / "run" / "report" / "report.json").read_text())
        return digest(place / "run" / "samples", "*") + json.dumps(report["scores"])
    return digest(place / "out", "model.safetensors") + json.dumps(_without_times(place / "out" / "compare.json"))


def _without_times(path: Path) -> list[dict[str, Any]]:
    """The runs of a comparison without the scores that are seconds, which never are the same twice."""
    runs: list[dict[str, Any]] = json.loads(path.read_text())["runs"]
    return [{**run, "scores": [score for score in run["scores"] if "second" not in json.dumps(score)]} for run in runs]


def damaged(place: Path) -> list[str]:
    """JSON files that are not whole."""
    bad = []
    for path in place.rglob("*.json*"):
        texts = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        try:
            for text in texts[:-1] if path.suffix == ".jsonl" else texts:  # the last line may be cut: it is dropped
                json.loads(text)
        except ValueError:
            bad.append(str(path.relative_to(place)))
    return bad


def commands(options: argparse.Namespace) -> dict[str, Command]:
    small = setting_words(options.set, ["evaluate_samples=20"])
    families = ("--families", options.families, "--steps", options.steps, "-n", 20, *small)
    return {
        "sample": lambda place: anew_command("sample", place / "run", "--out", place / "out", "-n", options.samples),
        "evaluate": lambda place: anew_command("evaluate", place / "run", "-n", options.samples),
        "compare": lambda place: anew_command("compare", options.data, "--out", place / "out", *families),
    }


def trial(
    verb: str, command: Command, place: Path, run: Path, cores: Sequence[int], after: float, expected: str
) -> dict[str, Any]:
    shutil.copytree(run, fresh(place) / "run")
    cut = killed(command(place), cores, place / "scratch", after)
    bad = damaged(place)
    again = pinned(command(place), cores, place / "scratch")
    # Where all was written before the kill, the command is refused (2): it would write over what is there.
    good = again.code in (0, 2) and outcome(verb, place) == expected
    row = {
        "verb": verb,
        "instant_s": round(after, 3),
        "met": "killed" if cut else ENDED,
        "damaged": len(bad),
        "same": good,
    }
    if not good:
        row["error"] = (again.err or again.out).strip().splitlines()[-1:]
    else:
        shutil.rmtree(place)
    return row


def main() -> None:
    build = parser(__doc__)
    build.add_argument("--data", type=Path, required=True, help="any data that the families take")
    build.add_argument("--kills", type=int, default=20, help="random instants of each verb")
    build.add_argument("--verbs", nargs="*", choices=VERBS, default=VERBS)
    build.add_argument("--families", default="vae,gan")
    build.add_argument("--steps", type=int, default=30)
    build.add_argument("--samples", type=int, default=100)
    build.add_argument("--seed", type=int, default=0)
    options = build.parse_args()

    rows, chance, cores = Table("kill-verbs"), random.Random(options.seed), options.cores[:1]
    work = fresh(options.work / "kill-verbs")
    run = work / "trained" / "run"  # as deep as its copies: a run says where its data lies from where it lies itself
    small = setting_words(options.set, ["evaluate_samples=20"])
    pinned(anew_command("train", options.data, "--run", run, "--steps", options.steps, *small), cores, work).check()
    for verb in options.verbs:
        command, whole = commands(options)[verb], fresh(work / f"{verb}-whole")
        shutil.copytree(run, whole / "run")
        seconds = pinned(command(whole), cores, whole / "scratch").check().cpu
        expected, met = outcome(verb, whole), 0
        print(f"{verb}, uninterrupted: {seconds:.1f} s of CPU", flush=True)
        while met < options.kills:
            place = work / f"{verb}-{len(rows.rows)}"
            row = rows.add(**trial(verb, command, place, run, cores, chance.uniform(0.5, seconds), expected))
            met += row["met"] != ENDED
    rows.show()
    kills = [row for row in rows.rows if row["met"] != ENDED]
    good = sum(row["same"] and not row["damaged"] for row in kills)
    print(f"\n{good} of {len(kills)} kills: no damaged file, and the same command ended as if never killed")
    if good < len(kills):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
