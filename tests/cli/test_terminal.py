"""Control characters are escaped; a closed pipe ends the output, not the command."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path

import pytest

import anew
from anew import api, cli
from anew.cli import commands, terminal
from anew.cli.parser import options_in
from anew.cli.progress import ProgressLine
from anew.core.exit_codes import STOPPED
from anew.errors import DataError, command, out_of_memory, printable

SRC = Path(anew.__file__).parent
EVIL = "a\x1b[2J\x07\x7f\x9b\u202eb\udcff\u2066 é"


def test_printable_escapes_what_a_terminal_obeys() -> None:
    assert printable(EVIL) == "a\\x1b[2J\\x07\\x7f\\x9b\\u202eb\\xff\\u2066 é"
    assert printable("one\ntwo\t") == "one\\x0atwo\\x09"


def test_all_sinks_escape(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.write(f"{EVIL}\nnext")
    terminal.complain(EVIL)
    terminal.write_json({"name": EVIL})
    out, error = capsys.readouterr()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]", out + error)
    assert json.loads(out.splitlines()[2]) == {"name": EVIL}


def test_nothing_else_prints() -> None:
    for path in (SRC / "cli").glob("*.py"):
        if path.name != "terminal.py":
            assert not re.search(r"(?<!\.)\bprint\(|\bstd(out|err)\.write", path.read_text()), path.name


def test_styles_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def written(stream: io.StringIO, *spans: tuple[str, str]) -> str:
        monkeypatch.setattr("sys.stdout", stream)
        terminal.write_spans(spans)
        return stream.getvalue()

    assert written(io.StringIO(), (EVIL, "bold green"), (" [b] ", "")) == f"{printable(EVIL)} [b] \n"
    coloured = written(Terminal(), (EVIL, "bold green"), (" [b] ", ""))
    assert "\x1b[1;32m" in coloured and "\x1b[2J" not in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert written(Terminal(), (EVIL, "green")) == f"{printable(EVIL)}\n"


def test_errors_show_names_escaped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise DataError(f"{EVIL} is empty")

    monkeypatch.setattr(commands, "run", fail)
    assert cli.main(["look", "x"]) == 2
    assert capsys.readouterr().err == f"anew: {printable(EVIL)} is empty\n"


def test_json_keeps_names_that_are_not_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.write_json({"labels": [EVIL, "Zürich"]})
    printed = capsys.readouterr().out
    assert printed.isascii() and json.loads(printed) == {"labels": [EVIL, "Zürich"]}


def test_letters_that_the_stream_lacks_are_escaped() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    terminal.write("é", stream)
    stream.seek(0)
    assert stream.read() == "\\xe9\n"


def test_a_reader_that_went_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        with pytest.raises(BrokenPipeError):
            os.write(writing, b"x")
        terminal.write("x", stream)
        assert os.write(writing, b"y") == 1  # from here on nowhere
        terminal.write("y", stream)


def test_a_terminal_that_was_closed_is_no_error() -> None:
    controller, device = os.openpty()
    with open(device, "w") as stream:
        os.close(controller)
        for_rich = terminal.Terminal(stream)
        for_rich.write("x\n")
        for_rich.flush()
        assert for_rich.write("y\n") == 2
    controller, device = os.openpty()
    with open(device, "w") as stream:
        os.close(controller)
        terminal.write("x", stream)
        terminal.write("y", stream)


@pytest.mark.parametrize(
    ("closed", "options", "out", "err"),
    [
        ("stdout", [], "", "anew: stopped\n"),
        ("stdout", ["--json"], "", "reading\nanew: stopped\n"),
        ("stderr", [], "reading\n", ""),
        ("stderr", ["--json"], "", ""),
    ],
)
def test_what_goes_to_a_closed_stream_goes_nowhere(
    closed: str,
    options: list[str],
    out: str,
    err: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def train(*_: object, reporter: ProgressLine, **__: object) -> None:
        reporter.message("reading")
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "train", train)
    monkeypatch.setattr(sys, closed, None)
    assert cli.main(["train", "book.txt", *options]) == STOPPED
    getattr(sys, closed).close()
    assert capsys.readouterr() == (out, err)


def test_the_library_names_arguments_and_the_command_line_options() -> None:
    sentence = "`held_out` is for samples; give `data`, `trust_code` or `ends`, as `anew look` does"
    text = options_in(sentence, ["evaluate", "run"])
    assert text.startswith("--held-out is for samples; give --data, --trust-code or --from and --to, as `anew look`")
    assert options_in("`data` must be", ["train"]) == "DATA must be"
    writers = {
        "subprocesses.py",
        "model_card.py",
        "card.py",
        "errors.py",
        "inspect_run.py",
        "sample.py",
        "commands.py",
        "studio.py",
        "run_summary.py",
        "next_step.py",
        "measuring.py",
        "guard.py",
        "run_report.py",
        "stuck_torchrun.py",
        "train.py",
        "text_routes.py",
        "exit_codes.py",
    }  # in the package of commands, or that itself
    for path in SRC.rglob("*.py"):
        if path.parent.name != "cli" and path.name not in writers:
            # A colour of a page
            text = re.sub(r"var\(--[a-z]+\)", "", path.read_text().replace("anew sample --set", ""))
            assert not re.search(r"--[a-z]", text), path


def test_commands_can_be_pasted() -> None:
    assert command("anew", "resume", Path("a b"), 3) == "anew resume 'a b' 3"


def test_memory_that_could_not_be_had() -> None:
    assert out_of_memory(MemoryError()) and out_of_memory(RuntimeError("CUDA out of memory"))
    assert not out_of_memory(RuntimeError("shapes differ")) and not out_of_memory(ValueError("out of memory"))
