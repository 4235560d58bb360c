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


def names(room: str) -> list[str]:
    """Names in a room ("families", "data", "evaluation") whose module declares `NAME`-able classes, sorted."""
    folder = Path(__file__).parent / room
    return sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_") and _declares(p))


@functools.cache
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
    known = names(room)
    if name not in known:
        one = {"families": "family", "data": "modality", "evaluation": "evaluation"}[room]
        raise ConfigError(f"{name!r} is no {one}{nearest(name, known)}")
    return importlib.import_module(f"anew.{room}.{name}")


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
