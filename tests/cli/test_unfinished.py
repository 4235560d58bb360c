"""A folder of samples that a kill left half-written: the same command writes it again, another one is refused."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from anew import api
from anew.cli import main
from anew.data.modalities.text import Text, TextConfig
from anew.sampling.samples import Samples

SAMPLE = ["sample", "run", "--out", "out", "-n", "3"]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


class Writer:
    """Writes three files, or is killed meanwhile."""

    count = 3
    num_on_sheet = 3
    sheet: Path | None = None
    sprite_sheet: tuple[Path, ...] = ()

    def __init__(self, folder: Path, killed: bool) -> None:
        self.folder = folder
        self.killed = killed
        self.paths: list[Path] = []

    def add(self, samples: Samples) -> list[Path]:
        (self.folder / "0000.txt").write_text("new" if not self.killed else "ol")
        (self.folder / ".0001.txt.tmp").write_text("half")
        if self.killed:
            raise Killed
        (self.folder / ".0001.txt.tmp").unlink()
        self.paths = [self.folder / "0000.txt", self.folder / "0002.txt"]
        return self.paths

    def finish(self) -> None:
        self.sheet = self.folder / "all.txt"

    def close(self) -> None:
        pass


class Loaded:
    """A model that draws nothing."""

    modality = None
    notes: tuple[str, ...] = ()

    def sample_batches(self, n: int, *, seed: int, prompt: Any, suffix: Any, label: Any, **settings: Any) -> None:
        pass


def load_fake(monkeypatch: pytest.MonkeyPatch, killed: bool) -> None:
    """Let every run be a model that draws nothing."""
    samples = Samples(["new"] * 3, [None] * 3, Text(TextConfig()))
    monkeypatch.setattr(api, "check_files", lambda *request: None)
    monkeypatch.setattr(api, "loaded_together", lambda *request, **more: nullcontext((Loaded(), None)))
    monkeypatch.setattr(api, "sample_together", lambda *request, **more: iter([samples]))
    monkeypatch.setattr(api, "sample_writer", lambda folder, planned, **more: Writer(folder, killed))


def test_half_written_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    load_fake(monkeypatch, killed=True)
    with pytest.raises(Killed):
        main(SAMPLE)
    assert (tmp_path / "out" / ".unfinished.json").is_file()
    load_fake(monkeypatch, killed=False)
    assert main([*SAMPLE, "--seed", "1"]) == 2
    assert "holds part of the files of another command, which was stopped" in capsys.readouterr().err
    assert main(SAMPLE) == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["0000.txt"]
    assert (tmp_path / "out" / "0000.txt").read_text() == "new"
    assert main(SAMPLE) == 2
    assert "exists and is not empty" in capsys.readouterr().err


def test_a_command_that_was_killed_as_it_marked_the_folder_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load_fake(monkeypatch, killed=False)

    def killed(self: Path, target: Path) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            main(SAMPLE)
    assert main(SAMPLE) == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["0000.txt"]


def test_what_is_refused_leaves_the_folder_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_fake(monkeypatch, killed=False)
    assert main([*SAMPLE, "--set", "seed=3"]) == 2
    assert not (tmp_path / "out").exists()
