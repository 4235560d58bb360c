"""What a report lacks is measured in the time that is left, in pieces that end in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from anew.core.reporter import SilentReporter
from anew.evaluation.metrics.feature_sets import QUICK
from anew.evaluation.reporting.grading import Supply
from anew.evaluation.score import Score
from anew.workflows.run_report import Measurements
from anew.workflows.time_left import _affordable, _latest, measure_in_time_left
from scores import score

FURTHER = "the remaining figures"


@dataclass
class Inputs:
    samples: list[int]
    seconds: float | None = None
    bits: Any = None
    features: Any = None


class Slow:
    """An evaluation whose figures take a hundredth of a second for each sample; there is no copying test."""

    item_type = None
    pieces: ClassVar[list[int]] = []

    def __init__(self, inputs: Inputs) -> None:
        self.inputs, self.skipped, self.unmeasured, self.supply = inputs, [], [FURTHER], Supply()
        self.announcements = SimpleNamespace(reporter=None)

    def answer_scores(self) -> Any:
        n = len(self.inputs.samples)
        self.pieces.append(n)
        time.sleep(0.01 * n)
        yield score("coverage", 0.5, n=n)
        self.unmeasured = []


@pytest.fixture(autouse=True)
def plain_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    def scores(evaluation: Slow) -> Iterator[Score]:
        yield score("sharpness", 0.5, n=len(evaluation.inputs.samples))

    monkeypatch.setattr("anew.workflows.time_left.scores_without_features", scores)


@pytest.mark.parametrize(("seconds", "pieces", "missing"), [(30.0, [32, QUICK], []), (0.5, [], [FURTHER])])
def test_a_larger_piece_follows_where_it_ends_in_time(seconds: float, pieces: list[int], missing: list[str]) -> None:
    Slow.pieces = []
    evaluation: Any = Slow(Inputs(list(range(1_000))))
    measured = Measurements(unmeasured=[FURTHER])
    supplement = measure_in_time_left(evaluation, measured, time.monotonic() + seconds, 1.0, SilentReporter())
    assert supplement is not None and Slow.pieces == pieces
    assert supplement.measurements.unmeasured == missing and supplement.measurements.scores[0].n == QUICK
    assert ("coverage" in [s.name for s in supplement.measurements.scores]) == bool(pieces)


@pytest.mark.parametrize(("seconds", "unmeasured"), [(0.1, [FURTHER]), (30.0, [])])
def test_nothing_is_measured_without_time_or_need(seconds: float, unmeasured: list[str]) -> None:
    evaluation: Any = Slow(Inputs(list(range(100))))
    measured = Measurements(unmeasured=unmeasured)
    assert measure_in_time_left(evaluation, measured, time.monotonic() + seconds, 1.0, SilentReporter()) is None


def test_a_further_piece_counts_half_of_the_time_as_fixed() -> None:
    assert _affordable(32, 4.0, 6.0, 300) == 64
    assert _affordable(32, 4.0, 60.0, 300) == 300 and _affordable(32, 4.0, 1.0, 300) == 0


def test_of_two_scores_the_one_of_more_samples_counts() -> None:
    earlier, later = [score("a", 1.0, n=100), score("b", 1.0, n=32)], [score("a", 2.0, n=32), score("b", 2.0, n=32)]
    assert [s.value for s in _latest(earlier, later)] == [1.0, 2.0]
