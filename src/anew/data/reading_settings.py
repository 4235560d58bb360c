"""Settings that say how files are read: they may be given for data that nothing is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anew.core import settings as configs
from anew.data.modality import load_modality
from anew.errors import ConfigError

# Of these, other data than that of a run may need other values
OF_FILES = ("text_column", "image_column", "label_column", "encoding")
# Data without a run may also need to know what one item is; a run knows it
WITHOUT_RUN = (*OF_FILES, "layout")


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
            advice = f"only {' or '.join(names)} can" if names else "leave it out"
            raise ConfigError(f"{full_name!r} cannot be set for {owner.traits.plural} that are only read; {advice}")
    return configs.route_settings(settings, {modality: owner.Config})[modality]
