"""How a command line is read."""

from __future__ import annotations

import pytest

from anew.cli.parser import parse


@pytest.mark.parametrize("words", [["--stop", "--"], ["--stop=--"]])
def test_two_dashes_are_a_text(words: list[str]) -> None:
    """Quotes end in `-- Author`; `--stop=--` was read as an empty list after the run was loaded, `--stop --` not at all."""
    arguments = parse(["sample", "RUN", "--out", "DIR", *words, "--prompt", "a"])
    assert (arguments.stop, arguments.prompt, arguments.run) == ("--", "a", "RUN")
