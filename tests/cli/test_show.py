"""What reaches a terminal: names from the data never do as control codes."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from anew import cli
from anew.cli import commands
from anew.cli.show import ProgressLine, describe
from anew.cli.terminal import write_json
from anew.errors import DataError

WILD = "a\x1b[2J\x1b]0;owned\x07\udce9"
SHOWN = r"a\x1b[2J\x1b]0;owned\x07\xe9"


def test_look_shows_names_escaped() -> None:
    found: dict[str, Any] = {
        "path": WILD, "items": 2, "noun": "image", "bytes": 5, "labels": [WILD, "b"], "parts": {}, "notes": [WILD],
        "other": {WILD: 1}, "refused": 1, "refusals": [{"name": WILD, "reason": WILD}], "family": "gan", "why": "",
        "instead": {}, "budgets": [],
    }  # fmt: skip
    lines = describe(found).split("\n")
    assert len(lines) == 7 and all(line.isprintable() for line in lines)
    assert sum(line.count(SHOWN) for line in lines) == 6


def test_progress_shows_names_escaped_and_keeps_lines() -> None:
    out = io.StringIO()
    ProgressLine(out).message(f"one\n  {WILD}")
    assert out.getvalue() == f"one\n  {SHOWN}\n"


def test_errors_show_names_escaped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> int:
        raise DataError(f"{WILD} is empty")

    monkeypatch.setattr(commands, "run", fail)
    assert cli.main(["look", "x"]) == 2
    assert capsys.readouterr().err == f"anew: {SHOWN} is empty\n"


def test_json_keeps_names_that_are_not_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"labels": [WILD, "Zürich"]})
    printed = capsys.readouterr().out
    assert printed.isascii() and json.loads(printed) == {"labels": [WILD, "Zürich"]}
