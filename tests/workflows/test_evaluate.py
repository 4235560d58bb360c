"""An evaluation that is stopped by hand keeps what it has; sampling too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from anew.core.reporter import SilentReporter
from anew.evaluation.score import Score
from anew.sampling.samples import Samples
from anew.workflows.evaluate import _sampled, _save_samples, measure_all
from scores import score


class Heard(SilentReporter):
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.parts: list[tuple[str, int, int]] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    def progress(self, task: str, done: int, total: int) -> None:
        self.parts.append((task, done, total))


def test_figures_up_to_the_interruption_are_kept() -> None:
    def scores() -> Iterator[Score]:
        yield score("coverage", 0.5, real_baseline=0.9)
        raise KeyboardInterrupt

    heard = Heard()
    found = measure_all(SimpleNamespace(scores=scores, copy_tests=lambda: iter(())), heard)  # type: ignore[arg-type]
    assert [s.name for s in found.scores] == ["coverage"] and found.copies is None
    assert "Stopped by hand" in found.notes[0] and "coverage: 0.5 (real data: 0.9)" in heard.said[0]


class Drawn:
    """A model whose samples are numbers, stopped after some."""

    item_modality: Any = None
    item_spec: Any = None

    def __init__(self, stop: int) -> None:
        self.stop = stop

    def sample(self, n: int, seed: int, first_index: int) -> Samples:
        if first_index >= self.stop:
            raise KeyboardInterrupt
        return Samples(list(range(first_index, first_index + n)), [None] * n, None)  # type: ignore[arg-type]


def test_samples_up_to_the_interruption_are_measured() -> None:
    heard = Heard()
    samples, notes, stopped = _sampled(Drawn(424), 5000, 0, None, heard)  # type: ignore[arg-type]
    assert stopped and list(samples) == list(range(424)) and "stopped by hand" in notes[0]
    assert heard.parts[-1] == ("sampling", 424, 5000)
    with pytest.raises(KeyboardInterrupt):
        _sampled(Drawn(0), 100, 0, None, heard)  # type: ignore[arg-type]


def test_as_many_samples_as_asked_leave_no_note() -> None:
    samples, notes, stopped = _sampled(Drawn(10**6), 300, 0, None, SilentReporter())  # type: ignore[arg-type]
    assert len(samples) == 300 and notes == [] and not stopped


class Saved(Samples):
    """Samples that leave files of given names."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def save(self, folder: Any) -> list[Path]:
        Path(folder).mkdir(exist_ok=True)
        return [self._touch(Path(folder) / name) for name in self.names]

    def save_sheet(self, folder: Any, stem: str = "all") -> Path:
        return self._touch(Path(folder) / f"{stem}.png")

    def _touch(self, path: Path) -> Path:
        path.touch()
        return path


def test_samples_of_an_earlier_evaluation_are_replaced_and_all_else_stays(tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    _save_samples(Saved(["0000-3.png", "0001-7.png"]), folder)
    for name in ("step-00000009.png", "mine.png", "2024.txt.bak"):
        (folder / name).touch()
    _save_samples(Saved(["0000-7.png"]), folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["0000-7.png", "2024.txt.bak", "final.png", "mine.png", "step-00000009.png"]
