"""Settings that say how files are read: they may be given for data that nothing is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anew.core import settings as configs
from anew.core.registry import available
from anew.core.wording import listed
from anew.data.modality import load_modality
from anew.errors import ConfigError, closest_name, did_you_mean

# Settings that data other than that of a run may need with other values
OF_FILES = ("text_column", "image_column", "label_column", "encoding", "header")
# Settings that data without a run may need; a run knows what one item is
WITHOUT_RUN = (*OF_FILES, "layout", "cell")


def reading_settings(
    settings: Mapping[str, object], modality: str, allowed: Sequence[str] = OF_FILES
) -> dict[str, object]:
    """The typed values of settings for reading one kind of data.

    Args:
        settings: Values, or the texts that stand for them, by `name` or `modality.name`.
        modality: The kind of data.
        allowed: Names of the settings that may be given, where this kind of data has them.

    Raises:
        ConfigError: A setting is not about reading, or its value is not allowed.
    """
    owner = load_modality(modality)
    names = [name for name in allowed if name in configs.settings_of(owner.Config)]
    for full_name in settings:
        prefix, _, name = full_name.rpartition(".")
        if name not in names or prefix not in ("", modality):
            raise _refusal(full_name, f"{owner.traits.plural} that are", names)
    return configs.route_settings(settings, {modality: owner.Config})[modality]


def check_reading_settings(settings: Mapping[str, object], modality: str | None) -> None:
    """Check settings for data that has not been opened. modality: the kind of data, None if it is not known yet.

    Raises:
        ConfigError: A setting is not about reading, or its value is not allowed.
    """
    if modality is not None:
        reading_settings(settings, modality, WITHOUT_RUN)
        return
    for full_name in settings:
        if full_name.rpartition(".")[2] not in WITHOUT_RUN:
            raise _refusal(full_name, "data that is", WITHOUT_RUN)
    configs.route_settings(settings, {name: load_modality(name).Config for name in available("data")})


def _refusal(full_name: str, data: str, names: Sequence[str]) -> ConfigError:
    """A refusal of a setting. data: what is read; names: the settings that it can be read with."""
    name = full_name.rpartition(".")[2]
    advice = did_you_mean(name, names)
    # A setting that only other kinds of data have is spelled correctly
    if closest_name(name, names) is None or (name in WITHOUT_RUN and name not in names):
        advice = f"; only {listed(names, 'or')} can" if names else "; leave it out"
    return ConfigError(f"{full_name!r} cannot be set for {data} only read{advice}")
