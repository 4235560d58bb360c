"""The settings that a request may name before its data is read. Does not import PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

from anew.core.registry import available, codecs, family_settings
from anew.core.settings import route_settings
from anew.data.modality import load_modality
from anew.planning.train_config import TrainConfig


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
    """Raise ConfigError for a setting that this modality, or every modality if it is None, does not have."""
    route_settings(settings, _modality_configs(modality))


def _modality_configs(modality: str | None) -> dict[str, type]:
    return {name: load_modality(name).Config for name in ([modality] if modality else available("data"))}
