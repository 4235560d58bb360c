"""events.jsonl: one line an event, appended; the record of progress that replays a budgeted run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, TextIO


class Events:
    """Appends JSON lines; flushed at most every `every` seconds and on close."""

    def __init__(self, path: Path, every: float = 1.0) -> None:
        self._path = path
        self._every = every
        self._flushed = time.monotonic()
        self._file: TextIO = open(path, "a", encoding="utf-8")  # noqa: SIM115

    def write(self, kind: str, **fields: Any) -> None:
        self._file.write(json.dumps({"event": kind, "time": round(time.time(), 3), **fields}) + "\n")
        if time.monotonic() - self._flushed >= self._every:
            self.flush()

    def flush(self) -> None:
        self._file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[dict[str, Any]]:
    """All whole lines; a line cut by a kill is left out."""
    found = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return [e for e in found if isinstance(e, dict)]


def truncate(path: Path, step: int) -> None:
    """Forget steps after `step`: a resumed run takes them again. Other events stay."""
    events = [e for e in read(path) if e.get("event") != "step" or e.get("step", 0) <= step]
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text("".join(json.dumps(e) + "\n" for e in events), encoding="utf-8")
    temporary.replace(path)


def progress_record(path: Path) -> list[float]:
    """Progress by step, 0-based, of a run's steps."""
    steps = {e["step"]: e["progress"] for e in read(path) if e.get("event") == "step"}
    return [steps[s] for s in sorted(steps)]
