"""The tree of exceptions, and how values, commands and what came from files are shown in their sentences.

AnewError              one sentence; the command line ends with exit code 2, unless said otherwise
├── UserError          a mistake the user can fix
│   ├── DataError      the path, the files in it, or what they hold
│   ├── ConfigError    an argument or setting: unknown name, wrong type, value out of range
│   │   └── ItemError    an item of a list that cannot be scored
│   ├── BudgetError    the time given cannot do what was asked
│   └── RunError       a run folder: exists, missing, damaged, does not fit
│       ├── InUseError   another process writes the run; exit code 75
│       └── UnsentError  a run is finished, and could not be written to its address; exit code 75 after an outage of the store
├── TrainingError      training could not go on (a loss that stays non-finite)
└── ProcessError       another of several processes failed or is gone; exit code 2 or 75
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MAX_LISTED = 60  # names in a sentence
# Similarity from which a name is suggested; of short names, one wrong letter is half of it. 'report' is 0.62 like 'dropout'.
SIMILAR, SHORT_SIMILAR, SHORT = 0.65, 0.5, 3
NEARLY_SAME = 0.85  # similarity of a name with a letter too many or too few
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_QUERY = re.compile(r"(https?:/{1,2}[^\s?#]*)[?#]\S*")  # a signed address carries its key there
_SECRET_OPTION = "--api-key"
_MEMORY_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "storage size calculation overflowed",
    "invalid buffer size",
    "bytes was requested but",
)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # the second: the share of this user is used up


class AnewError(Exception):
    """Base of all errors that this package raises on purpose: what was given, what is allowed, how to fix it.

    Names of arguments stand in backticks; the command line shows its own options in their place.

    Attributes:
        is_reported: Whether another process of the same training says it: of many processes one speaks. None where they
            have not come together yet.
        exit_code: Exit code of the command: 2 where something has to be fixed, 75 where the same command can succeed later.
    """

    is_reported: bool | None = None
    exit_code = 2

    @property
    def argument(self) -> str | None:
        """Name of the argument that the message is about, the first that it names; None if it names none."""
        match = re.search(r"`(\w+)`", str(self))
        return match[1] if match else None


class UserError(AnewError):
    """A mistake that the user can fix: one sentence."""


class DataError(UserError):
    """The data cannot be used as it is."""


class ChangedDataError(DataError):
    """The data changed while it was read.

    Attributes:
        change: What changed, without advice.
    """

    def __init__(self, change: str) -> None:
        super().__init__(f"{change}; run the command again when nobody writes there")
        self.change = change


class MovedDataError(DataError):
    """The data of a run is not where the run says, or must not be read from there without being named."""


class ConfigError(UserError):
    """An argument or setting is unknown or out of range.

    Args:
        sentence: What was given, what is allowed, how to fix it.
        argument: Name of the argument or setting, where the sentence does not name it in backticks.
    """

    def __init__(self, sentence: str = "", argument: str | None = None) -> None:
        super().__init__(sentence)
        self._argument = argument

    @property
    def argument(self) -> str | None:
        return self._argument or super().argument


class ItemError(ConfigError):
    """An item of a list cannot be scored.

    Attributes:
        number: Its number in the list, from 1.
        reason: Why, and what to do; without the number.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"`data` cannot be scored: item {number}: {reason}")
        self.number, self.reason = number, reason

    def __reduce__(self) -> tuple[type[ItemError], tuple[int, str]]:
        return type(self), (self.number, self.reason)


class BudgetError(UserError):
    """The time given is too little for what was asked."""


class RunError(UserError):
    """A run folder is missing, in the way, damaged, or does not fit."""


class InUseError(RunError):
    """Another process writes the run; the same command can be repeated when that is done."""

    exit_code = 75


class UnsentError(RunError):
    """The command succeeded, but the run could not be written to its address.

    Attributes:
        folder: Where it lies on this machine.
    """

    def __init__(self, sentence: str, folder: Path) -> None:
        super().__init__(sentence)
        self.folder = folder


class TrainingError(AnewError):
    """Training could not go on; the last good state is kept in the run."""


class ProcessError(AnewError):
    """Another process of the training failed or is gone, so this one cannot go on either."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def shorten(value: object) -> str:
    """The value as a sentence may show it: one line, not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def about(number: float) -> str:
    """A figure that is known roughly, with two digits: 2614 is "2,600", 87.15 "87", 0.031 "0.031"."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 else f"{rounded:g}"


def closest_name(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name that somebody who gave this one may have meant; None if none is like it.

    A number is like no other: whoever asks for class 11 of ten does not mean 1.
    """
    if name.isdecimal():
        return None
    names = sorted(set(allowed))
    # Who gives "ngram" means ngrams, not ngram_order; who gives "text" for a column means text_column, not context
    misspelled = difflib.get_close_matches(name, names, n=1, cutoff=NEARLY_SAME)
    longer = [full_name for full_name in names if name and full_name.startswith(f"{name}_")]
    if not misspelled and len(longer) == 1:
        return longer[0]
    cutoff = SIMILAR if len(name) > SHORT else SHORT_SIMILAR
    return next(iter(misspelled or difflib.get_close_matches(name, names, n=1, cutoff=cutoff)), None)


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest allowed name, else the list of allowed names, unless they are too many to read."""
    names = sorted(set(allowed))
    closest = closest_name(name, names)
    if closest is not None:
        return f"; did you mean {closest!r}?"
    if len(names) > MAX_LISTED:
        return f"; it is not one of the {len(names)} names"
    return (
        f"; allowed: {', '.join(filter(None, names)) or 'none'}"  # who gives names does not mean those that are empty
    )


def printable(text: str) -> str:
    """The text with control characters, marks that turn the direction of text, and lone surrogates as \\xNN or \\uNNNN.

    Names and labels come from files: raw, they could clear a terminal or hide what follows."""
    return _UNPRINTABLE.sub(lambda match: _escaped(ord(match[0])), text)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # what a byte of a file name that is not UTF-8 was read as
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def command(*words: object) -> str:
    """A command as it can be pasted into a shell."""
    return shlex.join(os.fspath(w) if isinstance(w, os.PathLike) else str(w) for w in words)


def without_secrets(words: Sequence[str]) -> list[str]:
    """The words of a command with keys and the queries of addresses left out, since reports are handed on."""
    result = []
    for before, word in zip(("", *words), words, strict=False):
        if before == _SECRET_OPTION:
            word = "..."
        elif word.startswith(f"{_SECRET_OPTION}="):
            word = f"{_SECRET_OPTION}=..."
        result.append(_QUERY.sub(r"\1?...", word))
    return result


def out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be had: Python's, PyTorch's on this machine, or that of a GPU."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _MEMORY_SIGNS)


def disk_is_full(error: BaseException) -> bool:
    """Whether an error, or its cause, says that the disk is full."""
    causes = (error, error.__cause__)
    return any(isinstance(cause, OSError) and cause.errno in _DISK_FULL for cause in causes)


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside while something is made from a file of a run is a RunError that names the file: its values
    may be anything. Errors of the machine, such as full memory or a full disk, are not caused by the file and stay as they are."""
    try:
        yield
    except ConfigError as error:  # a setting in the file, not one that was given now
        raise RunError(f"{str(path)!r} does not fit this version of anew: {error}") from error
    except AnewError:
        raise
    except Exception as error:  # any: the values that reach our code and PyTorch's are a stranger's
        if out_of_memory(error) or disk_is_full(error) or _of_the_device(error):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        raise RunError(f"{str(path)!r} was edited or written by another version ({reason}); restore it") from error


def _of_the_device(error: Exception) -> bool:
    torch = sys.modules.get("torch")  # not imported for this: without it nothing of it was raised
    device_errors = tuple(
        k for name in ("OutOfMemoryError", "AcceleratorError") if (k := getattr(torch, name, None)) is not None
    )
    return isinstance(error, device_errors)
