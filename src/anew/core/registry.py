"""A name or a file -> a class. File names are the registry: a new family or modality is one new file."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from anew.errors import ConfigError, nearest

PACKAGE = Path(__file__).parents[1]
# Where each kind of class lives: a family is a package of its own, a modality or an evaluation one file.
PATTERNS = {
    "families": "families/*/family.py",
    "data": "data/modalities/*.py",
    "evaluation": "evaluation/modalities/*.py",
}


def names(room: str) -> list[str]:
    """Names in a room ("families", "data", "evaluation") whose module exports a class, sorted."""
    return sorted(_members(room))


@functools.cache
def _members(room: str) -> dict[str, str]:
    """Module by name."""
    members = {}
    for path in PACKAGE.glob(PATTERNS[room]):
        name = path.parent.name if path.stem == "family" else path.stem
        if _declares(path):
            members[name] = ".".join(("anew", *path.relative_to(PACKAGE).with_suffix("").parts))
    return members


def _declares(path: Path) -> bool:
    # Reading the text is enough and imports nothing: a registered file says `EXPORT = ClassName` at top level.
    return any(line.startswith(("EXPORT = ", "EXPORT: ")) for line in path.read_text(encoding="utf-8").splitlines())


def find(room: str, name: str) -> Any:
    """The class that a room's file `name` exports, or that a user's own `FILE.py` exports.

    Raises ConfigError naming the nearest name.
    """
    module = _own_file(Path(name)) if name.endswith(".py") else _member(room, name)
    return module.EXPORT


def _member(room: str, name: str) -> ModuleType:
    members = _members(room)
    if name not in members:
        one = {"families": "family", "data": "modality", "evaluation": "evaluation"}[room]
        raise ConfigError(f"{name!r} is no {one}{nearest(name, sorted(members))}")
    return importlib.import_module(members[name])


def _own_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"{str(path)!r} is no file; give the path of a Python file that defines EXPORT")
    spec = importlib.util.spec_from_file_location(f"anew_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{str(path)!r} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file may raise
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ConfigError(f"{str(path)!r} cannot be run as Python ({what}); mend the file") from error
    missing = [
        n for n in ("Config", "Sampling", "accepts", "suggest") if not hasattr(getattr(module, "EXPORT", None), n)
    ]
    if missing:
        raise ConfigError(
            f"{str(path)!r} exports no family ({missing[0]} is missing); end it with `EXPORT = YourFamily`"
        )
    return module
