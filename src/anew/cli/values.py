"""Values of options, from the text that was given. Nothing heavy is imported here: `anew --help` answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from anew.core import arguments as checked
from anew.errors import ConfigError, shorten

# Most processes on one machine: more than any has processors, so that a typo does not start thousands; chosen.
MAX_PROCESSES = 1024


def setting(example: str) -> Callable[[str], tuple[str, str]]:
    """A function from the text of a `--set` to (key, value). example: what the sentence for a wrong one shows."""

    def parse_setting(text: str) -> tuple[str, str]:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set takes KEY=VALUE, for example --set {example} (got {shorten(text)})")
        return key.strip(), value.strip()

    return parse_setting


class OncePerKey(argparse.Action):
    """Appends a setting, and refuses one that was given already: the last would win without a word."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: Any, option_string: object = None
    ) -> None:
        key, value = values
        settings = getattr(namespace, self.dest)
        earlier = next((text for name, text in settings if name == key), None)
        if earlier is not None:
            raise ConfigError(
                f"--set {key} was given twice ({key}={shorten(earlier)} and {key}={shorten(value)}); give one"
            )
        setattr(namespace, self.dest, [*settings, (key, value)])


def integer(option: str) -> Callable[[str], int]:
    """A function from the text of an option to an integer."""

    def parse_integer(text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise ConfigError(f"{option} must be an integer (got {shorten(text)})") from None

    return parse_integer


def share(text: str) -> tuple[int, int]:
    """(i, k) of I/K."""
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal() or not 1 <= int(number) <= int(of):
        raise ConfigError(f"--share must be I/K with I from 1 to K, like 1/4 (got {shorten(text)})")
    return int(number), int(of)


def choice(option: str, choices: Sequence[str]) -> Callable[[str], str]:
    """A function from the text of an option to one of the choices."""

    def parse_choice(text: str) -> str:
        if text not in choices:
            raise ConfigError(f"{option} must be one of {', '.join(choices)} (got {shorten(text)})")
        return text

    return parse_choice


def process_count(text: str) -> int:
    """A number of processes."""
    if not text.isdecimal() or not 1 <= int(text) <= MAX_PROCESSES:
        raise ConfigError(f"--processes must be a number from 1 to {MAX_PROCESSES} (got {shorten(text)})")
    return int(text)


def check_text_file(arguments: argparse.Namespace, name: str) -> None:
    """Raise ConfigError where --prompt-file or --suffix-file cannot be read, or is given together with the text itself."""
    file = getattr(arguments, f"{name}_file", None)
    if file is None:
        return
    if getattr(arguments, name) is not None:
        raise ConfigError(f"--{name} and --{name}-file are mutually exclusive")
    path = checked.path(f"{name}_file", file)
    if not path.exists():
        raise ConfigError(f"--{name}-file {shorten(file)} does not exist")
    # Reading a pipe or a device may never end
    if not (path.is_file() or path.is_dir()):
        raise ConfigError(f"--{name}-file {shorten(file)} is not an ordinary file")
