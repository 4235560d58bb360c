"""Every file below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anew.data.sources.base import File
from anew.errors import DataError


def list_files(place: Path) -> tuple[Path, list[File], int]:
    """(root, every file below it in the order of paths, number of hidden ones left out). Follows links, but no loops."""
    if place.is_file():
        info = _checked(place, os.stat)
        return place.parent, [File(place.name, info.st_size, info.st_mtime_ns)], 0
    files: list[File] = []
    hidden = 0
    seen: set[tuple[int, int]] = set()
    todo = [""]
    while todo:
        folder = todo.pop()
        info = _checked(place / folder, os.stat)
        if (info.st_dev, info.st_ino) in seen:
            continue
        seen.add((info.st_dev, info.st_ino))
        with _checked(place / folder, os.scandir) as entries:
            here = list(entries)
        shown = [entry for entry in here if not entry.name.startswith(".") and entry.name != "__pycache__"]
        hidden += len(here) - len(shown)
        todo += [f"{folder}{entry.name}/" for entry in shown if entry.is_dir()]
        for entry in shown:
            if entry.is_file():
                stat = entry.stat()
                files.append(File(folder + entry.name, stat.st_size, stat.st_mtime_ns))
    files.sort()
    return place, files, hidden


def _checked(place: Path, call: Callable[[Path], Any]) -> Any:
    try:
        return call(place)
    except OSError as error:
        raise DataError(f"{str(place)!r} cannot be read ({error.strerror}); check its permissions") from None
