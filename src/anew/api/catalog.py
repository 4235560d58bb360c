"""Lists to choose from: settings and example data sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anew.core import arguments
from anew.planning.folder_names import default_report as default_report
from anew.planning.folder_names import default_run as default_run

if TYPE_CHECKING:
    from anew.workflows.list_settings import SettingInfo


def settings(name: str | None = None) -> list[SettingInfo]:
    """All settings that `settings=` of the other verbs takes, or those of one name.

    Args:
        name: A setting ("width"), a family ("gan"), a kind of data ("image"), or a group: "training", "family", "data" or
            "sampling". None for all.

    Returns:
        Each with its owner, default, allowed values and meaning.

    Raises:
        ConfigError: Nothing has this name.
    """
    from anew.workflows.list_settings import list_settings

    return list_settings(arguments.optional_text("name", name))


def setting_groups() -> Mapping[str, str]:
    """Titles of the groups of settings, by name."""
    from anew.workflows.list_settings import GROUPS

    return GROUPS


def examples() -> Mapping[str, str]:
    """The data sets that `example` can write: a description of one line, by name."""
    from anew.workflows.examples import EXAMPLES

    return EXAMPLES


def example(name: str, folder: str | Path) -> Path:
    """Write real data that an installed package ships as ordinary files.

    Args:
        name: Which of the `examples`.
        folder: A new folder, or an empty one.

    Returns:
        The folder.

    Raises:
        ConfigError: The name is unknown.
        DataError: The folder holds something, or a package is missing.
    """
    from anew.workflows.examples import write_example

    target = arguments.new_path("folder", folder)
    write_example(arguments.optional_text("name", name) or "", target)
    return target
