"""Provenance of a run: the version of this package, the command, the environment."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from anew.core.version import __version__
from anew.errors import command, without_secrets

ORIGIN_MARK = "anew="  # precedes the JSON object in the comment of a sample's file
PROGRAM_NAMES = ("anew", "anew.exe")


def command_line() -> str | None:
    """The command that began this process, as it can be pasted into a shell; None where that was not `anew`."""
    program = Path(sys.argv[0]) if sys.argv else Path()
    is_module = program.name == "__main__.py" and program.parent.name == "anew"
    return command("anew", *without_secrets(sys.argv[1:])) if program.name in PROGRAM_NAMES or is_module else None


def versions() -> dict[str, str]:
    """Versions of Python, PyTorch and this package."""
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__, "anew": __version__}
