"""Folders that samples are written into: made if missing, refused if they hold something, unless that may be replaced."""

from __future__ import annotations

import json
from pathlib import Path

from anew.core import files
from anew.core.arguments import new_path, switch
from anew.errors import ConfigError, RunError, shorten
from anew.sampling.origins import MAX_SIDE_BYTES, MAX_SIDE_MEMORY


def make_folder(folder: str | Path) -> Path:
    """Make a folder to write samples into, and return it. It may be a link, unlike that of a run (see `RunFolder.open`)."""
    target = new_path("folder", folder)
    files.make_folder(target)
    return target


def make_empty_folder(folder: str | Path, overwrite: bool) -> Path:
    """`make_folder`; ConfigError if it holds anything, unless files may be overwritten."""
    may_overwrite = switch("overwrite", overwrite)
    target = make_folder(folder)
    if not may_overwrite and next(target.iterdir(), None) is not None:
        raise ConfigError(f"`folder` {str(folder)!r} exists and is not empty; give another folder, or overwrite=True")
    return target


def check_unused(paths: list[Path], overwrite: bool) -> None:
    """Raise ConfigError if one of these files exists, unless it may be overwritten."""
    may_overwrite = switch("overwrite", overwrite)
    used = next((path for path in paths if path.exists() or path.is_symlink()), None)
    if used is not None and not may_overwrite:
        raise ConfigError(f"{str(used)!r} exists; give another `folder` or `stem`, or overwrite=True")


def with_other_origins(place: Path, data: bytes) -> bytes:
    """A side file, see `origins.side_file`, with the origins of other files that one of this name holds already.

    Raises:
        ConfigError: That one is damaged.
    """
    if not place.exists():
        return data
    try:
        earlier = files.read_json(place, MAX_SIDE_BYTES, MAX_SIDE_MEMORY)
    except RunError:
        earlier = None
    if not isinstance(earlier, dict):
        raise ConfigError(
            f"{shorten(str(place))} holds the origins of samples there and is damaged; delete it, or give another folder"
        )
    return (json.dumps(earlier | json.loads(data), indent=1) + "\n").encode()
