"""An evaluation that is stopped by hand keeps what it has; sampling too."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from anew.core.reporter import SilentReporter
from anew.evaluation.metrics.statistics import Score
from anew.sampling.samples import Samples
from anew.workflows.evaluate import _sampled, measured


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
        yield Score("coverage", 0.5, floor=0.9)
        raise KeyboardInterrupt

    heard = Heard()
    found = measured(SimpleNamespace(scores=scores, copies=lambda: iter(())), heard)  # type: ignore[arg-type]
    assert [s.name for s in found.scores] == ["coverage"] and found.copies is None
    assert "Stopped by hand" in found.notes[0] and "coverage: 0.5 (real against real: 0.9)" in heard.said[0]


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
    samples, notes, stopped = _sampled(Drawn(320), 5000, 0, None, heard)  # type: ignore[arg-type]
    assert stopped and list(samples) == list(range(320)) and "stopped by hand" in notes[0]
    assert heard.parts[-1] == ("sampling", 320, 5000)
    with pytest.raises(KeyboardInterrupt):
        _sampled(Drawn(0), 100, 0, None, heard)  # type: ignore[arg-type]


def test_as_many_samples_as_asked_leave_no_note() -> None:
    samples, notes, stopped = _sampled(Drawn(10**6), 300, 0, None, SilentReporter())  # type: ignore[arg-type]
    assert len(samples) == 300 and notes == [] and not stopped
