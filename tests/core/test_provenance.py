"""Which command began a process."""

from __future__ import annotations

import sys

import pytest

import anew
from anew.core.provenance import command_line, versions


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["/usr/bin/anew", "train", "my data"], "anew train 'my data'"),
        (["/lib/anew/__main__.py", "look", "x"], "anew look x"),
        (["C/anew.exe"], "anew"),
        (["ipykernel_launcher.py", "-f", "kernel.json"], None),
        (["/lib/pytest/__main__.py"], None),
        ([], None),
        (
            ["anew", "train", "https://host/x.tar?X-Amz-Signature=secret#f", "--seed", "1"],
            "anew train 'https://host/x.tar?...' --seed 1",
        ),
        (
            ["anew", "serve", "run", "--api-key", "secret", "--api-key=secret"],
            "anew serve run --api-key ... --api-key=...",
        ),
    ],
)
def test_a_command_is_named_where_there_was_one(
    arguments: list[str], line: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    assert command_line() == line


def test_one_version() -> None:
    assert versions()["anew"] == anew.__version__
