"""A user's request for a training, checked before anything is read or made. Without PyTorch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from anew.core import arguments
from anew.core.addresses import address_of, without_query
from anew.core.durations import parse_duration
from anew.core.registry import check_name
from anew.core.settings import SettingValue, as_text, check_int
from anew.data.file_names import is_hub_name
from anew.errors import ConfigError, DataError
from anew.runs.paths import OWN_FAMILY
from anew.runs.record import PREFERENCES, Request, requested

Settings: TypeAlias = Mapping[str, SettingValue]

MOST_STEPS = 10**12  # a bound that no training reaches, so that a slip is refused and numbers stay exact
DEFAULT_BUDGET = "10m"


def make_request(
    data: str | Path,
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    family: str | Path | None = None,
    modality: str | None = None,
    prefer: str = "quality",
    seed: int = 0,
    settings: Settings | None = None,
) -> Request:
    """The request of a training. Arguments are those of `anew.train`.

    A family that is a file of the user's own is `family.py` in the request: the name of its copy in the run.

    Raises:
        UserError: An argument cannot be used.
    """
    family_name = arguments.optional_text("family", family)
    modality = arguments.optional_text("modality", modality)
    place = resolve_data(data)
    seconds_in_all = None if budget is None else parse_duration(budget)
    texts = {name: as_text(value) for name, value in arguments.settings(settings).items()}
    request = {
        "data": place,
        "budget": seconds_in_all,
        "steps": check_steps(steps),
        "family": OWN_FAMILY if user_file(family_name) is not None else family_name,
        "modality": modality,
        "prefer": arguments.choice("prefer", prefer, PREFERENCES),
        "seed": check_int("seed", seed),
        "settings": texts,
    }
    if family_name is not None and request["family"] != OWN_FAMILY:
        check_name("families", family_name)
    if modality is not None:
        check_name("data", modality)
    return check_request(requested(request))


def check_request(request: Request) -> Request:
    """The request itself; ConfigError where what it asks for excludes each other."""
    if request.budget is not None and request.steps is not None:
        raise ConfigError("`budget` and `steps` are mutually exclusive; give one")
    if trains_by_seconds(request) and request.steps is not None:
        raise ConfigError("`steps` and the setting train_seconds are mutually exclusive; give one")
    return request


def check_steps(steps: int | None) -> int | None:
    """A number of steps, or None; ConfigError where it is out of range."""
    return None if steps is None else check_int("steps", steps, 1, MOST_STEPS)


def trains_by_seconds(request: Request) -> bool:
    """Whether the setting `train_seconds` says how long training takes."""
    return any(request.settings.get(name, "0") not in ("0", "0.0") for name in ("train_seconds", "train.train_seconds"))


def user_file(family: str | None) -> Path | None:
    """The user's own file where the family is one, else None.

    Raises:
        ConfigError: There is no such file.
    """
    if family is None or not family.endswith(".py"):
        return None
    path = arguments.path("family", family)
    if not path.is_file():
        raise ConfigError(f"the family file {family!r} does not exist; give a Python file that ends with EXPORT = ...")
    return path


def is_there(path: Path) -> bool:
    """Whether data may lie at a path: it exists, or it is an address, which only reading can tell."""
    return path.exists() or address_of(str(path)) is not None


def resolve_data(data: str | Path) -> str:
    """Absolute path or address of the data, whatever folder a later `resume` is called from.

    Raises:
        DataError: It is neither there nor the name of a data set of the hub.
    """
    path = arguments.path("data", data, DataError)
    if path.exists():
        return str(path.resolve())
    name = os.fspath(data)
    if not is_hub_name(name) and (address := address_of(name)) is not None:
        return without_query(address)
    if not is_hub_name(name):
        raise DataError(f"{name!r} does not exist; give a folder, a file, an address or a hub name like owner/name")
    return name
