"""A user's request for a training, checked before anything is read or written: its settings, and the folder of its run.

Imports neither PyTorch nor NumPy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from anew.core import arguments
from anew.core.durations import parse_duration
from anew.core.registry import available, check_name, codecs, family_settings
from anew.core.settings import (
    LOOK_ARGUMENTS,
    TRAIN_ARGUMENTS,
    SettingValue,
    as_text,
    check_int,
    route_settings,
    settings_of,
)
from anew.core.stores.addresses import GIVE_A_PLACE, address_of, is_hub_name, without_query
from anew.errors import ConfigError, DataError
from anew.planning.train_config import TrainConfig
from anew.runs.paths import OWN_FAMILY
from anew.runs.record import Request, requested

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
        "prefer": arguments.choice("prefer", prefer, arguments.PREFERENCES),
        "seed": check_int("seed", seed),
        "settings": texts,
    }
    if family_name is not None and request["family"] != OWN_FAMILY:
        check_name("families", family_name)
    if modality is not None:
        check_name("data", modality)
    if texts and request["family"] != OWN_FAMILY:
        owners = setting_owners(family_name, modality)
        _refuse_sampling_settings(texts, family_name)
        route_settings(texts, owners, TRAIN_ARGUMENTS)
    return check_request(requested(request))


def _refuse_sampling_settings(names: Iterable[str], family_name: str | None) -> None:
    """Raise ConfigError for a setting that only samples have. family_name: the family that was requested, if any."""
    # Settings of training of any family or kind of data are not called settings of sampling
    of_training = {name for owner in setting_owners(None, None).values() for name in settings_of(owner)}
    families = available("families") if family_name is None else [family_name]
    of_sampling = {name for family in families for name in settings_of(family_settings(family).sampling)}
    for full_name in names:
        name = full_name.rpartition(".")[2]
        if name in of_sampling - of_training and name not in TRAIN_ARGUMENTS:
            raise ConfigError(f"{full_name!r} is a setting of sampling, not of training; give it to `anew sample`")


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


def may_exist(path: Path) -> bool:
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
        raise DataError(f"{name!r} does not exist; {GIVE_A_PLACE}")
    return name


def setting_owners(family: str | None, modality: str | None, user_config: type | None = None) -> dict[str, type]:
    """The Config classes whose settings a request may name before the data is read, by owner.

    These are all families, or all modalities, if the name is not given.

    Args:
        family: The family that was requested.
        modality: The kind of data that was requested.
        user_config: The Config of a family of the user's own.
    """
    owners: dict[str, type] = {"train": TrainConfig}
    for name in [family] if family else available("families"):
        owners[name] = family_settings(name).config if user_config is None else user_config
    owners |= _modality_configs(modality)
    return owners | {name: family_settings(name).config for name in codecs() if name not in owners}


def check_data_settings(settings: Mapping[str, object], modality: str | None) -> None:
    """Raise ConfigError for a setting of `look` that this modality, or every modality if it is None, does not have."""
    route_settings(settings, _modality_configs(modality), LOOK_ARGUMENTS)


def _modality_configs(modality: str | None) -> dict[str, type]:
    from anew.data.modality import load_modality  # imports NumPy, which checking a request must not wait for

    return {name: load_modality(name).Config for name in ([modality] if modality else available("data"))}


def default_run(data: str | Path) -> Path:
    """An unused folder for a new run on the data: runs/NAME-N."""
    return _unused_folder(arguments.stem(Path(data)) or "data")


def default_report(samples: Path) -> Path:
    """An unused folder for a report on samples made elsewhere: runs/NAME-report-N."""
    return _unused_folder(f"{arguments.stem(samples) or 'samples'}-report")


def _unused_folder(stem: str) -> Path:
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path
