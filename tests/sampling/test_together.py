"""Several processes draw samples together: the files are those of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from processes import Ended, finish, fork
from samples import names

SMALL = ("--set", "previews=0", "--set", "evaluate_samples=4", "--set", "width=16", "--set", "layers=1",
         "--set", "heads=1", "--set", "precision=fp32")  # fmt: skip


def anew(folder: Path, size: int, *words: object) -> list[Ended]:
    ended = finish(fork([("-m", "anew", *map(str, words))] * size, [folder] * size), timeout=300)
    assert [process.code for process in ended] == [0] * size, ended
    return ended


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_two_processes_draw_and_measure_what_one_does(tmp_path: Path) -> None:
    names(tmp_path / "names.txt", 300)
    anew(tmp_path, 1, "train", "names.txt", "--run", "run", "--steps", 20, *SMALL)
    for size in (1, 2):
        first, *others = anew(tmp_path, size, "sample", "run", "-n", 600, "--out", f"out{size}")
        assert "600" in first.out and all(other.out == "" for other in others)
    assert files(tmp_path / "out1") == files(tmp_path / "out2")
    reports = []
    for size in (1, 2):
        anew(tmp_path, size, "evaluate", "run", "-n", 100)
        reports.append(json.loads((tmp_path / "run" / "report" / "report.json").read_text()))
    assert reports[0]["scores"] == reports[1]["scores"] and reports[0]["copies"] == reports[1]["copies"]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "out"), [("sample", ("--out", "out")), ("evaluate", ())])
def test_processes_that_are_to_draw_other_samples_are_refused(
    command: str, out: tuple[str, ...], tmp_path: Path
) -> None:
    """One waited for batches that the other never drew, or measured half of the samples."""
    names(tmp_path / "names.txt", 300)
    anew(tmp_path, 1, "train", "names.txt", "--run", "run", "--steps", 2, *SMALL)
    programs = [("-m", "anew", command, "run", "-n", n, *out) for n in ("600", "300")]
    first, second = finish(fork(programs, [tmp_path] * 2), timeout=120)
    assert (first.code, second.code) == (2, 2) and "in the arguments of the command (n: 300 and 600)" in first.err
    assert not second.err and not (tmp_path / "out").exists()
