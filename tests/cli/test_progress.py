"""Progress: a bar on a terminal, plain lines elsewhere; details only where they are wanted; control characters are escaped."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace
from typing import Any

import pytest

from anew.cli.printing import LateDetails
from anew.cli.progress import ProgressLine, clock

WILD = "a\x1b[2J\x1b]0;owned\x07\udce9"
SHOWN = r"a\x1b[2J\x1b]0;owned\x07\xe9"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def result(step: int, progress: float, **losses: float) -> Any:
    return SimpleNamespace(step=step, progress=progress, examples=16 * step, losses=losses or {"main": 0.5})


def test_names_are_escaped_and_lines_kept() -> None:
    log = io.StringIO()
    ProgressLine(log, verbose=True).message(f"one\n  {WILD}")
    assert log.getvalue() == f"one\n  {SHOWN}\n"


def test_details_are_for_verbose() -> None:
    quiet, verbose = io.StringIO(), io.StringIO()
    for stream in (quiet, verbose):
        progress = ProgressLine(stream, verbose=stream is verbose)
        progress.message("a sentence")
        progress.message("  coverage: 0.9")
    assert quiet.getvalue() == "a sentence\n"
    assert verbose.getvalue() == "a sentence\n  coverage: 0.9\n"


def test_a_log_gets_a_line_every_tenth_of_the_way() -> None:
    log = io.StringIO()
    progress = ProgressLine(log)
    for step in range(1, 101):
        progress.step(result(step, step / 100, main=0.25), 65.0)
    lines = log.getvalue().splitlines()
    assert 8 <= len(lines) <= 11
    assert lines[0].startswith("step 1 (1%): loss 0.2500") and "1:05 left" in lines[0]
    assert "examples/s" in lines[-1]


def test_the_loss_of_a_line_is_a_mean_of_the_last_steps() -> None:
    """The losses of single batches went up and down, so that the progress could not be seen."""
    log = io.StringIO()
    progress = ProgressLine(log)
    for step in range(1, 101):
        progress.step(result(step, step / 100, main=1.0 + 0.5 * (-1) ** step), 65.0)
    last = float(log.getvalue().splitlines()[-1].partition("loss ")[2].partition(",")[0])
    assert abs(last - 1.0) < 0.05
    progress = ProgressLine(short := io.StringIO())
    for step in range(1, 21):
        progress.step(result(step, step / 20, main=9.0 if step <= 9 else 1.0), 65.0)
    assert "loss 1.0000" in short.getvalue().splitlines()[-1]


def test_parts_in_a_log() -> None:
    log = io.StringIO()
    progress = ProgressLine(log)
    for count in range(1, 41):
        progress.progress("sampling", count, 40)
    assert log.getvalue().splitlines()[-1] == "sampling: 40 of 40" and len(log.getvalue().splitlines()) <= 11


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_gets_a_bar(no_color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    with ProgressLine(terminal) as progress:
        progress.step(result(1, 0.5, main=0.25), 65.0)
        progress.message(f"note {WILD}")
        progress.message(f"  passing {WILD}")
        progress.progress("sampling", 1, 2)
    text = terminal.getvalue()
    assert "training" in text and "50%" in text and "loss 0.2500, 1:05 left" in text
    assert f"note {SHOWN}" in text and "sampling" in text and "1 of 2" in text
    assert "\x1b[2J" not in text and "\x07" not in text
    assert ("\x1b[38" in text) is not no_color


def test_clock() -> None:
    assert [clock(s) for s in (-1.0, 8.4, 65.0, 9000.0)] == ["0 s", "8 s", "1:05", "2:30:00"]


def test_the_time_left_follows_from_how_long_the_last_parts_took(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter((100.0, 100.5, 101.0, 110.0, 119.0, 128.0, 137.0, 138.0))
    monkeypatch.setattr("anew.cli.progress.time", SimpleNamespace(monotonic=lambda: next(moments)))
    log = io.StringIO()
    progress = ProgressLine(log)
    for count in (0, 20, 40, 60, 80, 100, 120):
        progress.progress("sampling", count, 200)
    progress.progress("looking for copies", 20, 200)
    lines = [line.split(", ") for line in log.getvalue().splitlines()]
    assert [line[1:] for line in lines] == [
        [],
        ["40/s", "4 s left"],
        ["6/s", "23 s left"],
        ["3.2/s", "37 s left"],
        ["2.2/s", "45 s left"],
        ["2.2/s", "36 s left"],
        [],
    ]


def test_what_takes_long_says_what_it_does() -> None:
    """`look` was silent for a minute on busy cores, and longer on a million files."""
    quick, late = io.StringIO(), io.StringIO()
    with LateDetails(60.0, quick) as details:
        details.message("  reading")
    assert not quick.getvalue()
    with LateDetails(0.1, late) as details:
        details.message("  listing")
        details.message("  reading")
        until = time.monotonic() + 5.0
        while not late.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
        details.message("  measuring")
    assert late.getvalue() == "reading\nmeasuring\n"
