"""Names of the folders that a command makes if the user names none."""

from __future__ import annotations

from pathlib import Path

from anew.core import arguments


def default_run(data: str | Path) -> Path:
    """An unused folder for a new run on the data: runs/NAME-N."""
    return _unused_folder(arguments.stem(Path(data)) or "data")


def default_report(samples: Path) -> Path:
    """An unused folder for a report on samples made elsewhere: runs/NAME-report-N."""
    return _unused_folder(f"{arguments.stem(samples) or 'samples'}-report")


def _unused_folder(stem: str) -> Path:
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path
