"""How a command ends: exit codes, and what is said of errors that are nobody's message yet."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import anew
from anew.cli import terminal
from anew.errors import AnewError, command, out_of_memory

DONE, FAULT, MISTAKE, STOPPED = 0, 1, 2, 75  # 75 is EX_TEMPFAIL: the same again, or `resume`, goes on
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
PACKAGES = ("torch", "numpy", "safetensors", "tokenizers", "pillow", "av")


def ended(work: Callable[[], int], argv: Sequence[str], flags: Callable[[str], str]) -> int:
    """Run a command to its exit code. flags: turns the names of arguments in a sentence into options."""
    try:
        return work()
    except AnewError as error:
        return _said(flags(str(error)), error, argv)
    except KeyboardInterrupt:
        terminal.complain("stopped")
        return STOPPED
    except Exception as error:  # whatever is left is a fault of ours, or of the machine
        sentence = machine(error)
        return fault(error, argv) if sentence is None else _said(sentence, error, argv)


def _said(sentence: str, error: BaseException, argv: Sequence[str]) -> int:
    if debugging(argv):
        terminal.write(traced(error), sys.stderr)
    with contextlib.suppress(AnewError):  # standard error itself cannot be written: nobody would hear that either
        terminal.complain(sentence)
    return MISTAKE


def machine(error: BaseException) -> str | None:
    """The sentence for a limit of this machine; None where an error is none."""
    if out_of_memory(error):
        return (
            "there was not enough memory; give less at once (a smaller batch, width or size, fewer samples), "
            "or end other programs"
        )
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        where = f" for {str(error.filename)!r}" if error.filename else ""
        return f"the disk is full: there is no room{where}; free some space and give the same command again"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many files are open; raise the limit (`ulimit -n`) and give the same command again"
    return None


def fault(error: BaseException, argv: Sequence[str]) -> int:
    """Say that this is a bug, and where what a report of it needs was written."""
    deep = "something that was read is nested too deep, or " if isinstance(error, RecursionError) else ""
    sentence = f"{deep}this is a bug in Anew ({type(error).__name__})"
    if debugging(argv):
        terminal.write(traced(error), sys.stderr)
        terminal.complain(sentence)
        return FAULT
    try:
        place = write_report(error, argv)
        sentence += f"; please send {str(place)!r}, which holds versions, the command and the traceback, and no data"
    except OSError:
        sentence += "; please send what the same command says with --debug"
    terminal.complain(sentence)
    return FAULT


def debugging(argv: Sequence[str]) -> bool:
    """Whether tracebacks are shown instead of written to a file."""
    return "--debug" in argv or os.environ.get("ANEW_DEBUG", "") not in ("", "0")


def traced(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip("\n")


def write_report(error: BaseException, argv: Sequence[str]) -> Path:
    """A new file in the folder for temporary files: versions, the command and the traceback."""
    handle, name = tempfile.mkstemp(prefix="anew-bug-", suffix=".txt")
    parts = [command("anew", *argv), "", *(f"{name}: {value}" for name, value in versions().items()), "", traced(error)]
    with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write("\n".join(parts) + "\n")
    return Path(name)


def versions() -> Mapping[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"anew": anew.__version__, "python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
