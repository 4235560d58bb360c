"""Checks of what is asked of samples: a class, sampling settings. Does not import PyTorch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, SupportsIndex

from anew.core import settings as cfg
from anew.core.registry import family_settings
from anew.core.settings import check_int
from anew.data.modality import ModalityTraits, load_modality
from anew.errors import ConfigError, did_you_mean, shorten
from anew.runs.paths import OWN_FAMILY

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from anew.runs.record import RunRecord


def check_request(record: RunRecord, label: object, settings: Mapping[str, object]) -> None:
    """Check a class and sampling settings before the model is loaded; settings only for families that come with Anew.

    Raises:
        ConfigError: The run has no such class, or its family no such setting.
    """
    if settings and record.family.name != OWN_FAMILY:
        family, modality = family_settings(record.family.name), load_modality(record.data.modality)
        training = {*cfg.settings_of(family.config), *cfg.settings_of(modality.Config)}
        sampling_config(family.sampling, modality.traits, settings, training)
    if label is None:
        return
    if not record.data.labels:
        raise no_classes(label)
    class_index(record.data.labels, label)


def sampling_config(
    owner: type,
    traits: ModalityTraits,
    settings: Mapping[str, object] | None = None,
    training: Collection[str] = (),
) -> DataclassInstance:
    """The sampling settings of a family (`owner` is its `Sampling`) for data with these traits.

    training: names of settings of training, of which a refusal says that they are.
    """
    values = cfg.subset(traits.default_sampling, owner) | dict(settings or {})
    for name in values:
        if name not in cfg.settings_of(owner) and name in training:
            raise ConfigError(
                f"{name!r} is a setting of training, and samples cannot change it; leave it out, or train with it"
            )
    if unfit := sorted(traits.unfit_sampling & values.keys() & cfg.settings_of(owner).keys()):
        raise ConfigError(f"the setting {unfit[0]!r} does not fit {traits.plural}; leave it out")
    return cfg.from_json(owner, cfg.route_settings(values, {"sampling": owner})["sampling"])


def class_index(names: list[str], label: object) -> int:
    """The index in `names` of a class, given by its name, see `class_named`, or by its index if no class has a number as its name."""
    name = class_named(names, str(label))
    if name is not None:
        return names.index(name)
    if isinstance(label, SupportsIndex) and not any(map(str.isdecimal, names)):
        return check_int("label", label, 0, len(names) - 1)
    raise ConfigError(f"unknown `label` {shorten(label)}{did_you_mean(str(label), names)}")


def class_named(names: Collection[str], label: str) -> str | None:
    """The class of this name; None if there is none. The dot of a suffix may be left out."""
    return next((name for name in (label, f".{label}") if name in names), None)


def no_classes(label: object) -> ConfigError:
    """The refusal of a class of a run that has none."""
    return ConfigError(
        f"`label` {shorten(label)} was given, but this run has no classes; leave it out, or train on classes: folders, or a "
        "column of a table with the setting label_column"
    )
