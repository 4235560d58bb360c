"""Where exports are written, checked before PyTorch is imported."""

from __future__ import annotations

from pathlib import Path

from anew.errors import ConfigError

SINGLE_FILES = {"html": ".html"}  # endings of the targets that are a single file, by name; others are folders


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
