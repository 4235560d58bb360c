"""Choice of the family and its codec, and the settings that a request may name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from anew.core import settings as cfg
from anew.core.registry import available
from anew.core.specs import Grid, Spec, Tokens
from anew.data.modality import Modality
from anew.errors import ConfigError
from anew.families.base import Family, load_family
from anew.planning.context import TrainingData
from anew.planning.train_config import TrainConfig
from anew.runs.paths import OWN_FAMILY
from anew.runs.record import Request

# Why the usual family learns the kinds of data on which no families are tried, by modality. Sounds: five sets, budgets of 1 to 20 minutes
# (docs/log.md, 2026-12-02).
UNTRIED_REASONS = {
    "audio": "its samples came closest on all sets of sounds on which families were compared",
    "video": "it is the only family that learns clips as they are",
}


class FamilyChoice(NamedTuple):
    """A family by name, and its class."""

    name: str
    family_class: type[Family]


class UnsupportedDataError(ConfigError):
    """A family was requested that cannot learn the data.

    Attributes:
        described: The data in sentences.
        able_families: The families that can learn it.
    """

    def __init__(self, name: str, described: str, able_families: Sequence[str]) -> None:
        alternatives = " or ".join(able_families) or "a family of your own, FILE.py"
        super().__init__(f"the family {name!r} does not take {described}; give {alternatives}")
        self.described, self.able_families = described, tuple(able_families)


def choose_family(
    spec: Spec,
    name: str | None,
    prefer: str = "quality",
    *,
    as_codec: bool = False,
    description: str = "this data",
    user_family: type[Family] | None = None,
) -> FamilyChoice:
    """The family that was requested, if it can learn the data or its latents, or else the one that suits the data.

    Only one family takes discrete data, whatever is preferred; continuous data has one for each preference.

    Args:
        spec: Spec of the data.
        name: The family that was requested, if any.
        prefer: One of `core.arguments.PREFERENCES`; decides if no family was requested.
        as_codec: Whether the family is trained as a codec, which need not generate.
        description: Name of the data in errors.
        user_family: The class that the name `family.py` stands for.

    Raises:
        ConfigError: No family fits, or the one requested does not.
    """
    if name is not None:
        return _requested_family(spec, name, as_codec, description, user_family)
    families = _all_families()
    able_families = [n for n, family in families.items() if family.generates and family.supports(spec)]
    for preference in (prefer, "quality"):
        for candidate in able_families:
            if preference in families[candidate].preferred_for:
                return FamilyChoice(candidate, families[candidate])
    raise ConfigError(f"no built-in family supports {description}; give a `family` of your own, FILE.py")


def rationale_of(choice: FamilyChoice, modality: str) -> str:
    """Why a family suits data of this modality, one clause."""
    rationale = choice.family_class.rationale
    return UNTRIED_REASONS.get(modality, rationale) if "quality" in choice.family_class.preferred_for else rationale


def contenders(data: TrainingData, prefer: str) -> list[FamilyChoice]:
    """Families whose samples were best on some dataset that was measured, those first that won most often.

    The list is empty if the preference, or the kind of data, decides the family.
    """
    if prefer != "quality" or not data.modality.traits.tries_families:
        return []
    families = [FamilyChoice(n, family) for n, family in _all_families().items() if family.supports(data.spec)]
    return sorted((f for f in families if f.family_class.wins), key=lambda f: -f.family_class.wins)


def choose_families(
    data: TrainingData, request: Request, config: TrainConfig, user_family: type[Family] | None
) -> list[FamilyChoice]:
    """The families that could be best for a request, the likeliest first; a single one if it was requested.

    Raises:
        ConfigError: No family fits, or the one requested does not.
    """
    # On latents, only one family was measured
    if request.family is None and config.space != "latent":
        rivals = [rival for rival in contenders(data, request.prefer) if _has_settings(request, data, rival)]
        if rivals:
            return rivals
    plural = data.modality.traits.plural
    return [choose_family(data.spec, request.family, request.prefer, description=plural, user_family=user_family)]


def _has_settings(request: Request, data: TrainingData, family: FamilyChoice) -> bool:
    """Whether all settings of a request belong to this family, the training or the data."""
    try:
        check_settings(request, data, family, codec=None)
    except ConfigError:
        return False
    return True


def _requested_family(
    spec: Spec, name: str, as_codec: bool, description: str, user_family: type[Family] | None
) -> FamilyChoice:
    family = family_by_name(name, user_family)
    generators = {n: generator for n, generator in _all_families().items() if generator.generates}
    if not family.generates and not as_codec:
        on_its_codes = [n for n, generator in generators.items() if family.latent_spec_type in generator.spec_types]
        raise ConfigError(
            f"the family {name!r} is a codec and cannot generate by itself; "
            f"give a family that works on its codes: {' or '.join(on_its_codes)}"
        )
    if not family.supports(spec) and not codecs_for(spec, family):
        able_families = [
            n for n, generator in generators.items() if generator.supports(spec) or codecs_for(spec, generator)
        ]
        raise UnsupportedDataError(name, _described(spec, description), able_families)
    return FamilyChoice(name, family)


def check_modality(name: str | None, modality: type[Modality]) -> None:
    """Raise ConfigError, before any item is read, if the family of this name cannot learn texts, and these are texts."""
    families = _all_families()
    if name not in families or not modality.traits.is_text:
        return
    able_families = [n for n, family in families.items() if family.generates and Tokens in family.spec_types]
    if families[name].generates and name not in able_families:
        raise UnsupportedDataError(name, modality.traits.plural, able_families)


def _all_families() -> dict[str, type[Family]]:
    return {name: load_family(name) for name in available("families")}


def family_by_name(name: str, user_family: type[Family] | None = None) -> type[Family]:
    """The family of this name; for `family.py`, the class that was loaded from the user's file."""
    if name == OWN_FAMILY and user_family is not None:
        return user_family
    return load_family(name)


# -- codecs ---------------------------------------------------------------------------------------------------------------


def codecs_for(spec: Spec, family: type[Family]) -> list[str]:
    """The names of codecs that turn data of this spec into something that a family takes.

    The list is empty for a family that has latents of its own.
    """
    if family.codec_config is not None:
        return []
    codecs = {name: codec for name, codec in _all_families().items() if codec.codec_config is not None}
    return [
        name for name, codec in codecs.items() if codec.supports(spec) and codec.latent_spec_type in family.spec_types
    ]


def choose_codec(data: TrainingData, family: FamilyChoice, space: str, *, replays_codec: bool = False) -> str | None:
    """The name of the codec whose latents a family works on; None if it works on the data itself.

    A family that does not take the data as it is always works on latents, whatever `space` is.

    Args:
        data: The data to learn.
        family: The family that learns it.
        space: The setting of that name: "auto", "pixel" or "latent".
        replays_codec: Whether a run with a codec is replayed.

    Raises:
        ConfigError: The space does not fit the family and the data.
    """
    codecs = codecs_for(data.spec, family.family_class)
    takes_data = family.family_class.supports(data.spec)
    if space == "pixel" and not takes_data:
        raise ConfigError(
            f"space=pixel does not fit: the family {family.name!r} works on codes only; leave it out", "space"
        )
    if space == "latent" and not codecs:
        raise ConfigError(f"space=latent does not fit: {_why_no_codec(data, family)}; leave it out", "space")
    replays_codec = replays_codec and space == "auto" and bool(codecs)
    return _only_codec(codecs, family) if space == "latent" or not takes_data or replays_codec else None


def _only_codec(codecs: Sequence[str], family: FamilyChoice) -> str:
    """The single codec between data and a family. Raises ConfigError if there are two: nothing says which is meant."""
    if len(codecs) > 1:
        raise ConfigError(
            f"the codecs {' and '.join(codecs)} both turn this data into what the family {family.name!r} takes; only one codec may "
            "do so"
        )
    return codecs[0]


def _why_no_codec(data: TrainingData, family: FamilyChoice) -> str:
    if not isinstance(data.spec, Grid):
        return "this data is discrete"
    if family.family_class.codec_config is not None:
        return f"the family {family.name!r} has latents of its own"
    return f"no codec turns {_described(data.spec, data.modality.traits.plural)} into what {family.name!r} takes"


def _described(spec: Spec, plural: str) -> str:
    """The data in sentences on families that do not take it. plural: the name of its items."""
    return "rows of values (slow signals, or images of one line)" if isinstance(spec, Grid) and spec.is_row else plural


# -- settings -------------------------------------------------------------------------------------------------------------


def settings_of(settings: Mapping[str, str], owner: str, config_class: type) -> dict[str, object]:
    """The typed values of those settings that an owner has, which are written as `name` or `owner.name`."""
    values: dict[str, object] = {}
    for full_name, text in settings.items():
        prefix, _, name = full_name.rpartition(".")
        if prefix in ("", owner) and name in cfg.settings_of(config_class):
            values |= cfg.route_settings({full_name: text}, {owner: config_class})[owner]
    return values


def train_config_of(request: Request) -> TrainConfig:
    """The training settings of a request."""
    return cfg.from_json(TrainConfig, settings_of(request.settings, "train", TrainConfig))


def check_settings(request: Request, data: TrainingData, family: FamilyChoice, codec: str | None) -> None:
    """Raise ConfigError for a setting that neither the training nor the family, its codec or the data has."""
    owners: dict[str, type] = {
        "train": TrainConfig,
        family.name: family.family_class.Config,
        data.modality.name: type(data.modality.config),
    }
    if codec is not None:
        owners[codec] = family_by_name(codec).Config
    cfg.route_settings(request.settings, owners, cfg.TRAIN_ARGUMENTS)
