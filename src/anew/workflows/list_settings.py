"""All settings that a user can give, with what they mean: `anew settings`, `anew.settings()` and the reference pages."""

from __future__ import annotations

import dataclasses
import html
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from anew.core.registry import available, family_settings
from anew.core.settings import settings_of
from anew.data.modality import load_modality
from anew.data.reading_settings import OF_FILES, WITHOUT_RUN
from anew.errors import ConfigError, did_you_mean, shorten
from anew.planning.train_config import TrainConfig

Value = bool | int | float | str | None
GROUPS = {
    "training": "Training, for every model (train and compare)",
    "family": "Model families (for train and compare)",
    "data": "Kinds of data (for look, train and compare)",
    "sampling": "Sampling (for sample and walk)",
}
# The groups whose settings commands, and the functions of Python, take. `score` and `evaluate` take those data settings alone that
# say how files are read.
GROUPS_OF = {
    "train": ("training", "family", "data"),
    "compare": ("training", "family", "data"),
    "look": ("data",),
    "sample": ("sampling",),
    "walk": ("sampling",),
}
READING_SETTINGS_OF = {"score": OF_FILES, "evaluate": WITHOUT_RUN}
TYPES = {bool: "true or false", int: "integer", float: "number", str: "text"}


@dataclass(frozen=True, slots=True, repr=False)
class SettingInfo:
    """One setting.

    Attributes:
        name: Its key in `settings`.
        owner: Where it belongs: "train", a family or a modality. `owner.name` sets it for this owner alone.
        group: "training", "family", "data" or "sampling".
        type: Type of its value, in words.
        default: Its value if none is given; several values as a tuple. Families and kinds of data may choose another
            one to fit the data and the budget.
        meaning: Its effect, one clause.
        unit: Unit of its value, "" without one.
        minimum, maximum: The range, inclusive; None if it is open.
        choices: All values it may have; () if they are not listed.
    """

    name: str
    owner: str
    group: str
    type: str
    default: Value | tuple[Value, ...]
    meaning: str
    unit: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]

    @property
    def values(self) -> str:
        """Allowed values in words: "0 to 1", "auto, pixel, latent", "true or false"."""
        if self.choices:
            return ", ".join(self.choices)
        if self.minimum is not None and self.maximum is not None:
            return f"{_number(self.minimum)} to {_number(self.maximum)}"
        if self.minimum is not None:
            return f"{self.type}, at least {_number(self.minimum)}"
        return self.type if self.maximum is None else f"{self.type}, at most {_number(self.maximum)}"

    @property
    def default_text(self) -> str:
        """The default as the command line takes it: "1,2", "true", "0.5"."""
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default))
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)

    def __repr__(self) -> str:
        values = f"{self.values} {self.unit}".rstrip()
        return f"{self.owner}.{self.name}={self.default_text} ({values}): {self.meaning}"


class SettingList(list[SettingInfo]):
    """Settings, which are shown one a line."""

    def __repr__(self) -> str:
        return "\n".join(map(repr, self))

    def _repr_html_(self) -> str:
        """HTML for notebooks."""
        rows = [(f"{s.owner}.{s.name}", s.meaning, s.default_text, f"{s.values} {s.unit}") for s in self]
        cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in row) for row in rows)
        return f"<table><tr><th>setting<th>meaning<th>default<th>values{cells}</table>"


def list_settings(name: str | None = None) -> SettingList:
    """The settings in the order of GROUPS.

    Args:
        name: Only those of this name, owner or group ("temperature", "gan", "sampling", "gan.width"); None for all.

    Raises:
        ConfigError: Nothing has this name.
    """
    settings = SettingList(_all_settings())
    if name is None:
        return settings
    matches = SettingList(s for s in settings if name in (s.name, s.owner, s.group, f"{s.owner}.{s.name}"))
    if not matches:
        names = {key for s in settings for key in (s.name, s.owner, s.group)}
        hint = did_you_mean(name, names)
        hint = hint if hint.endswith("?") else f"; `anew settings` lists all {len(settings)}"
        raise ConfigError(f"no setting, family or kind of data is called {shorten(name)}{hint}")
    return matches


def setting_names(verb: str) -> set[str]:
    """The names of the settings that a function of `anew`, or the command of this name, takes; none if it takes no settings."""
    groups = GROUPS_OF.get(verb, ())
    names = {setting.name for setting in _all_settings() if setting.group in groups} if groups else set()
    return names | set(READING_SETTINGS_OF.get(verb, ()))


def _all_settings() -> Iterator[SettingInfo]:
    yield from _settings_of(TrainConfig, "train", "training")
    families = {name: family_settings(name) for name in available("families")}
    for name, family in families.items():
        yield from _settings_of(family.config, name, "family")
    for name in available("data"):
        yield from _settings_of(load_modality(name).Config, name, "data")
    for name, family in families.items():
        yield from _settings_of(family.sampling, name, "sampling")


def _settings_of(config: type, owner: str, group: str) -> Iterator[SettingInfo]:
    """Settings of one dataclass."""
    types_by_name = typing.get_type_hints(config)
    defaults: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(config)}
    for name, setting in settings_of(config).items():
        yield SettingInfo(
            name=name,
            owner=owner,
            group=group,
            type=_type_in_words(types_by_name[name]),
            default=defaults[name],
            meaning=setting.help,
            unit=setting.unit,
            minimum=setting.low,
            maximum=setting.high,
            choices=setting.choices,
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def _type_in_words(hint: object) -> str:
    """int -> "integer"; tuple[int, ...] -> "integers with commas between"; float | None -> "number or none"."""
    arguments = typing.get_args(hint)
    if isinstance(hint, type) and hint in TYPES:
        return TYPES[hint]
    if typing.get_origin(hint) is tuple:
        return f"{_type_in_words(arguments[0])}s with commas between"
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return " or ".join("none" if a is types.NoneType else _type_in_words(a) for a in arguments)
    return "text"  # Literal and others are given as text
