"""In little time, what needs no features is measured first, and how much longer a budget would do is said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from anew.core.reporter import SilentReporter
from anew.evaluation.measure import BOTH, NOTHING, Unmeasured
from anew.evaluation.notes import Note, not_measured, out_of_time
from anew.evaluation.reporting.supply import Supply
from anew.evaluation.score import Score
from anew.workflows.run_report import Measurements
from anew.workflows.timing.measuring import LONGER_BUDGET, TIME_WAS_UP, advise_longer, all_notes, measure_all
from scores import score

FURTHER: Unmeasured = {"further figures": BOTH}


class Slow:
    """An evaluation whose features take 10 s, and nothing else any time."""

    def __init__(self) -> None:
        self.inputs = SimpleNamespace(samples=list(range(20)), features=None)
        self.notes, self.unmeasured, self.order = list[Note](), FURTHER, list[str]()
        self.sets = SimpleNamespace(supply=Supply(compared=20), too_few="")
        self.announcements = SimpleNamespace(reporter=None)

    def forget_unmeasured(self) -> None:
        self.unmeasured = FURTHER

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


def limit_of(slowdown: float) -> Any:
    return SimpleNamespace(stop_at=time.monotonic() + 0.6, slowdown=slowdown)


@pytest.mark.parametrize(("slowdown", "order"), [(8.0, ["plain", "features"]), (0.01, ["features"])])
def test_where_features_may_not_end_in_time_the_cheapest_figures_come_first(slowdown: float, order: list[str]) -> None:
    """40 s for clips on busy cores measured nothing."""
    evaluation: Any = Slow()
    measured = measure_all(evaluation, SilentReporter(), limit_of(slowdown))
    assert evaluation.order == order and evaluation.notes == [Note("A note.")]
    assert [s.name for s in measured.scores] == (["sharpness"] if "plain" in order else [])
    assert measured.unmeasured == FURTHER and measured.is_out_of_time


@pytest.mark.parametrize(("slowdown", "is_measured"), [(1.0, True), (0.2, False)])
def test_where_no_figure_of_features_is_reached_the_others_have_all_of_the_time(
    slowdown: float, is_measured: bool
) -> None:
    class SlowToo(Slow):
        def scores_without_features(self) -> Iterator[Score]:
            time.sleep(0.25)
            yield from super().scores_without_features()

    evaluation: Any = SlowToo()
    measured = measure_all(evaluation, SilentReporter(), limit_of(slowdown))
    assert [s.name for s in measured.scores] == (["sharpness"] if is_measured else [])


def test_without_a_limit_nothing_is_measured_twice() -> None:
    evaluation: Any = Slow()
    evaluation.answer_scores = lambda: iter([score("coverage", 0.5, n=20)])
    assert [s.name for s in measure_all(evaluation, SilentReporter()).scores] == ["coverage"]


def test_how_much_longer_a_budget_would_do_is_said() -> None:
    cut = Measurements(is_out_of_time=True, unmeasured=FURTHER)
    advise_longer(cut, 18.0, 4.0)
    advice = [Note("A budget that is about 50 s longer would do at the present load.", LONGER_BUDGET)]
    assert cut.notes == advice
    assert all_notes(cut, []) == [*advice, out_of_time("further figures"), Note(TIME_WAS_UP)]
    assert all_notes(replace(cut, unmeasured=NOTHING), []) == []  # the time that was left was enough
    for whole in (Measurements(), Measurements(is_out_of_time=True)):
        advise_longer(whole, 18.0, 4.0)
        assert whole.notes == []


def test_what_was_cut_off_while_it_was_measured_is_named() -> None:
    """A page named seven figures that were missing, "the notes say why", and no note named one of them."""
    cut = Measurements(is_out_of_time=True, unmeasured={"formats": BOTH, "tone": BOTH})
    late, end = all_notes(cut, [Note("A note."), out_of_time("tone")])[1:]
    assert late.sentence == "Not measured (out of time): tone and formats." and end == Note(TIME_WAS_UP)
    assert all_notes(replace(cut, unmeasured={"tone": BOTH}), [])[0] == out_of_time("tone")
    stopped = replace(cut, is_out_of_time=False, is_measuring_stopped=True)
    assert all_notes(stopped, [])[0] == not_measured("formats", "stopped", "formats")
    # A copying test that the clock ended has a result of fewer items
    whole = Measurements(is_out_of_time=True)
    assert all_notes(whole, [Note("A note.")]) == [Note("A note.")]
