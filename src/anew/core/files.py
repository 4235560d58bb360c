"""Files and folders: where caches lie."""

from __future__ import annotations

import os
from pathlib import Path

SPARE = 2 * 1024**3  # bytes that stay free on the disk


def cache_root(given: Path | None) -> Path:
    """`given`, else $ANEW_CACHE, else the user's cache folder."""
    if given is not None:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(os.environ.get("ANEW_CACHE") or (Path(home) if home else Path.home() / ".cache") / "anew")
