"""The one place where the command line prints.

Text may come from files of strangers, so control characters are escaped. Colour is used on a terminal only, unless
NO_COLOR is set. A reader that goes away (`anew look DATA | head`) ends the output, not the work.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from anew.core.activity import note_said
from anew.core.wording import ERROR_PREFIX
from anew.errors import UserError, printable

Span = tuple[str, str]  # text and its style, as rich names styles: "bold", "green", ""


def lines(text: str) -> str:
    """The text with its line breaks, and everything else that a terminal would obey escaped."""
    return "\n".join(map(printable, text.split("\n")))


def open_closed_streams() -> None:
    """Let output to a stream that was closed before we began (`>&-`, a daemon) go nowhere, not to the other one."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def write(text: str, stream: TextIO | None = None) -> None:
    """Print lines of text to standard output, or to another stream."""
    _emit(lines(text), stream or sys.stdout)


def write_spans(spans: Sequence[Span]) -> None:
    """Print one line of styled text to standard output; without the styles where it is not a terminal."""
    if not sys.stdout.isatty():
        write("".join(text for text, _ in spans))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, soft_wrap=True)
    with console.capture() as capture:
        console.print(Text.assemble(*((printable(text), style) for text, style in spans)), end="")
    _emit(capture.get(), sys.stdout)


def write_json(value: object) -> None:
    """Print one JSON object, in ASCII: any name can be written so."""
    _emit(json.dumps(value).replace("\x7f", "\\u007f"), sys.stdout)


def complain(text: str) -> None:
    """Print one sentence to standard error."""
    _emit(printable(f"{ERROR_PREFIX}{text}"), sys.stderr)


def _emit(text: str, stream: TextIO) -> None:
    note_said()
    encoding = stream.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError as error:
        silence(stream)
        if isinstance(error, BrokenPipeError) or _is_closed_terminal(stream, error):
            return
        raise UserError(
            f"the output cannot be written ({error.strerror or error}); free some space or redirect it"
        ) from None


class Terminal:
    """A stream to a terminal for rich, which ends silently where the terminal is closed. Other attributes are the stream's."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._keep_on(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._keep_on(self._stream.flush)

    def _keep_on(self, output: Callable[[], object]) -> None:
        try:
            output()
        except OSError as error:
            if not _is_closed_terminal(self._stream, error):
                raise
            silence(self._stream)


def _is_closed_terminal(stream: TextIO, error: OSError) -> bool:
    # isatty() is false for one that was closed
    return error.errno == errno.EIO and stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)


def silence(stream: TextIO) -> None:
    """Let the rest of a stream go nowhere; Python's last flush of it would fail again otherwise."""
    null_device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_device, stream.fileno())
    os.close(null_device)
