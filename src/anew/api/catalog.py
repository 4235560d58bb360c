"""Lists to choose from: settings and example datasets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anew.api.keywords import names_unknown_arguments
from anew.core import arguments

if TYPE_CHECKING:
    from anew.workflows.list_settings import SettingInfo


def settings(name: str | None = None) -> list[SettingInfo]:
    """All settings that the argument `settings` of the other functions takes, or only some of them.

    Args:
        name: A setting ("width"), a family ("gan"), a kind of data ("image"), or a group: "training", "family", "data" or
            "sampling". None for all.

    Returns:
        The settings, each with its owner, default, allowed values and meaning.

    Raises:
        ConfigError: Nothing has this name.

    Examples:
        >>> for setting in anew.settings("gan"):
        ...     print(setting.name, setting.default, setting.values, setting.meaning)
    """
    from anew.workflows.list_settings import list_settings

    return list_settings(arguments.optional_text("name", name))


def setting_names(command: str) -> set[str]:
    """The names of the settings that a command takes; none if it takes no settings."""
    from anew.workflows import list_settings

    return list_settings.setting_names(command)


def setting_groups() -> Mapping[str, str]:
    """Titles of the groups of settings, by name."""
    from anew.workflows.list_settings import GROUPS

    return GROUPS


def examples() -> Mapping[str, str]:
    """The datasets that `example` can write, as name: description.

    Examples:
        >>> for name, description in anew.examples().items():
        ...     print(name, description)
    """
    from anew.workflows.examples import EXAMPLES

    return EXAMPLES


def check_example(name: str) -> None:
    """Raise ConfigError if there is no example of this name."""
    from anew.workflows.examples import check_example as check_name

    check_name(name)


@names_unknown_arguments
def example(name: str, folder: str | Path) -> Path:
    """Write an example dataset as ordinary files. The data comes from an installed package; nothing is downloaded.

    Args:
        name: One of the names in `examples()`.
        folder: A new folder, or an empty one.

    Returns:
        The folder.

    Raises:
        ConfigError: The name is unknown.
        DataError: The folder is not empty, or a package is missing.

    Examples:
        >>> anew.example("towns", "towns-data")
    """
    from anew.workflows.examples import write_example

    target = arguments.new_path("folder", folder)
    write_example(arguments.optional_text("name", name) or "", target)
    return target
