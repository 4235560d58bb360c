"""Whole commands within this process: starting another one takes as long as most of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

from anew.cli import main


class Printed(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


def setting_words(settings: Mapping[str, object]) -> list[str]:
    """The words of a command that give it these settings."""
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def anew(*words: object, code: int = 0) -> Printed:
    """What `anew WORDS` prints; it must end with `code`."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        exit_code = main([str(word) for word in words])
    printed = Printed(out.getvalue(), err.getvalue())
    assert exit_code == code, printed.stdout[-1500:] + printed.stderr[-1500:]
    assert "Traceback" not in printed.stderr
    return printed
