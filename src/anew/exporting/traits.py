"""Facts about export targets that are checked before PyTorch is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from anew.core.extras import require
from anew.errors import ConfigError, did_you_mean

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True, slots=True)
class TargetTraits:
    """Properties of a target.

    Attributes:
        number_types: Number types in which weights may be stored; the first is the default.
        suffix: Ending of the file, where the target is a single file; None where it is a folder.
        packages: Packages of the extra `export` that it needs.
        can_push: Whether the folder may be uploaded to the Hugging Face hub.
    """

    number_types: tuple[str, ...] = ("f32",)
    suffix: str | None = None
    packages: tuple[str, ...] = ()
    can_push: bool = False


TRAITS = {
    "gguf": TargetTraits(number_types=("f32", "f16", "q8_0"), packages=("gguf",)),
    "html": TargetTraits(number_types=("f16", "f32", "q8_0"), suffix=".html"),
    "hub": TargetTraits(can_push=True),
    "onnx": TargetTraits(packages=("onnx", "onnxscript")),
    "transformers": TargetTraits(number_types=("f32", "bf16", "f16")),
}


def traits_of(name: str) -> TargetTraits:
    """The traits of a target; those of the simplest one, where TRAITS has none of this name."""
    return TRAITS.get(name, TargetTraits())


def check_packages(name: str) -> None:
    """Raise DataError, which names the extra to install, if a package that a target needs is missing."""
    for package in traits_of(name).packages:
        require(package, extra="export", purpose=f"an export to {name}")


def check_number_type(name: str, number_type: str | None) -> str:
    """The number type of the weights: the requested one, or the target's default. ConfigError if the target does not have it."""
    number_types = traits_of(name).number_types
    if number_type is None:
        return number_types[0]
    if number_type not in number_types:
        raise ConfigError(f"unknown `number_type` {number_type!r} for {name}{did_you_mean(number_type, number_types)}")
    return number_type


def check_push(name: str, repository: str) -> None:
    """Raise ConfigError if a target is not uploaded, or the name of the repository is invalid, DataError if a package is missing."""
    if not traits_of(name).can_push:
        raise ConfigError(f"`push` uploads a folder for the hub, and {name} makes another; leave it out, or use hub")
    if not REPOSITORY.fullmatch(repository):
        raise ConfigError(f"`push` must be the name of a repository, OWNER/NAME (got {repository!r:.60})")
    require("huggingface_hub", extra="hub", purpose="a push to the hub")


def check_new(out: Path, suffix: str | None) -> None:
    """Raise ConfigError if the file exists, or the folder exists and is not empty.

    Args:
        out: The folder or file to make.
        suffix: Ending of the file; None for a folder.
    """
    if suffix is not None:
        if out.suffix.lower() != suffix:
            raise ConfigError(f"`out` must be a file that ends in {suffix} (got {str(out)!r})")
        if out.is_symlink() or out.exists():
            raise ConfigError(f"`out` {str(out)!r} exists; give another file")
        return
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        obstacle = "exists and is not empty" if out.is_dir() and not out.is_symlink() else "exists and is not a folder"
        raise ConfigError(f"`out` {str(out)!r} {obstacle}; give another folder")
