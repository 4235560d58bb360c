"""What reports say of the command: the one of `anew`, and never that of another program."""

from __future__ import annotations

import sys

import pytest

from anew.core.provenance import command_line


@pytest.mark.parametrize("program", ["/usr/bin/anew", "C:/bin/anew.exe", "/lib/anew/__main__.py"])
def test_the_command_can_be_pasted(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [program, "train", "my data", "--steps", "3"])
    assert command_line() == "anew train 'my data' --steps 3"


@pytest.mark.parametrize("argv", [["/lib/ipykernel_launcher.py", "-f", "kernel-1.json"], ["script.py"], [""], []])
def test_arguments_of_other_programs_are_not_shown(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert command_line() == "(called from Python)"
