"""In little time, what needs no features is measured first, and how much longer a budget would do is said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from anew.core.reporter import SilentReporter
from anew.evaluation.notes import Note
from anew.evaluation.reporting.grading import Supply
from anew.evaluation.score import Score
from anew.workflows.run_report import Measurements
from anew.workflows.timing.measuring import TIME_WAS_UP, advise_longer, measure_all
from scores import score

FURTHER_FIGURES = "further figures"


class Slow:
    """An evaluation whose features take 10 s, and nothing else any time."""

    def __init__(self) -> None:
        self.inputs = SimpleNamespace(samples=list(range(20)), features=None)
        self.notes, self.unmeasured, self.order = list[Note](), [FURTHER_FIGURES], list[str]()
        self.sets = SimpleNamespace(supply=Supply(compared=20), too_few="")
        self.announcements = SimpleNamespace(reporter=None)

    def forget_unmeasured(self) -> None:
        self.unmeasured = [FURTHER_FIGURES]

    def scores_without_features(self) -> Iterator[Score]:
        self.order.append("plain")
        self.notes.append(Note("A note."))
        yield score("sharpness", 0.5, n=20)

    def answer_scores(self) -> Iterator[Score]:
        self.order.append("features")
        self.notes.append(Note("A note."))
        time.sleep(10.0)
        yield score("coverage", 0.5, n=20)

    def copy_tests(self) -> Iterator[Any]:
        yield from ()

    def further_scores(self) -> Iterator[Score]:
        yield from ()


@pytest.mark.parametrize(("crowding", "order"), [(8.0, ["plain", "features"]), (0.01, ["features"])])
def test_where_features_may_not_end_in_time_the_cheapest_figures_come_first(crowding: float, order: list[str]) -> None:
    """40 s for clips on crowded cores measured nothing."""
    evaluation: Any = Slow()
    measured = measure_all(evaluation, SilentReporter(), time.monotonic() + 0.6, crowding)
    assert evaluation.order == order and evaluation.notes == [Note("A note.")]
    assert [s.name for s in measured.scores] == (["sharpness"] if "plain" in order else [])
    assert measured.unmeasured == [FURTHER_FIGURES] and measured.is_out_of_time and Note(TIME_WAS_UP) in measured.notes


@pytest.mark.parametrize(("crowding", "is_measured"), [(1.0, True), (0.2, False)])
def test_where_no_figure_of_features_is_reached_the_others_have_all_of_the_time(
    crowding: float, is_measured: bool
) -> None:
    class SlowToo(Slow):
        def scores_without_features(self) -> Iterator[Score]:
            time.sleep(0.25)
            yield from super().scores_without_features()

    evaluation: Any = SlowToo()
    measured = measure_all(evaluation, SilentReporter(), time.monotonic() + 0.6, crowding)
    assert [s.name for s in measured.scores] == (["sharpness"] if is_measured else [])


def test_without_a_limit_nothing_is_measured_twice() -> None:
    evaluation: Any = Slow()
    evaluation.answer_scores = lambda: iter([score("coverage", 0.5, n=20)])
    assert [s.name for s in measure_all(evaluation, SilentReporter()).scores] == ["coverage"]


def test_how_much_longer_a_budget_would_do_is_said() -> None:
    cut = Measurements(is_out_of_time=True, unmeasured=[FURTHER_FIGURES])
    advise_longer(cut, 18.0, 4.0)
    assert cut.notes == [Note("A budget that is about 50 s longer would do at the present load.")]
    for whole in (Measurements(), Measurements(is_out_of_time=True)):
        advise_longer(whole, 18.0, 4.0)
        assert whole.notes == []
