"""The folder in which Numba keeps machine code; does not load Numba."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

from anew.core.files import cache_root


@functools.cache
def machine_code_folder(sources: Path) -> Path:
    """The folder for the machine code of a folder of sources; it changes with their contents.

    Numba compares only the file of the function itself, though the machine code holds what the function calls in other files too.
    """
    digest = hashlib.sha256()
    for path in sorted(sources.glob("*.py")):
        digest.update(path.read_bytes())
    if folder := os.environ.get("NUMBA_CACHE_DIR"):
        root = Path(folder)
    elif os.access(sources, os.W_OK):
        root = sources / "__pycache__"
    else:
        root = cache_root(None) / "compiled"
    return root / digest.hexdigest()[:16]
