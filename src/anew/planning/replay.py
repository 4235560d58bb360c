"""Replay the plan of another run, step by step. Does not import PyTorch: requests are checked before that is imported."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from anew.core import settings as cfg
from anew.core.specs import Spec
from anew.core.stores.addresses import run_address
from anew.errors import ConfigError, RunError, restoring
from anew.runs import events as events_file
from anew.runs.folder import RunFolder
from anew.runs.paths import CONFIG, OWN_FAMILY
from anew.runs.record import Plan, Request
from anew.runs.step_record import StepRecord, step_record

if TYPE_CHECKING:
    from anew.families.base import FamilyConfig

# Settings that change no step, so they may differ from those of the replayed run.
OUTSIDE_A_PLAN = {
    "evaluate_samples",
    "previews",
    "timelapse",
    "tensorboard",
    "checkpoint_seconds",
    "device",
    "parallel",
    "recompute",
    "compile",
}


def replayed_run(plan_from: str | Path) -> RunFolder:
    """Open the run whose plan is replayed: a folder, or the cached copy of a run at an address.

    Raises:
        RunError: There is no such run. A run at an address is fetched only by an explicit command (`fetch_plan`).
    """
    address = run_address(plan_from)
    if address is None:
        return RunFolder.open(Path(plan_from))
    from anew.runs.mirror import place_of

    place = place_of(address)
    if not (place / CONFIG).exists():
        raise RunError(
            f"the plan is that of {address!r}, which was never read on this computer; if you trust it, "
            f"`anew look {address}` fetches it"
        )
    return RunFolder.open(place)


def fetch_plan(address: str) -> None:
    """Copy the run at an address into the cache, without its checkpoints.

    Raises:
        RunError: No run is there, or the store cannot be read.
    """
    from anew.runs.mirror import Mirror

    mirror = Mirror(address)
    mirror.fetch(whole=False)
    if not (mirror.folder / CONFIG).exists():
        raise RunError(f"there is no run at {address!r}; check the address")


def replay_request(request: Request, plan: Path | str) -> Request:
    """The request that replays the plan of a run on the data of `request`; everything else comes from that run.

    No code of that run is executed: a family of the user's own must be given again.

    Args:
        request: The request, apart from the plan.
        plan: The run to replay, as a folder or an address.

    Raises:
        ConfigError: The request sets something that the plan decides.
        RunError: The family of the run is code, and was not given again.
    """
    run = replayed_run(plan)
    record = run.record()
    is_code = record.family.name == OWN_FAMILY
    if is_code and request.family != OWN_FAMILY:
        file = str(run.path / OWN_FAMILY)
        raise RunError(f"the family of {str(plan)!r} is code; read {file!r}, then give that file as `family`")
    conflicts = _conflicts(request, is_code)
    if conflicts:
        raise ConfigError(f"`plan` takes {conflicts[0]!r} from the run that it replays; leave it out")
    settings = {name: v for name, v in record.request.settings.items() if _without_owner(name) != "train_seconds"}
    return dataclasses.replace(
        record.request,
        data=request.data,
        budget=None,
        steps=None,
        plan_from=plan if isinstance(plan, str) else str(plan.resolve()),
        settings={**settings, **request.settings},
        fit_seconds=record.data.seconds,
    )


def _conflicts(request: Request, is_code: bool) -> list[str]:
    """The names of what the request sets although the plan decides it."""
    values = {
        "budget": request.budget is not None,
        "steps": request.steps is not None,
        "family": request.family is not None and not is_code,
        "modality": request.modality is not None,
        "seed": request.seed != 0,
        "prefer": request.prefer != "quality",
    }
    settings = [name for name in request.settings if _without_owner(name) not in OUTSIDE_A_PLAN]
    return [*(name for name, is_set in values.items() if is_set), *settings]


def _without_owner(setting: str) -> str:
    return setting.rpartition(".")[2]


def replayed_steps(run: str | Path) -> StepRecord:
    """The steps that a run logged. RunError if one is missing."""
    return step_record(replayed_run(run).path / events_file.NAME)


def replayed_plan(run: str | Path, spec: Spec, config_class: type) -> tuple[Plan, FamilyConfig]:
    """The plan of a run, with as many steps as it logged and without a time limit, and the Config of its family.

    Raises:
        RunError: The plan was made for data of another spec.
    """
    folder = replayed_run(run)
    record = folder.record()
    if record.spec != spec:
        raise RunError(f"the plan of {str(folder.path)!r} was made for other data; give the data of that run")
    steps = len(replayed_steps(run).progress)
    plan = dataclasses.replace(record.plan, steps=steps, budget_s=None, train_s=None, evaluate_s=None)
    with restoring(folder.path / CONFIG):
        return plan, cfg.from_json(config_class, record.family.config)
