"""Checks of what is asked of samples: a class, sampling settings. Does not import PyTorch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from anew.core import settings as cfg
from anew.core.registry import family_settings, no_continuous_space
from anew.core.settings import MAX_INT, check_int
from anew.data.modality import ModalityTraits, load_modality
from anew.data.reading_settings import check_reading_settings as check_reading_settings
from anew.data.reading_settings import reading_settings as reading_settings
from anew.errors import ConfigError, did_you_mean, shorten
from anew.runs.paths import OWN_FAMILY

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from anew.runs.record import RunRecord

MAX_FRAMES = 10_000  # frames of a walk, which are held in memory and shown in one GIF; chosen


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


def check_files(record: RunRecord, file_format: str | None, scale: int) -> None:
    """Raise ConfigError if samples of a run have no files of this format, or no pixels to enlarge `scale` times."""
    from anew.sampling.samples import Samples

    owner = load_modality(record.data.modality)
    samples = Samples([], [], owner(owner.Config())).enlarged(scale)
    if scale != 1:
        samples.modality.enlarge(np.zeros((1, 1), np.uint8), scale)
    if file_format is not None:
        samples.in_format(file_format)


def check_walk(record: RunRecord) -> None:
    """Raise ConfigError if a run has no continuous space to interpolate in, as far as its record says: for families of Anew."""
    if record.family.name != OWN_FAMILY and (reason := family_settings(record.family.name).no_interpolation_reason):
        raise no_continuous_space(record.family.name, reason)


def frame_count(n: int, stops: int) -> int:
    """n, if it is a number of frames with one for each stop; raises ConfigError otherwise."""
    stops, n = check_int("stops", stops, 2, 1000), check_int("n", n, -MAX_INT)
    if not stops <= n <= MAX_FRAMES:
        raise ConfigError(f"n={n} is out of range; give {stops} (a frame for each stop) to {MAX_FRAMES:,}", "n")
    return n


def sampling_config(
    owner: type,
    traits: ModalityTraits,
    settings: Mapping[str, object] | None = None,
    training: Collection[str] = (),
) -> DataclassInstance:
    """The sampling settings of a family (`owner` is its `Sampling`) for data with these traits.

    training: names of settings of training, which a refusal calls so.
    """
    values = cfg.subset(traits.default_sampling, owner) | dict(settings or {})
    for name in values:
        if name not in cfg.settings_of(owner) and name in training:
            raise ConfigError(
                f"{name!r} is a setting of training, and samples cannot change it; leave it out, or train with it"
            )
    if unfit := sorted(traits.unfit_sampling & values.keys() & cfg.settings_of(owner).keys()):
        raise ConfigError(f"the setting {unfit[0]!r} does not fit {traits.plural}; leave it out")
    return cfg.from_json(owner, cfg.route_settings(values, {"sampling": owner}, cfg.SAMPLE_ARGUMENTS)["sampling"])


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
