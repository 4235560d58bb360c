"""The tree of exceptions.

AnewError
├── UserError          a mistake the user can mend: one sentence, exit code 2
│   ├── DataError      the path, the files in it, or what they hold
│   ├── ConfigError    an option or knob: unknown name, value out of range
│   ├── BudgetError    the time given cannot do what was asked
│   └── RunError       a run folder: exists, missing, damaged, does not fit
└── TrainingError      training could not go on (a loss that stays non-finite): exit code 1
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AnewError(Exception):
    """Base of all errors that this package raises on purpose."""


class UserError(AnewError):
    """What was given, what is allowed, how to mend it: one sentence."""


class DataError(UserError):
    """The data cannot be used as it is."""


class ConfigError(UserError):
    """An option or knob is unknown or out of range."""


class BudgetError(UserError):
    """The time given is too little for what was asked."""


class RunError(UserError):
    """A run folder is missing, in the way, damaged, or does not fit."""


class TrainingError(AnewError):
    """Training could not go on; the last good state is kept in the run."""


def short(value: object) -> str:
    """The value as a sentence may show it: one line, not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: str) -> str:
    """The text with every character as an escape (`\\x1b`) that a terminal might obey or UTF-8 cannot write.

    Names of files and classes come from anybody: they pass here on their way into a sentence. Bytes of a file name that
    are not UTF-8 are shown as such bytes (`\\xe9`)."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what a byte of a file name that is not UTF-8 was read as
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest allowed name, else the list of allowed names."""
    names = sorted(set(allowed))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; allowed: {', '.join(names) or 'none'}"
