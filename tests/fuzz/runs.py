"""Run folders as strangers may have altered them, under every verb that opens one."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anew
from anew.errors import AnewError
from fuzz.children import Limits, Outcome, failure_of, run
from fuzz.tampering import CANARY, TAMPERS
from samples import prose, sequences, shapes

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
LIMITS = Limits(cpu=45.0)
VERBS_TRIED = 3  # of one altered run
FEW = {"evaluate_samples": "8", "previews": "1"}
KINDS: dict[str, dict[str, Any]] = {
    "text": {"data": "text", "settings": {"width": "64"}},
    "vae": {"data": "image", "family": "vae", "settings": {"width": "16", "prior_width": "64", "prior_depth": "1"}},
    "latent": {"data": "image", "family": "diffusion", "settings": {"width": "16", "space": "latent"}},
    "protein": {"data": "protein", "settings": {"width": "64"}},
}


def _state_of_the_code() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def finished(kind: str) -> Path:
    """The folder with a small finished run `run` of this kind and its `data`; made once for each state of the code."""
    home = BUILD / f"{kind}-{_state_of_the_code()}"
    if (home / "run" / "report" / "report.json").exists():
        return home
    for old in BUILD.glob(f"{kind}-*"):
        shutil.rmtree(old)
    (home / "data").mkdir(parents=True)
    {"text": lambda: prose(home / "data" / "a.txt", 150), "image": lambda: shapes(home / "data", 60),
     "protein": lambda: sequences(home / "data" / "a.fasta", 60)}[KINDS[kind]["data"]]()  # fmt: skip
    made = run(lambda: _train(kind, home), Limits(cpu=120.0, idle=120.0), quiet=False)
    if made.fault is not None or made.value is not None:
        raise RuntimeError(f"no run of {kind} could be made: {made.detail or made.value}\n{made.log}")
    return home


def _train(kind: str, home: Path) -> None:
    options = {name: value for name, value in KINDS[kind].items() if name != "data"}
    options["settings"] = FEW | options["settings"]
    anew.train(home / "data", home / "run", steps=2, **options)


# ---- what is done with a run ----


def _sample(place: Path) -> None:
    anew.load(place / "run").sample(2).save(place / "out" / "samples")


def _evaluate(place: Path) -> None:
    anew.evaluate(place / "run", n=8)


def _resume(place: Path) -> None:
    anew.resume(place / "run")


def _resume_longer(place: Path) -> None:
    anew.resume(place / "run", steps=3)


def _walk(place: Path) -> None:
    anew.walk(place / "run", 3, stops=2).save(place / "out" / "walk")


def _score(place: Path) -> None:
    anew.score(place / "run", place / "other")


def _compare(place: Path) -> None:
    anew.compare(None, place / "out" / "compare", runs=[place / "run", place / "clean"], n=8)


def _replay(place: Path) -> None:
    anew.train(place / "other", place / "out" / "replay", plan=place / "run")


VERBS: dict[str, Callable[[Path], None]] = {
    "sample": _sample, "evaluate": _evaluate, "resume": _resume, "resume --steps": _resume_longer, "walk": _walk, "score": _score,
    "compare --runs": _compare, "train --plan": _replay,
}  # fmt: skip


def _snapshot(top: Path, place: Path) -> dict[str, Any]:
    """Everything around the run that no verb may touch: kinds, sizes and contents."""
    own = {place / name for name in ("run", "out", "cache", "verb")}
    seen: dict[str, Any] = {}
    for folder, folders, files in os.walk(top):
        here = Path(folder)
        folders[:] = [name for name in folders if here / name not in own]
        for name in [*folders, *files]:
            path = here / name
            if path not in own:
                seen[str(path.relative_to(top))] = path.read_bytes() if path.is_file() else None
    return seen


def _verbs(place: Path, names: list[str]) -> list[dict[str, Any]]:
    """In the child: each verb, and what went wrong in it."""
    os.chdir(place)
    os.environ["ANEW_CACHE"] = str(place / "cache")
    failures = []
    for name in names:
        (place / "verb").write_text(name)
        try:
            VERBS[name](place)
        except AnewError:
            continue
        except Exception as error:  # the very thing that is looked for
            outcome = failure_of(error)
            failures.append({"fault": outcome.fault, "detail": f"{name}: {outcome.detail}", "where": outcome.where})
    return failures


def case(kind: str, seed: int, work: Callable[[Path, list[str]], Any] = _verbs) -> tuple[Outcome, list[Outcome], str]:
    """One altered run: (outcome of the child, failures, what was altered and which verbs were tried)."""
    source = random.Random(f"{kind} {seed}")
    home = finished(kind)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as top:
        place = Path(top) / "a" / "b" / "place"
        shutil.copytree(home / "run", place / "run")
        shutil.copytree(home / "run", place / "clean")
        for name in ("data", "other"):
            shutil.copytree(home / "data", place / name)
        (place / "victim.txt").write_text("untouched")
        (place / "victims").mkdir()
        (place / "victims" / "a.txt").write_text("untouched")
        (place / "out").mkdir()
        done = source.choice(TAMPERS)(source, place / "run")
        names = source.sample(sorted(VERBS), VERBS_TRIED)
        before = _snapshot(Path(top), place)
        outcome = run(lambda: work(place, names), LIMITS, quiet=False)
        failures = [Outcome(**failure) for failure in outcome.value or []] if outcome.fault is None else [outcome]
        if outcome.fault is not None and (place / "verb").exists():
            outcome.detail = f"{(place / 'verb').read_text()}: {outcome.detail}"
        failures += _broken_out(before, _snapshot(Path(top), place))
        outcome.value = None
    return outcome, failures, f"{done}; {', '.join(names)}"


def _broken_out(before: dict[str, Any], after: dict[str, Any]) -> list[Outcome]:
    """What a verb executed, or wrote outside the run and the folder for its results."""
    if any(Path(name).name == CANARY for name in after):
        return [Outcome("executed", "code of the stranger was executed")]
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name, 0) != after.get(name, 0))
    return [Outcome("written", f"outside the run: {', '.join(changed[:5])}")] if changed else []
