"""Paths in config.json are relative to the run folder, so that data and run can move together and no home directory is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

PATHS = {"request": ("data", "plan_from"), "data": ("path",)}  # fields of config.json that may hold a path
_RELATIVE = ("./", "../")  # beginnings of relative paths; names of the hub never begin so


def relative_paths(config: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Contents of config.json in `folder`, with absolute paths made relative to it, except those on another drive of Windows."""
    return _with_paths(config, lambda path: relative_path(path, folder))


def relative_path(path: str, folder: Path) -> str:
    """An absolute path, made relative to a folder; others, and those on another drive of Windows, as they are."""
    if not os.path.isabs(path):
        return path  # the name of a dataset of the hub
    try:
        below = os.path.relpath(path, folder.resolve()).replace(os.sep, "/")
    except ValueError:
        return path
    return below if below.startswith("../") else f"./{below}"


def absolute_paths(config: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Contents of config.json in `folder`, with relative paths made absolute."""

    def absolute(path: str) -> str:
        return os.path.normpath(folder.resolve() / path) if path.startswith(_RELATIVE) else path

    return _with_paths(config, absolute)


def _with_paths(config: Mapping[str, object], changed: Callable[[str], str]) -> dict[str, object]:
    """A copy with the path fields changed. Values of another type stay; the record refuses them."""
    copy = dict(config)
    for section, fields in PATHS.items():
        values = copy.get(section)
        if isinstance(values, dict):
            paths = {field: changed(values[field]) for field in fields if isinstance(values.get(field), str)}
            copy[section] = values | paths
    return copy
