"""The verbs: look, train, resume, load, score, evaluate, walk, compare. The command line and every page call these and nothing below."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anew.core.settings import seconds as parse_seconds
from anew.core.settings import whole
from anew.errors import ConfigError, DataError, RunError, short
from anew.runs.folder import RunFolder

if TYPE_CHECKING:
    from anew.planning.planner import Reporter
    from anew.sampling.interpolation import Walk
    from anew.sampling.model import Model
    from anew.workflows.compare.run import ComparisonReport
    from anew.workflows.evaluate import EvaluationReport

Settings = Mapping[str, Any]
PREFERENCES = ("quality", "speed", "latent")
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
    request: dict[str, Any] = {"data": _place(data), "budget": None if budget is None else parse_seconds(budget), "steps": steps,
               "family": family, "modality": modality, "prefer": prefer, "seed": seed,
               "settings": {k: str(v) for k, v in (settings or {}).items()}}  # fmt: skip
    _check(request)
    if plan is not None:
        request = _replay(request, Path(plan))
    elif steps is None and budget is None and not _trains_by_seconds(request["settings"]):
        request["budget"] = parse_seconds("10m")
    folder = _run_of(data) if run is None else _named(run)
    undo = "files" if folder.exists() else "folder"
    if os.environ.get("RANK", "0") == "0":
        # Written before PyTorch is imported: a kill from here on can be resumed.
        RunFolder.create(folder).write_config({"request": request, "status": "begun"})
    from anew.workflows.train import new_run

    return new_run(RunFolder(folder), request, reporter, started, undo)


def _place(data: str | Path) -> str:
    """Where the data lies, whatever folder a later `resume` is called from."""
    if not isinstance(data, str | os.PathLike):
        raise DataError(f"data={short(data)} is no path; give a folder, a file or a hub name like owner/name")
    if Path(data).exists():
        return str(Path(data).resolve())
    if not _is_hub_name(str(data)):
        raise DataError(f"{str(data)!r} does not exist; give a folder, a file or a hub name like owner/name")
    return str(data)


def _check(request: dict[str, Any]) -> None:
    """Raise ConfigError where the request cannot be; its whole numbers become Python's, which JSON takes."""
    steps = request["steps"]
    if request["budget"] is not None and steps is not None:
        raise ConfigError("both budget and steps were given; give one of them")
    if steps is not None:
        request["steps"] = whole("steps", steps, 1, 10**12)
    request["seed"] = whole("seed", request["seed"])
    if request["prefer"] not in PREFERENCES:
        raise ConfigError(f"prefer={request['prefer']!r} is not allowed; give {', '.join(PREFERENCES)}")
    if _trains_by_seconds(request["settings"]) and steps is not None:
        raise ConfigError("both steps and train_seconds were given; give one of them")


def _trains_by_seconds(settings: Mapping[str, str]) -> bool:
    return any(settings.get(name, "0") not in ("0", "0.0") for name in ("train_seconds", "train.train_seconds"))


OUTSIDE_A_PLAN = {"evaluate_samples", "previews", "tensorboard", "checkpoint_seconds", "device", "parallel"}


def _replay(request: Mapping[str, Any], plan: Path) -> dict[str, Any]:
    """The request of the run whose plan is replayed, for the data given: everything else is the plan's."""
    own = {name: request[name] for name in ("budget", "steps", "family", "modality") if request[name] is not None}
    own |= {k: v for k, v in request["settings"].items() if k not in OUTSIDE_A_PLAN} | (
        {"seed": 1} if request["seed"] else {}
    )
    own |= {} if request["prefer"] == "quality" else {"prefer": 1}
    if own:
        raise ConfigError(f"--plan takes {next(iter(own))!r} from the run that it replays; leave it out")
    config = RunFolder.open(plan).config()
    if "plan" not in config:
        raise RunError(f"{str(plan)!r} was stopped before its plan was made; give a run that has trained")
    before = config["request"]
    kept = {k: v for k, v in before["settings"].items() if k.rpartition(".")[2] != "train_seconds"}
    return {**before, "data": request["data"], "budget": None, "steps": None, "plan_from": str(plan.resolve()),
            "settings": kept | dict(request["settings"]), "fit_seconds": config["data"].get("seconds")}  # fmt: skip


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
        raise ConfigError("both budget and steps were given; give one of them")
    folder = RunFolder.open(run)
    config = folder.config()
    if config.get("status") == "begun":
        request = dict(config["request"])
        if data is not None:
            request["data"] = _place(data)
        if steps is not None or budget is not None:
            request |= {"steps": steps, "budget": None if budget is None else parse_seconds(budget)}
        _check(request)
        from anew.data.dataset import check_there
        from anew.workflows.train import new_run

        check_there(request["data"])
        return new_run(folder, request, reporter, started, "nothing")
    from anew.workflows.train import continue_run

    more = None if budget is None else parse_seconds(budget)
    return continue_run(folder, more, steps, None if data is None else str(data), reporter, started, trust_code)


def load(run: str | Path, device: str = "auto", *, trust_code: bool = False) -> Model:
    """The Model of a run: `.sample(16)`, `.stream()`, `.score(data)`. Needs the run folder alone.

    trust_code: run the `family.py` that a run with a family of its own holds. Look at it first: it is code.
    """
    from anew.sampling.model import Model

    return Model(RunFolder.open(run), device, trust_code=trust_code)


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

    if prefer not in PREFERENCES:
        raise ConfigError(f"prefer={prefer!r} is not allowed; give {', '.join(PREFERENCES)}")
    return looked(str(data), modality, prefer, whole("seed", seed), dict(settings or {}))


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
        raise ConfigError("give either a run, or --samples DIR with --data DIR for samples made elsewhere")
    n, seed = whole("n", n, 1, MOST_MEASURED), whole("seed", seed)
    where = None if data is None else str(data)
    if run is not None:
        odd = {"--held-out": held_out, "--out": out, "--modality": modality}
        given = next((name for name, value in odd.items() if value is not None), None)
        if given is not None:
            raise ConfigError(f"{given} is for samples made elsewhere; a run has its own held-out items and report")
        from anew.workflows.evaluate import evaluate_run

        own = _features(features)
        model = load(run, trust_code=trust_code)
        return evaluate_run(model, n, seed=seed, data=where, reporter=reporter, features=own)
    if where is None:
        raise ConfigError("--samples needs --data: the data that the samples are to be like")
    for name, path in (("--samples", samples), ("--data", data), ("--held-out", held_out)):
        if path is not None and not Path(path).exists():
            raise DataError(f"{name} {str(path)!r} does not exist; give a folder or a file")
    from anew.workflows.audit import evaluate_samples

    folder = Path(out) if out is not None else _new_run(f"{Path(str(samples)).stem or 'samples'}-report")
    held = None if held_out is None else str(held_out)
    return evaluate_samples(
        str(samples),
        where,
        folder,
        held_out=held,
        n=n,
        seed=seed,
        modality=modality,
        features=_features(features),
        reporter=reporter,
    )


def _features(path: str | Path | None) -> Any:
    from anew.workflows.audit import read_features

    return None if path is None else read_features(str(path))


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
    return model.walk(n, stops=stops, seed=seed, label=label, ends=ends, **dict(settings or {}))


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
    if bool(runs) == bool(families):
        raise ConfigError("give either families to train, as in --families vae,gan,diffusion, or finished runs")
    if runs and not (data is None and budget is None and steps is None and not settings):
        raise ConfigError("runs are compared as they are; leave data, budget, steps and settings out")
    if not runs and data is None:
        raise ConfigError("the data is missing; give what the families are to be trained on")
    request: dict[str, Any] = {}
    if data is not None:
        seconds = None if budget is None else parse_seconds(budget)
        seconds = parse_seconds("5m") if seconds is None and steps is None else seconds
        request = {"data": _place(data), "families": families, "budget": seconds, "steps": steps, "modality": modality,
                   "family": None, "prefer": "quality", "seed": seed,
                   "settings": {k: str(v) for k, v in (settings or {}).items()}}  # fmt: skip
        _check(request)
    from anew.workflows.compare.run import compare_families

    return compare_families(Path(out), request, runs, n, trust_code, reporter)


def example(name: str, folder: str | Path) -> Path:
    """Write real data that an installed package ships as ordinary files into a new folder."""
    from anew.workflows.examples import write_example

    write_example(name, Path(folder))
    return Path(folder)


def _is_hub_name(name: str) -> bool:
    return (
        not Path(name).exists()
        and name.count("/") == 1
        and not name.startswith((".", "/", "~"))
        and not name.endswith("/")
    )


def _named(run: str | Path) -> Path:
    """The folder of a new run that was named."""
    if not isinstance(run, str | os.PathLike):
        raise ConfigError(f"run={short(run)} is no path; give the folder that the run is to be made in")
    return Path(run)


def _run_of(data: str | Path) -> Path:
    """The folder of a new run on the data, where none was named."""
    return _new_run(Path(data).stem or "data")


def _new_run(stem: str) -> Path:
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path


__all__ = ["compare", "evaluate", "example", "load", "look", "resume", "score", "train", "walk"]
