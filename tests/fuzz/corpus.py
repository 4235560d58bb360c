"""Files that once failed, kept so that they never fail again: `corpus/FORMAT/SHA.EXT`, and a line each in `corpus/index.jsonl`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fuzz.children import Outcome
from fuzz.formats import FORMATS

HERE = Path(__file__).parent / "corpus"
INDEX = HERE / "index.jsonl"
MOST_BYTES = 20_000  # most bytes of a file that is kept
ALIKE = 2  # files kept of one format that fail in the same way


def lines() -> list[dict[str, Any]]:
    """All entries: format, files, seed, fault, where, detail, modality, first."""
    return [json.loads(line) for line in INDEX.read_text().splitlines()] if INDEX.exists() else []


def data_of(entry: dict[str, Any]) -> list[bytes]:
    """The damaged files of an entry."""
    return [(HERE / name).read_bytes() for name in entry["files"]]


def keep(name: str, files: Sequence[bytes], seed: str, outcome: Outcome, modality: str | None, first: bool) -> bool:
    """Store what fails, unless it is large or as many like it are kept. Returns whether it was stored."""
    entries = [e for e in lines() if e["format"] == name and e["signature"] == outcome.signature]
    paths = [
        HERE / name / f"{hashlib.sha256(data).hexdigest()[:16]}.{FORMATS[name].ending.lstrip('.')}" for data in files
    ]
    large = sum(map(len, files)) > MOST_BYTES or len(files) > 4
    if large or len(entries) >= ALIKE or any(path.exists() for path in paths):
        return False
    for path, data in zip(paths, files, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    entry = {
        "format": name, "files": [str(path.relative_to(HERE)) for path in paths], "seed": seed, "modality": modality,
        "first": first, "fault": outcome.fault, "signature": outcome.signature, "detail": outcome.detail[:200],
    }  # fmt: skip
    with open(INDEX, "a") as index:
        index.write(json.dumps(entry, ensure_ascii=True) + "\n")
    return True
