"""Run folders as strangers may have altered them, under every verb that opens one."""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import pkgutil
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anew
from anew.core import isolation
from anew.errors import AnewError
from anew.studio_app.start_folder import STATE
from fuzz import verbs
from fuzz.children import Limits, Outcome, failure_of, run
from fuzz.tampering import CANARY, TAMPERS
from samples import prose, sequences, shapes

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
LIMITS = Limits(cpu=90.0)
LONG_TRIED = 2  # verbs that take long and are tried where the altered run can be opened; elsewhere all are
FEW = {"evaluate_samples": "8", "previews": "1"}
TINY_TEXT = {"width": "16", "layers": "1", "heads": "1", "mlp_size": "16"}
TINY_GRID = {"width": "8", "batch_size": "8"}
KINDS: dict[str, dict[str, Any]] = {
    "text": {"data": "text", "settings": TINY_TEXT | {"context": "64"}},
    "words": {"data": "text", "settings": TINY_TEXT | {"context": "64", "tokens": "bpe", "vocab": "300", "contexts": "true"}},
    "vae": {"data": "image", "family": "vae", "settings": TINY_GRID},
    "gan": {"data": "image", "family": "gan", "settings": TINY_GRID},
    "latent": {"data": "image", "family": "diffusion", "settings": TINY_GRID | {"space": "latent"}},
    "protein": {"data": "protein", "settings": TINY_TEXT},
}  # fmt: skip


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
    {"text": lambda: prose(home / "data" / "a.txt", 100), "image": lambda: shapes(home / "data", 60),
     "protein": lambda: sequences(home / "data" / "a.fasta", 60)}[KINDS[kind]["data"]]()  # fmt: skip
    outcome = run(lambda: _train(kind, home), Limits(cpu=240.0, idle=240.0), quiet=False)
    if outcome.fault is not None or outcome.value is not None:
        raise RuntimeError(f"no run of {kind} could be made: {outcome.detail or outcome.value}\n{outcome.log}")
    return home


def _train(kind: str, home: Path) -> None:
    options = {name: value for name, value in KINDS[kind].items() if name != "data"}
    options["settings"] = FEW | options["settings"]
    anew.train(home / "data", home / "run", steps=2, **options)


def _snapshot(top: Path, place: Path) -> dict[str, Any]:
    """Everything around the run that no verb may touch: kinds, sizes and contents."""
    own = {place / name for name in ("run", "out", "cache", "verb", STATE)}
    contents: dict[str, Any] = {}
    for folder, folders, files in os.walk(top):
        parent = Path(folder)
        folders[:] = [name for name in folders if parent / name not in own]
        for name in [*folders, *files]:
            path = parent / name
            if path not in own:
                contents[str(path.relative_to(top))] = path.read_bytes() if path.is_file() else None
    return contents


def _verbs(place: Path, long: list[str]) -> list[dict[str, Any]]:
    """In the child: each verb, and what went wrong in it. long: the long ones that are tried on a run that can be opened."""
    os.chdir(place)
    os.environ["ANEW_CACHE"] = str(place / "cache")
    isolation._inside = True  # the data is the harness's own, and a worker for each case would cost more than the case
    failures = []
    names = [*verbs.SHORT, *(long if _opens(place) else verbs.LONG)]
    for name in names:
        (place / "verb").write_text(name)
        try:
            (verbs.SHORT | verbs.LONG)[name](place)
        except AnewError:
            continue
        except Exception as error:  # the very thing that is looked for
            outcome = failure_of(error)
            failures.append({"fault": outcome.fault, "detail": f"{name}: {outcome.detail}", "where": outcome.where})
    with open(BUILD / "verbs.txt", "a") as count:  # how often each was tried
        count.write("".join(f"{name}\n" for name in names))
    return failures


def _opens(place: Path) -> bool:
    try:
        anew.load(place / "run", "cpu")
    except Exception:  # told by the verbs
        return False
    return True


@functools.cache
def preload(kind: str) -> None:
    """Import what children would import one by one, and do once what is slow the first time; training is left out, since
    PyTorch differentiates in no child of a process that has done so."""
    for module in pkgutil.walk_packages(anew.__path__, "anew."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    run_folder = finished(kind) / "run"
    anew.load(run_folder, "cpu").sample(1)


def case(kind: str, seed: int, work: Callable[[Path, list[str]], Any] = _verbs) -> tuple[Outcome, list[Outcome], str]:
    """One altered run: (outcome of the child, failures, what was altered and which verbs were tried)."""
    source = random.Random(f"{kind} {seed}")
    home = finished(kind)
    if work is _verbs:
        preload(kind)
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
        changes = source.choice(TAMPERS)(source, place / "run")
        names = source.sample(sorted(verbs.LONG), LONG_TRIED)
        before = _snapshot(Path(top), place)
        outcome = run(lambda: work(place, names), LIMITS, quiet=False)
        failures = [Outcome(**failure) for failure in outcome.value or []] if outcome.fault is None else [outcome]
        if outcome.fault is not None and (place / "verb").exists():
            outcome.detail = f"{(place / 'verb').read_text()}: {outcome.detail}"
        failures += _broken_out(before, _snapshot(Path(top), place))
        outcome.value = None
    return outcome, failures, f"{changes}; {', '.join(names)}"


def _broken_out(before: dict[str, Any], after: dict[str, Any]) -> list[Outcome]:
    """What a verb executed, or wrote outside the run and the folder for its results."""
    if any(Path(name).name == CANARY for name in after):
        return [Outcome("executed", "code of the stranger was executed")]
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name, 0) != after.get(name, 0))
    return [Outcome("written", f"outside the run: {', '.join(changed[:5])}")] if changed else []
