"""How commands end: exit codes, reports of bugs, limits of the machine."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import anew
from anew import api
from anew.cli import errors, main
from anew.core.exit_codes import INTERNAL_ERROR, STOPPED, USER_ERROR
from anew.errors import InUseError
from processes import finish, start
from samples import names

LOOK = ["look", "book.txt"]


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def look(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(api, "look", look)


def test_a_run_in_use_is_no_mistake(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that was repeated while processes of the first one still lived ended with 2, which no launcher repeats."""
    failing(monkeypatch, InUseError("the run is in use"))
    assert main(LOOK) == STOPPED
    assert capsys.readouterr().err == "anew: the run is in use\n"


ORPHAN = """
import subprocess, sys, time
code = "import time; from anew import cli; cli._end_with_parent(); print('ready', flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not tell of the end of processes that are not their children"
)
@pytest.mark.parametrize("is_launcher", [False, True])
def test_a_process_ends_with_its_launcher(is_launcher: bool) -> None:
    """Processes of a launcher that was killed went on for a minute, and kept the run from the next ones."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= {"TORCHELASTIC_RUN_ID": "a"} if is_launcher else {}
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True, env=environment
    ) as launcher:
        assert launcher.stdout is not None
        child = int(launcher.stdout.readline())
        assert launcher.stdout.readline() == "ready\n"
        launcher.kill()
        launcher.wait()
        deadline = time.monotonic() + (10 if is_launcher else 1)
        while _lives(child) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _lives(child) == (not is_launcher)
        if not is_launcher:
            os.kill(child, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_bug_is_one_sentence_and_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(monkeypatch, ZeroDivisionError("division by zero"))
    assert main(LOOK) == INTERNAL_ERROR
    output = capsys.readouterr().err
    assert output.count("\n") == 1 and "this is a bug in Anew (ZeroDivisionError)" in output and "please send" in output
    place = re.search("'(.*anew-bug-.*)'", output)
    assert place is not None
    report = Path(place[1]).read_text()
    assert report.startswith("anew look book.txt\n") and "python: 3." in report and "Traceback" in report


@pytest.mark.parametrize("words", [["--debug", *LOOK], [*LOOK, "--debug"]])
def test_debug_shows_the_traceback(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, ZeroDivisionError("division by zero"))
    assert main(words) == INTERNAL_ERROR
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("ANEW_DEBUG", "1")
    assert main(LOOK) == INTERNAL_ERROR
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MemoryError(), USER_ERROR, "not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), USER_ERROR, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), USER_ERROR, "not enough memory"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x.bin"),
            USER_ERROR,
            "no space left on the disk for 'x.bin'",
        ),
        (OSError(errno.EMFILE, "Too many open files"), USER_ERROR, "ulimit -n"),
        (RecursionError("maximum recursion depth exceeded"), INTERNAL_ERROR, "nested too deep"),
        (KeyboardInterrupt(), STOPPED, "stopped"),
    ],
)
def test_limits_have_sentences(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(monkeypatch, error)
    assert main(LOOK) == code
    output = capsys.readouterr().err
    assert message in output and output.count("\n") == 1 and "Traceback" not in output


@pytest.mark.usefixtures("heeded_hangup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_and_handlers_are_put_back(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr(api, "look", look)
    before = signal.getsignal(number)
    assert main(LOOK) == STOPPED
    assert signal.getsignal(number) is before


def test_a_verb_that_finishes_after_a_signal_was_still_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def example(name: str, folder: str) -> Path:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        # The same again, as `timeout` sends it, does not end what is being finished
        os.kill(os.getpid(), signal.SIGTERM)
        return Path(folder)

    monkeypatch.setattr(api, "example", example)
    assert main(["example", "prose", "made"]) == STOPPED


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    output = capsys.readouterr().out
    assert "exit codes:" in output and "75" in output and "--debug" in output


@pytest.mark.parametrize("name", ["n" * 300, ""])
@pytest.mark.parametrize(
    "words",
    [
        ("look", "{}"),
        ("train", "{}"),
        ("train", "{file}", "--run", "{}"),
        ("train", "{file}", "--plan", "{}"),
        ("train", "{file}", "--run", "made", "--family", "{}"),
        ("resume", "{}"),
        ("sample", "{}", "--out", "x"),
        ("sample", "{dir}", "--out", "{}"),
        ("sample", "{dir}", "--out", "x", "--prompt-file", "{}"),
        ("score", "{}", "{file}"),
        ("evaluate", "{}"),
        ("evaluate", "--samples", "{}", "--data", "{file}"),
        ("evaluate", "--samples", "{file}", "--data", "{}"),
        ("evaluate", "--samples", "{file}", "--data", "{file}", "--out", "{}"),
        ("compare", "{file}", "--families", "vae,gan", "--out", "{}"),
        ("compare", "--runs", "{}", "{dir}", "--out", "x"),
        ("walk", "{dir}", "--out", "{}"),
        ("example", "prose", "{}"),
    ],
)
def test_names_that_cannot_be(
    words: tuple[str, ...],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text("a line\n")
    filled = [w.replace("{}", name).replace("{file}", "book.txt").replace("{dir}", str(tmp_path)) for w in words]
    assert main(filled) == USER_ERROR
    assert capsys.readouterr().err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["book.txt"]


def test_a_pipe_as_a_prompt_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert main(["sample", str(tmp_path), "--out", "x", "--prompt-file", str(tmp_path / "pipe")]) == USER_ERROR
    assert "is not an ordinary file" in capsys.readouterr().err


def test_the_code_is_where_torchrun_looks_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    monkeypatch.setattr("anew.cli._end_with_parent", lambda: None)  # this process has other tests to do
    place = tmp_path / "ended.json"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(place))
    assert main(LOOK) == STOPPED
    assert not place.exists()  # this process was not started by torchrun: the file is for another one to write
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    assert main(LOOK) == STOPPED
    message = json.loads(place.read_text())["message"]
    assert message["errorCode"] == STOPPED and "exit code 75" in message["message"]


@pytest.mark.slow
def test_torchrun_stops_a_process_only_after_its_sentence(tmp_path: Path) -> None:
    names(tmp_path / "names.txt", 300)
    parting = "import os, sys; from anew.core.processes import world; world.GLOO_PAUSE = 3.0 if os.environ['RANK'] == '0' else 0.2; "
    command = ("-c", f"{parting}from anew.cli import main; sys.exit(main())", "train", "names.txt", "--family", "gan")
    first, second = start([command] * 2, [tmp_path] * 2)
    second.wait(timeout=120)
    first.send_signal(signal.SIGTERM)  # as torchrun does where one has ended
    ended = finish([first, second])
    assert [process.code for process in ended] == [USER_ERROR, USER_ERROR]
    assert ended[0].err == "anew: the family 'gan' does not take texts; give transformer\n" and not ended[1].err


def test_a_process_that_is_silent_lets_the_first_one_speak(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(errors, "HEAD_START_S", 0.2)
    started = time.monotonic()
    assert main([*LOOK, "--nope"]) == USER_ERROR
    assert time.monotonic() - started < 0.2 and "--nope" in capsys.readouterr().err
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert main([*LOOK, "--nope"]) == USER_ERROR
    assert time.monotonic() - started > 0.2 and not capsys.readouterr().err


def test_a_command_ends_without_taking_down_the_interpreter() -> None:
    script = (
        "import sys; sys.argv[1:] = sys.argv[1:] or ['--version']; import atexit; from anew import cli; "
        "atexit.register(print, 'of an earlier module'); code = cli.main(); atexit.register(print, 'of a later one'); sys.exit(code)"
    )
    command = [sys.executable, "-c", script]
    good = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert good.returncode == 0 and good.stdout.splitlines() == [anew.__version__, "of a later one"]
    bad = subprocess.run([*command, "look", "/nowhere"], capture_output=True, text=True, timeout=60)
    # A slow machine is told that it takes long
    (message,) = [line for line in bad.stderr.splitlines() if not line.startswith("reading the data and timing")]
    assert bad.returncode == USER_ERROR and "nowhere" in message
