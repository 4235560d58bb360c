"""The verbs: look, train, resume, load, score, evaluate, walk, compare. The command line and every page call these and nothing below."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anew.core import arguments
from anew.core.registry import check_name, load_user_family
from anew.core.settings import as_text, whole
from anew.core.settings import seconds as parse_seconds
from anew.errors import ConfigError, DataError, RunError, short
from anew.runs.folder import OWN_FAMILY, RunFolder

if TYPE_CHECKING:
    from anew.planning.planner import Reporter
    from anew.sampling.interpolation import Walk
    from anew.sampling.model import Model
    from anew.workflows.compare.run import ComparisonReport
    from anew.workflows.evaluate import EvaluationReport

Settings = Mapping[str, Any]
PREFERENCES = ("quality", "speed", "latent")
HUB_NAME = re.compile(r"(hf://)?[\w.-]+/[\w.-]+(:[\w.-]+)?")  # owner/name, or owner/name:config
MOST_MEASURED = 1_000_000  # samples of one report


def train(
    data: str | Path,
    run: str | Path | None = None,
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    family: str | None = None,
    modality: str | None = None,
    prefer: str = "quality",
    seed: int = 0,
    settings: Settings | None = None,
    plan: str | Path | None = None,
    reporter: Reporter | None = None,
    started: float | None = None,
) -> Model:
    """Train a generator of new items on `data` and return its Model; the run folder holds everything.

    data: a folder, a file or a hub name. run: the folder to make (default: runs/NAME-N). budget: wall-clock time for all
    of it ("90s", "10m", "2h", or seconds); steps: a number of steps instead, nothing is measured and the same arguments
    give the same run. Without either the budget is 10 minutes. plan: a run whose plan is replayed step by step.
    prefer: what decides between families where none is given: "quality", "speed" (of sampling) or "latent" (a space to
    walk in). settings: knobs by name. Raises a UserError with one sentence where something given cannot be used.
    """
    started = time.monotonic() if started is None else started
    request = _request(data, budget, steps, family, modality, prefer, seed, settings)
    reporter = arguments.reporter(reporter)
    own = _own_family(request)
    if plan is not None:
        request = _replay(request, arguments.path("plan", plan))
    elif steps is None and budget is None and not _trains_by_seconds(request["settings"]):
        request["budget"] = parse_seconds("10m")
    folder = default_run(data) if run is None else arguments.path("run", run)
    undo = "files" if folder.exists() else "folder"
    if os.environ.get("RANK", "0") == "0":
        RunFolder.create(folder)
    return _begin(RunFolder(folder), request, reporter, started, undo, own)


def _begin(
    folder: RunFolder,
    request: Mapping[str, Any],
    reporter: Reporter | None,
    started: float,
    undo: str,
    own: Path | None,
) -> Model:
    """Train in a new folder. own: the user's file of a family, which is copied into the run: it needs nothing else then."""
    from anew.core import files
    from anew.runs.record import Begun, requested

    asked = requested(request)
    with folder.locked():
        if os.environ.get("RANK", "0") == "0":
            if own is not None:
                files.write(folder.path / OWN_FAMILY, own.read_bytes())
            # Written before PyTorch is imported: a kill from here on can be resumed.
            folder.write_config(Begun(request=asked))
        from anew.workflows.train import new_run

        return new_run(folder, asked, reporter, started, undo, lambda: None if own is None else load_user_family(own))


def _own_family(request: dict[str, Any]) -> Path | None:
    """The user's own file where the family is one, and the request then names the copy in the run; else the name is checked."""
    family = request["family"]
    if not isinstance(family, str) or not family.endswith(".py"):
        for room, name in (("families", family), ("data", request["modality"])):
            if isinstance(name, str):
                check_name(room, name)
        return None
    path = Path(family)
    if not path.is_file():
        raise ConfigError(f"the family file {family!r} does not exist; give a Python file that ends with EXPORT = ...")
    request["family"] = OWN_FAMILY
    return path


def _request(
    data: Any, budget: Any, steps: Any, family: Any, modality: Any, prefer: Any, seed: Any, settings: Any
) -> dict[str, Any]:
    """What is asked of a training, as config.json holds it."""
    if arguments.optional_text("family", family) is not None and os.fspath(family).endswith(".py"):
        arguments.path("family", family)
    request = {
        "data": _place(data),
        "budget": None if budget is None else parse_seconds(budget),
        "steps": steps,
        "family": arguments.optional_text("family", family),
        "modality": arguments.optional_text("modality", modality),
        "prefer": prefer,
        "seed": seed,
        "settings": {name: as_text(value) for name, value in arguments.settings(settings).items()},
    }
    _check(request)
    return request


def _place(data: Any) -> str:
    """Where the data lies, whatever folder a later `resume` is called from."""
    place = arguments.path("data", data, DataError)
    if place.exists():
        return str(place.resolve())
    if not _is_hub_name(str(data)):
        raise DataError(f"{str(data)!r} does not exist; give a folder, a file or a hub name like owner/name")
    return str(data)


def _check(request: dict[str, Any]) -> None:
    """Raise ConfigError where the request cannot be; its whole numbers become Python's, which JSON takes."""
    steps = request["steps"]
    if request["budget"] is not None and steps is not None:
        raise ConfigError("both `budget` and `steps` were given; give one of them")
    if steps is not None:
        request["steps"] = whole("steps", steps, 1, 10**12)
    request["seed"] = whole("seed", request["seed"])
    arguments.choice("prefer", request["prefer"], PREFERENCES)
    if _trains_by_seconds(request["settings"]) and steps is not None:
        raise ConfigError("both `steps` and the setting train_seconds were given; give one of them")


def _trains_by_seconds(settings: Mapping[str, str]) -> bool:
    return any(settings.get(name, "0") not in ("0", "0.0") for name in ("train_seconds", "train.train_seconds"))


OUTSIDE_A_PLAN = {"evaluate_samples", "previews", "tensorboard", "checkpoint_seconds", "device", "parallel"}


def _replay(request: Mapping[str, Any], plan: Path) -> dict[str, Any]:
    """The request of the run whose plan is replayed, for the data given: everything else is the plan's. Code in that run is
    not run for it: a family of the user's own is given again."""
    record = RunFolder.open(plan).record()
    before = asdict(record.request)
    code = record.family.name == OWN_FAMILY
    if code and request["family"] != OWN_FAMILY:
        file = str(plan / OWN_FAMILY)
        raise RunError(f"the family of {str(plan)!r} is code; read {file!r}, then give that file as `family`")
    alike = ("family",) if code else ()
    own = [n for n in ("budget", "steps", "family", "modality") if request[n] is not None and n not in alike]
    own += [name for name in request["settings"] if name.rpartition(".")[2] not in OUTSIDE_A_PLAN]
    own += ["seed"] if request["seed"] else []
    own += ["prefer"] if request["prefer"] != "quality" else []
    if own:
        raise ConfigError(f"`plan` takes {own[0]!r} from the run that it replays; leave it out")
    kept = {k: v for k, v in before["settings"].items() if k.rpartition(".")[2] != "train_seconds"}
    return {**before, "data": request["data"], "budget": None, "steps": None, "plan_from": str(plan.resolve()),
            "settings": kept | dict(request["settings"]), "fit_seconds": record.data.seconds}  # fmt: skip


def resume(
    run: str | Path,
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    data: str | Path | None = None,
    trust_code: bool = False,
    reporter: Reporter | None = None,
    started: float | None = None,
) -> Model:
    """Finish a run that was stopped, or give it more: `steps` is the new total, `budget` is additional time.

    data: where the data lies now, if it was moved. A finished run without more to do is returned as it is.
    """
    started = time.monotonic() if started is None else started
    if budget is not None and steps is not None:
        raise ConfigError("both `budget` and `steps` were given; give one of them")
    steps = None if steps is None else whole("steps", steps, 1, 10**12)
    more = None if budget is None else parse_seconds(budget)
    reporter, trust_code = arguments.reporter(reporter), arguments.switch("trust_code", trust_code)
    where = arguments.optional_path("data", data, DataError)
    folder = _opened(run)
    with folder.locked():
        record = folder.read()
        if record.status == "begun":
            request = asdict(record.request)
            if data is not None:
                request["data"] = _place(data)
            if steps is not None or more is not None:
                request |= {"steps": steps, "budget": more}
            return _resume_begun(folder, request, reporter, started, trust_code)
        from anew.workflows.train import continue_run

        return continue_run(folder, more, steps, None if where is None else str(where), reporter, started, trust_code)


def _resume_begun(
    folder: RunFolder, request: dict[str, Any], reporter: Reporter | None, started: float, trust_code: bool
) -> Model:
    _check(request)
    from anew.data.dataset import check_there
    from anew.runs.record import requested
    from anew.sampling.restore import own_family
    from anew.workflows.train import new_run

    check_there(request["data"])
    asked = requested(request)
    own = own_family(asked.family, folder.path, trust_code)
    return new_run(folder, asked, reporter, started, "nothing", lambda: own)


def load(run: str | Path, device: str = "auto", *, trust_code: bool = False) -> Model:
    """The Model of a run: `.sample(16)`, `.stream()`, `.score(data)`. Needs the run folder alone.

    trust_code: run the `family.py` that a run with a family of its own holds. Look at it first: it is code.
    """
    from anew.sampling.model import Model

    return Model(_opened(run), device, trust_code=arguments.switch("trust_code", trust_code))


def _opened(run: Any) -> RunFolder:
    return RunFolder.open(arguments.path("run", run, RunError))


def look(
    data: str | Path,
    *,
    modality: str | None = None,
    prefer: str = "quality",
    seed: int = 0,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """What the data is, how much, what was refused and why, which family follows and why, what budgets would buy."""
    from anew.workflows.inspect import looked

    where = str(arguments.path("data", data, DataError))
    arguments.choice("prefer", prefer, PREFERENCES)
    kind = arguments.optional_text("modality", modality)
    return looked(where, kind, prefer, whole("seed", seed), arguments.settings(settings))


def score(run: str | Path, data: str | Path, *, limit: float | None = None, trust_code: bool = False) -> dict[str, Any]:
    """Bits per character (residue, dimension) of other data under the model; context carries across a document.

    Returns the figures, `bound` ("exact" or "an upper bound"), how many items were `skipped`, and `notes` on which and why.
    """
    return load(run, trust_code=trust_code).score(data, limit=limit)


def evaluate(
    run: str | Path | None = None,
    n: int = 2000,
    *,
    samples: str | Path | None = None,
    data: str | Path | None = None,
    held_out: str | Path | None = None,
    features: str | Path | None = None,
    modality: str | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    trust_code: bool = False,
    reporter: Reporter | None = None,
) -> EvaluationReport:
    """Measure n samples of a run against its data and write its `report/`; or n of the `samples` made elsewhere against
    `data`, and write the report into `out` (default: runs/NAME-N).

    held_out: items of the same source that the generator of `samples` was not trained on (default: the parts of `data`,
    if it has any); features: a safetensors file with `samples`, `held_out` and `train` (n, d), used instead of ours.
    The report that is returned has `scores` (`report["frechet_distance"].value`), `copies`, `verdict`, `grades` and `notes`;
    `to_json()` gives what report.json holds. An earlier report of a run, and its samples, are replaced.
    """
    if (run is None) == (samples is None):
        raise ConfigError("give either `run`, or `samples` with `data` for samples made elsewhere")
    n, seed = whole("n", n, 1, MOST_MEASURED), whole("seed", seed)
    reporter, kind = arguments.reporter(reporter), arguments.optional_text("modality", modality)
    trust_code = arguments.switch("trust_code", trust_code)
    where = arguments.optional_path("data", data, DataError)
    held, target = arguments.optional_path("held_out", held_out), arguments.optional_path("out", out)
    table = arguments.optional_path("features", features)
    if run is not None:
        odd = {"held_out": held_out, "out": out, "modality": modality}
        name = next((name for name, value in odd.items() if value is not None), None)
        if name is not None:
            sentence = f"`{name}` is for samples made elsewhere; a run has its own held-out items and report"
            raise ConfigError(sentence)
        from anew.workflows.evaluate import evaluate_run

        model_data, own = None if where is None else str(where), _features(table)
        with _opened(run).locked():
            model = load(run, trust_code=trust_code)
            return evaluate_run(model, n, seed=seed, data=model_data, reporter=reporter, features=own)
    made = arguments.path("samples", samples)
    if where is None:
        raise ConfigError("`samples` needs `data`: the data that the samples are to be like")
    _there({"samples": made, "data": where, "held_out": held})
    from anew.workflows.audit import evaluate_samples

    return evaluate_samples(
        str(made),
        str(where),
        default_report(made) if target is None else target,
        held_out=None if held is None else str(held),
        n=n,
        seed=seed,
        modality=kind,
        features=_features(table),
        reporter=reporter,
    )


def _there(places: Mapping[str, Path | None]) -> None:
    missing = next((name for name, place in places.items() if place is not None and not place.exists()), None)
    if missing is not None:
        raise DataError(f"`{missing}` {str(places[missing])!r} does not exist; give a folder or a file")


def _features(table: Path | None) -> Any:
    from anew.workflows.audit import read_features

    return None if table is None else read_features(str(table))


def walk(
    run: str | Path,
    n: int = 60,
    *,
    stops: int = 5,
    seed: int = 0,
    label: str | int | None = None,
    ends: tuple[Any, Any] | None = None,
    settings: Settings | None = None,
    trust_code: bool = False,
) -> Walk:
    """A walk through the space that a run's samples start from: `anew.walk(run).save("walk/")`. See `Model.walk`."""
    model = load(run, trust_code=trust_code)
    how = arguments.keywords(settings, model.walk)
    return model.walk(n, stops=stops, seed=seed, label=label, ends=ends, **how)


def compare(
    data: str | Path | None,
    out: str | Path,
    *,
    families: str | Sequence[str] = (),
    runs: Sequence[str | Path] = (),
    budget: str | float | None = None,
    steps: int | None = None,
    modality: str | None = None,
    seed: int = 0,
    settings: Settings | None = None,
    n: int = 1000,
    trust_code: bool = False,
    reporter: Reporter | None = None,
) -> ComparisonReport:
    """Train several families on the same data, split and seed, each within the budget (5 minutes), or take finished `runs`;
    measure them alike and write compare.json and compare.html into `out`.

    families: names, as in "vae,gan,diffusion:latent"; n: samples of each. The same call goes on where it was stopped."""
    n = whole("n", n, 1, MOST_MEASURED)
    listed = [arguments.path("runs", run, RunError) for run in arguments.several("runs", runs)]
    named = arguments.several("families", families)
    odd = next((name for name in named if not isinstance(name, str)), None)
    if odd is not None:
        raise ConfigError(f"`families` must be names (got {short(odd)})")
    if bool(listed) == bool(named):
        raise ConfigError("give either `families` to train, as in vae,gan,diffusion, or `runs` that are finished")
    if listed and not (data is None and budget is None and steps is None and not settings):
        raise ConfigError("runs are compared as they are; leave data, budget, steps and settings out")
    if not listed and data is None:
        raise ConfigError("`data` is missing; give what the families are to be trained on")
    reporter, trust_code = arguments.reporter(reporter), arguments.switch("trust_code", trust_code)
    target = arguments.path("out", out)
    request: dict[str, Any] = {}
    if data is not None:
        limit = "5m" if budget is None and steps is None else budget
        request = _request(data, limit, steps, None, modality, "quality", seed, settings)
        request["families"] = [name.strip() for each in named for name in each.split(",") if name.strip()]
    from anew.workflows.compare.run import compare_families

    return compare_families(target, request, listed, n, trust_code, reporter)


def example(name: str, folder: str | Path) -> Path:
    """Write real data that an installed package ships as ordinary files into a new folder."""
    from anew.workflows.examples import write_example

    target = arguments.path("folder", folder)
    write_example(arguments.optional_text("name", name) or "", target)
    return target


def _is_hub_name(name: str) -> bool:
    return not name.startswith((".", "/", "~")) and HUB_NAME.fullmatch(name) is not None


def default_run(data: str | Path) -> Path:
    """The folder of a new run on the data, where none was named."""
    return _new_run(arguments.stem(Path(data)) or "data")


def default_report(samples: Path) -> Path:
    """The folder of a report on samples made elsewhere, where none was named."""
    return _new_run(f"{arguments.stem(samples) or 'samples'}-report")


def _new_run(stem: str) -> Path:
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path


__all__ = ["compare", "evaluate", "example", "load", "look", "resume", "score", "train", "walk"]
