"""The one place where the command line prints.

Text may come from files of strangers, so control characters are escaped. Colour is used on a terminal only, unless
NO_COLOR is set. A reader that goes away (`anew look DATA | head`) ends the output, not the work.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from anew.core.wording import COMPLAINT
from anew.errors import UserError, printable

Span = tuple[str, str]  # text and its style, as rich names styles: "bold", "green", ""


def lines(text: str) -> str:
    """The text with its line breaks, and everything else that a terminal would obey escaped."""
    return "\n".join(map(printable, text.split("\n")))


def write(text: str, stream: TextIO | None = None) -> None:
    """Print lines of text to standard output, or to another stream."""
    _emit(lines(text), sys.stdout if stream is None else stream)


def write_spans(spans: Sequence[Span], stream: TextIO | None = None) -> None:
    """Print one line of styled text; without the styles where the stream is not a terminal."""
    stream = sys.stdout if stream is None else stream
    if stream is None or not stream.isatty():
        write("".join(text for text, _ in spans), stream)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, soft_wrap=True)
    with console.capture() as capture:
        console.print(Text.assemble(*((printable(text), style) for text, style in spans)), end="")
    _emit(capture.get(), stream)


def write_json(value: object) -> None:
    """Print one JSON object, in ASCII: any name can be written so."""
    _emit(json.dumps(value).replace("\x7f", "\\u007f"), sys.stdout)


def complain(text: str) -> None:
    """Print one sentence to standard error."""
    _emit(printable(f"{COMPLAINT}{text}"), sys.stderr)


def _emit(text: str, stream: TextIO | None) -> None:
    if stream is None:  # it was closed before we began
        return
    encoding = stream.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except BrokenPipeError:
        silence(stream)
    except OSError as error:
        silence(stream)
        raise UserError(f"the output cannot be written ({error.strerror}); free some space or redirect it") from None


def silence(stream: TextIO) -> None:
    """Let the rest of a stream go nowhere; Python's last flush of it would fail again otherwise."""
    null_device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_device, stream.fileno())
    os.close(null_device)
