"""Names -> classes. File names are the registry: a new family or modality is one new file."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from anew.errors import ConfigError, did_you_mean

# Contents of a package.
MEMBERS = {"families": "family", "data": "modality", "evaluation": "evaluation", "exporting": "export target"}
FAMILY = ("Config", "Sampling", "spec_types", "suggest")  # what a class must have to be a family


PACKAGE = Path(__file__).parents[1]
# Where each kind of class lives: a family is a package of its own, the others are one file each.
PATTERNS = {
    "families": "families/*/family.py",
    "data": "data/modalities/*.py",
    "evaluation": "evaluation/modalities/*.py",
    "exporting": "exporting/*.py",
}


class FamilySettings(NamedTuple):
    """Exports of a family's `config.py`.

    Attributes:
        config, sampling: The dataclasses of its settings: of training, and of sampling.
        generates, codec_config: See `Family`.
        no_interpolation_reason: If the family has no continuous space, a clause on what to use instead; else "".
    """

    config: type
    sampling: type
    generates: bool = True
    codec_config: Mapping[str, object] | None = None
    no_interpolation_reason: str = ""


def available(package: str) -> list[str]:
    """Names in a package ("families", "data", "evaluation", "exporting"), sorted."""
    return sorted(_members(package))


@functools.cache
def _members(package: str) -> dict[str, str]:
    """Module by name."""
    members = {}
    for path in PACKAGE.glob(PATTERNS[package]):
        name = path.parent.name if path.stem == "family" else path.stem
        # Reading the text is enough and imports nothing: a registered file says `EXPORT = ClassName` at top level.
        lines = path.read_text(encoding="utf-8").splitlines()
        if any(line.startswith(("EXPORT = ", "EXPORT: ")) for line in lines):
            members[name] = ".".join(("anew", *path.relative_to(PACKAGE).with_suffix("").parts))
    return members


def generators() -> list[str]:
    """The families that generate by themselves, sorted; the others are codecs alone. Does not import PyTorch."""
    return [name for name in available("families") if family_settings(name).generates]


def codecs() -> list[str]:
    """The families that can serve as a codec, sorted. Does not import PyTorch."""
    return [name for name in available("families") if family_settings(name).codec_config is not None]


def check_name(package: str, name: str) -> None:
    """ConfigError, with the nearest name, where a package has no such member. Does not import PyTorch."""
    if name not in available(package):
        names = generators() if package == "families" else available(package)
        raise ConfigError(f"unknown {MEMBERS[package]} {name!r}{did_you_mean(name, names)}")


def load(package: str, name: str) -> type:
    """The class that the package's file `name` exports. Names only: a path is an unknown name, and runs no code.

    Raises ConfigError naming the nearest name."""
    check_name(package, name)
    member: type = importlib.import_module(_members(package)[name]).EXPORT
    return member


def family_settings(name: str) -> FamilySettings:
    """The settings of a family, without its networks. Does not import PyTorch.

    Raises ConfigError naming the nearest name."""
    check_name("families", name)
    settings: FamilySettings = importlib.import_module(f"anew.families.{name}.config").EXPORT
    return settings


def no_continuous_space(family: str, reason: str) -> ConfigError:
    """The refusal to interpolate in a family that has no continuous space. reason: `no_interpolation_reason`."""
    return ConfigError(f"the family {family!r} has no continuous space to interpolate in; {reason}")


def load_user_family(path: Path) -> type:
    """The family that a user's own Python file exports. This runs the file: call it for what the user named or trusts.

    Raises ConfigError where the file is missing, fails, or exports something else."""
    if not path.is_file():
        raise ConfigError(
            f"the family file {str(path)!r} does not exist; give a Python file that ends with EXPORT = ..."
        )
    spec = importlib.util.spec_from_file_location(f"anew_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{str(path)!r} cannot be imported as Python; give a file whose name ends with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file may raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ConfigError(f"{str(path)!r} cannot be run as Python ({reason}); fix the file") from error
    family = getattr(module, "EXPORT", None)
    missing = next((name for name in FAMILY if not hasattr(family, name)), None)
    if missing is not None or not isinstance(family, type):
        problem = f"{missing} is missing" if missing is not None else "EXPORT is not a class"
        raise ConfigError(f"{str(path)!r} exports no family ({problem}); end it with `EXPORT = YourFamily`")
    return family
