"""The verbs: look, train, resume, load, score, evaluate. The command line and every page call these and nothing below."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anew.errors import ConfigError
from anew.plan import seconds as parse_seconds
from anew.training.run import RunFolder

if TYPE_CHECKING:
    from anew.model import Model
    from anew.planning import Reporter

Settings = Mapping[str, Any]


def train(
    data: str | Path,
    run: str | Path | None = None,
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    family: str | None = None,
    modality: str | None = None,
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
    settings: knobs by name. Raises a UserError with one sentence where something given cannot be used.
    """
    started = time.monotonic() if started is None else started
    if budget is not None and steps is not None:
        raise ConfigError("both budget and steps were given; give one of them")
    if steps is not None and steps < 1:
        raise ConfigError(f"steps={steps} is out of range; give at least 1")
    chosen = dict(settings or {})
    timed = steps is None and plan is None and "train_seconds" not in chosen and "train.train_seconds" not in chosen
    allowed = parse_seconds(budget if budget is not None else "10m") if timed or budget is not None else None
    request = {
        "data": str(data), "budget": allowed, "steps": steps, "family": family, "modality": modality, "seed": seed,
        "settings": {k: str(v) for k, v in chosen.items()}, "plan_from": None if plan is None else str(plan),
    }  # fmt: skip
    if not _is_hub_name(str(data)) and not Path(data).exists():
        from anew.errors import DataError

        raise DataError(f"{str(data)!r} does not exist; give a folder, a file or a hub name like owner/name")
    folder = Path(run) if run is not None else _new_run(Path(data).stem or "data")
    if os.environ.get("RANK", "0") == "0":
        RunFolder.create(folder).write_config(
            {"request": request, "status": "begun"}
        )  # a kill from here on can be resumed
    return _carry_out(RunFolder(folder), request, reporter, started)


def resume(
    run: str | Path,
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    data: str | Path | None = None,
    reporter: Reporter | None = None,
    started: float | None = None,
) -> Model:
    """Finish a run that was stopped, or give it more: `steps` is the new total, `budget` is additional time.

    data: where the data lies now, if it was moved. A finished run without more to do is returned as it is.
    """
    started = time.monotonic() if started is None else started
    if budget is not None and steps is not None:
        raise ConfigError("both budget and steps were given; give one of them")
    folder = RunFolder.open(Path(run))
    config = folder.config()
    if config.get("status") == "begun":
        request = dict(config["request"])
        if data is not None:
            request["data"] = str(data)
        if steps is not None or budget is not None:
            request |= {"steps": steps, "budget": None if budget is None else parse_seconds(budget)}
        return _carry_out(folder, request, reporter, started)
    from anew.work import continue_run

    more = None if budget is None else parse_seconds(budget)
    return continue_run(folder, more, steps, None if data is None else str(data), reporter, started)


def _carry_out(folder: RunFolder, request: dict[str, Any], reporter: Reporter | None, started: float) -> Model:
    from anew.work import new_run

    return new_run(folder, request, reporter, started)


def load(run: str | Path, device: str = "auto") -> Model:
    """The Model of a run: `.sample(16)`, `.stream()`, `.score(data)`. Needs the run folder alone."""
    from anew.model import Model

    return Model(RunFolder.open(Path(run)), device)


def look(
    data: str | Path, *, modality: str | None = None, seed: int = 0, settings: Settings | None = None
) -> dict[str, Any]:
    """What the data is, how much, what was refused and why, which family follows and why, what budgets would buy."""
    from anew.looking import looked

    return looked(str(data), modality, seed, dict(settings or {}))


def score(run: str | Path, data: str | Path, *, limit: float | None = None) -> dict[str, float]:
    """Bits per character (residue, dimension) of other data under the model; context carries across a document."""
    return load(run).score(data, limit=limit)


def evaluate(
    run: str | Path, n: int = 2000, *, seed: int = 0, data: str | Path | None = None, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Measure n samples of a run against its data and write `report/`; returns what report.json holds."""
    from anew.work import evaluated

    return evaluated(load(run), n, seed, None if data is None else str(data), None, reporter)


def example(name: str, folder: str | Path) -> Path:
    """Write real data that an installed package ships as ordinary files into a new folder."""
    from anew.examples import write_example

    write_example(name, Path(folder))
    return Path(folder)


def _is_hub_name(name: str) -> bool:
    return (
        not Path(name).exists()
        and name.count("/") == 1
        and not name.startswith((".", "/", "~"))
        and not name.endswith("/")
    )


def _new_run(stem: str) -> Path:
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path


__all__ = ["evaluate", "example", "load", "look", "resume", "score", "train"]
