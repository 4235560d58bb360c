"""A folder for new files. A command that was killed can be repeated with the same folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from anew.errors import ConfigError

UNFINISHED = ".unfinished.json"  # present while files are written; it holds the command that writes them
_TEMPORARY = f"{UNFINISHED}.tmp"  # its name until it is whole: a command that is killed meanwhile can be repeated, too
PRESENTATION = ("out", "debug", "json", "verbose")  # arguments that do not change which files a command writes


def request_of(arguments: argparse.Namespace) -> str:
    """The request that identifies a command that writes files."""
    return json.dumps({name: value for name, value in vars(arguments).items() if name not in PRESENTATION})


class OutputFolder:
    """A folder that must be new, empty, or left half-written by the same command, which then writes it again.

    Used as a context: `begin` marks the folder as unfinished, and leaving without an error removes the mark.

    Args:
        path: The folder, as given with --out.
        request: Identifies the command and its arguments.

    Raises:
        ConfigError: The folder holds something else.
    """

    def __init__(self, path: Path, request: str) -> None:
        self.path = path
        self.request = request

    def __enter__(self) -> OutputFolder:
        if not self.path.exists() or (self.path.is_dir() and all(p.name == _TEMPORARY for p in self.path.iterdir())):
            return self
        mark = self.path / UNFINISHED
        if not mark.is_file():
            raise ConfigError(f"--out {str(self.path)!r} exists and is not empty; give another folder")
        if mark.read_text(encoding="utf-8", errors="replace") != self.request:
            raise ConfigError(
                f"--out {str(self.path)!r} holds part of the files of another command, which was stopped; "
                "repeat that command, or give another folder"
            )
        for temporary in [*self.path.glob(".*.tmp"), *self.path.glob("*/.*.tmp")]:
            temporary.unlink(missing_ok=True)
        return self

    def begin(self) -> None:
        """Make the folder; from here on it is unfinished."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            temporary = self.path / _TEMPORARY
            temporary.write_text(self.request, encoding="utf-8")
            temporary.replace(self.path / UNFINISHED)
        except OSError as error:
            raise ConfigError(
                f"--out {str(self.path)!r} cannot be written ({error.strerror or error}); give another folder"
            ) from None

    def __exit__(self, error_type: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            (self.path / UNFINISHED).unlink(missing_ok=True)
