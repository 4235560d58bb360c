"""Commands of this package in processes of their own."""

from __future__ import annotations

import sys


def own_command(module: str, *words: str) -> list[str]:
    """The command line that runs a module of this package.

    Without `-P` Python would look for every import in the current folder first, and that may hold a stranger's files: a
    data set of programs with a `json.py` in it would be executed.
    """
    return [sys.executable, "-P", "-u", "-m", module, *words]
