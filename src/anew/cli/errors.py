"""The exit code of an exception, and sentences for errors that have none of their own."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import anew
from anew.cli.terminal import complain, write
from anew.core.exit_codes import DONE, INTERNAL_ERROR, STOPPED, USER_ERROR
from anew.core.processes.launcher import is_first_on_machine, is_first_process, notify_torchrun
from anew.errors import AnewError, command, disk_is_full, out_of_memory, without_secrets

# The first process of a machine gets so long to say what is wrong, since torchrun stops it when another one has ended. Two
# that start together on a busy machine begin to read their command within a second of each other; chosen.
HEAD_START_S = 3.0
PACKAGES = ("torch", "numpy", "safetensors", "tokenizers", "pillow", "av")


def exit_code(work: Callable[[], int], argv: Sequence[str], with_options: Callable[[str], str]) -> int:
    """Run a command to its exit code, and print one sentence where it fails.

    Args:
        work: The command.
        argv: Its words.
        with_options: Turns the names of arguments in a sentence of the library into options of the command.
    """
    code = _exit_code(work, argv, with_options)
    if code != DONE:
        notify_torchrun(code)
    return code


def _exit_code(work: Callable[[], int], argv: Sequence[str], with_options: Callable[[str], str]) -> int:
    try:
        return _to_its_own_end(work)
    except AnewError as error:
        if not _is_reported(error):
            _print_error(with_options(str(error)), error, argv)
        return error.exit_code
    except KeyboardInterrupt:
        if is_first_process():  # one of many processes speaks
            complain("stopped")
        return STOPPED
    except Exception as error:  # what remains is a bug, or the machine
        sentence = machine_limit(error)
        if sentence is None:
            return _report_bug(error, argv)
        _print_error(sentence, error, argv)
        return USER_ERROR


def _to_its_own_end(work: Callable[[], int]) -> int:
    """Carry out a command. If it fails in one of several processes, SIGTERM is ignored from here on, which torchrun sends to all once one
    has ended: this one ends by itself, with its own exit code."""
    try:
        return work()
    except BaseException:  # whatever it is, it is raised again
        if "RANK" in os.environ and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise


def _is_reported(error: AnewError) -> bool:
    """Whether another process of torchrun says it; before they come together, the first one of each machine speaks."""
    if error.is_reported is not None:
        return error.is_reported
    if is_first_on_machine():
        return False
    time.sleep(HEAD_START_S)
    return True


def _print_error(sentence: str, error: BaseException, argv: Sequence[str]) -> None:
    if _debugging(argv):
        write(_traceback(error), sys.stderr)
    with contextlib.suppress(AnewError):  # standard error itself cannot be written: nobody would hear that either
        complain(sentence)


def machine_limit(error: BaseException) -> str | None:
    """The sentence for an error that means a limit of this machine, None for other errors."""
    if out_of_memory(error):
        return "not enough memory; use a smaller batch_size, width or size, or fewer samples, or close other programs"
    if isinstance(error, OSError) and disk_is_full(error):
        place = f" for {str(error.filename)!r}" if error.filename else ""
        return f"no space left on the disk{place}; free some space and repeat the command"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many files are open; raise the limit (`ulimit -n`) and repeat the command"
    return None


def _report_bug(error: BaseException, argv: Sequence[str]) -> int:
    """Say that this is a bug, and where the bug report was written."""
    nesting = "the data is nested too deeply, or " if isinstance(error, RecursionError) else ""
    sentence = f"{nesting}this is a bug in Anew ({type(error).__name__})"
    if _debugging(argv):
        write(_traceback(error), sys.stderr)
        complain(sentence)
        return INTERNAL_ERROR
    try:
        path = _write_bug_report(error, argv)
        sentence += f"; please send {str(path)!r} (versions, the command and the traceback; no data)"
    except OSError:
        sentence += "; please send the output of the same command with --debug"
    complain(sentence)
    return INTERNAL_ERROR


def _debugging(argv: Sequence[str]) -> bool:
    """Whether tracebacks are shown instead of written to a file."""
    return "--debug" in argv or os.environ.get("ANEW_DEBUG", "") not in ("", "0")


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip("\n")


def _write_bug_report(error: BaseException, argv: Sequence[str]) -> Path:
    """A new file in the folder for temporary files: versions, the command and the traceback."""
    handle, name = tempfile.mkstemp(prefix="anew-bug-", suffix=".txt")
    parts = [
        command("anew", *without_secrets(argv)),
        "",
        *(f"{name}: {value}" for name, value in _versions().items()),
        "",
        _traceback(error),
    ]
    with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write("\n".join(parts) + "\n")
    return Path(name)


def _versions() -> Mapping[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {"anew": anew.__version__, "python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
