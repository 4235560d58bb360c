"""A user's request for a training, checked before anything is read or written. Does not import PyTorch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from anew.core import arguments
from anew.core.addresses import address_of, without_query
from anew.core.durations import parse_duration
from anew.core.registry import check_name
from anew.core.settings import SettingValue, as_text, check_int, route_settings
from anew.data.file_names import is_hub_name
from anew.errors import ConfigError, DataError
from anew.runs.paths import OWN_FAMILY
from anew.runs.record import PREFERENCES, Request, requested

Settings: TypeAlias = Mapping[str, SettingValue]

MAX_STEPS = 10**12  # no training reaches this: a larger number is a slip, and steps stay exact as floats
DEFAULT_BUDGET = "10m"
# Most samples of a report: far more than any figure needs, and all are kept in memory; chosen
MAX_MEASURED = 1_000_000


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
    """Check the arguments of `anew.train` and return its request.

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
    if texts and request["family"] != OWN_FAMILY:
        from anew.planning.setting_owners import setting_owners  # reads all modules with settings, which takes a while

        route_settings(texts, setting_owners(family_name, modality))
    return check_request(requested(request))


def check_request(request: Request) -> Request:
    """The request. Raises ConfigError if it asks for things that exclude each other."""
    if request.budget is not None and request.steps is not None:
        raise ConfigError("`budget` and `steps` are mutually exclusive; give one")
    if trains_by_seconds(request) and request.steps is not None:
        raise ConfigError("`steps` and the setting train_seconds are mutually exclusive; give one")
    return request


def check_steps(steps: int | None) -> int | None:
    """A number of steps, or None. Raises ConfigError if it is out of range."""
    return None if steps is None else check_int("steps", steps, 1, MAX_STEPS)


def trains_by_seconds(request: Request) -> bool:
    """Whether the setting `train_seconds` says how long training takes."""
    return any(request.settings.get(name, "0") not in ("0", "0.0") for name in ("train_seconds", "train.train_seconds"))


def user_file(family: str | None) -> Path | None:
    """The user's own file if the family is one, else None.

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
    """Whether data may lie at a path: it exists, or it is an address, which is checked only when it is read."""
    return path.exists() or address_of(str(path)) is not None


def resolve_data(data: str | Path) -> str:
    """The absolute path or the address of the data, so that `resume` can be called from any folder.

    Raises:
        DataError: The data does not exist, and is not the name of a dataset of the hub.
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
