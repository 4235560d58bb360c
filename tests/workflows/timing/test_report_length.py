"""How long the report of a budget is, and what is said of it before training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import anew
from anew.core.processes.world import World
from anew.core.specs import Grid
from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.planning.budget import evaluation_slice
from anew.workflows.timing import report_length
from anew.workflows.timing.pace import Pace
from anew.workflows.timing.report_length import ReportCosts, few_held_out, plan_report, trial_features
from reporters import Lines
from samples import clips, shapes, tones


def pace(seconds: float) -> Pace:
    """Of samples that take so long each."""
    measured = Pace()
    measured.add(1, seconds)
    measured.add(8, 8 * seconds)
    return measured


COSTS = ReportCosts(300, pace(0.002), 1e-4)


def report_seconds(costs: ReportCosts, budget: float) -> float:
    return costs.report_seconds(evaluation_slice(budget), 0.25 * budget)


def test_the_report_gets_more_time_only_if_it_answers_more() -> None:
    assert report_seconds(COSTS, 3600.0) == evaluation_slice(3600.0)  # all is answered in the usual time
    assert report_seconds(replace(COSTS, enough=30), 60.0) == evaluation_slice(60.0)  # time is no help
    slow = replace(COSTS, pace=pace(0.08))  # 300 samples take 24 s
    assert slow.num_compared(evaluation_slice(300.0)) < 300
    assert slow.num_compared(report_seconds(slow, 300.0)) == 300
    assert evaluation_slice(300.0) < report_seconds(slow, 300.0) < 0.25 * 300.0
    too_slow = replace(COSTS, pace=pace(2.0))
    assert report_seconds(too_slow, 60.0) == evaluation_slice(60.0)


def test_figures_of_text_take_their_time() -> None:
    passages = ReportCosts(80, pace(0.1), 1e-4, text_seconds=5.0, pieces=4.0)
    assert passages.fewest == 38  # 150 pieces
    assert passages.num_compared(11.0) == 48  # of 11 s, 1.2 are for the page and 5 for figures
    assert replace(passages, text_seconds=0.0).num_compared(11.0) == 55
    # Figures have less than half of the time: those that do not fit are left out
    assert passages.num_compared(5.0) == 15
    assert 11.0 < report_seconds(passages, 120.0) < 30.0


def test_samples_for_novelty_are_an_answer_of_their_own() -> None:
    costs = replace(COSTS, pace=pace(0.01), for_novelty=700)
    assert "a yes to New? may need about 700 samples" in costs.shortfall(11.0)
    assert costs.shortfall(20.0) == ""
    assert costs.report_seconds(11.0, 18.0) > 14.0
    assert "Close? and Varied?" in replace(costs, pace=pace(0.2)).shortfall(11.0)


def test_slow_features_count_as_slow_samples_do() -> None:
    slow = replace(COSTS, feature_seconds=0.02)
    assert slow.num_compared(11.0) < 300 == slow.num_compared(200.0)
    assert report_seconds(slow, 300.0) > evaluation_slice(300.0)


def planned(
    costs: ReportCosts,
    monkeypatch: pytest.MonkeyPatch,
    train_seconds: float | None = None,
    trained: float | None = None,
) -> list[str]:
    """What is said of the report of a training with a minute, half of which is left for training.

    trained: Seconds of training of the present weights, if there are any; the longer training has 50.
    """
    monkeypatch.setattr(report_length, "few_held_out", lambda data: [])
    monkeypatch.setattr(report_length, "time_to_train", lambda *args: 30.0)
    monkeypatch.setattr(report_length, "_measured_costs", lambda *args: costs)
    monkeypatch.setattr(report_length, "_with_longer_report", lambda job, extra, seconds: job)
    context = SimpleNamespace(reporter=Lines(), slowdown=1.0, world=World())
    job: Any = SimpleNamespace(
        plan=SimpleNamespace(budget_s=60.0, train_s=50.0),
        previous_training={} if trained is None else {"seconds": trained},
        world=World(),
        data=SimpleNamespace(spec=Grid((1, 8, 8), "CHW")),
        family=SimpleNamespace(state_dict=dict),
        train_config=SimpleNamespace(train_seconds=train_seconds),
        context=context,
    )
    plan_report(job, None)
    return cast(list[str], context.reporter.lines)


def test_only_what_is_certain_to_stay_open_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned(COSTS, monkeypatch) == []
    slow = replace(COSTS, pace=pace(0.2))
    (line,) = planned(slow, monkeypatch)
    assert line.startswith(
        "a yes to Close? and Varied? needs about 300 samples, and at the present load there is time for about 2"
    )
    assert line.endswith("run `anew evaluate RUN` afterwards, which has no time limit unless you give it a budget")
    assert planned(replace(COSTS, pace=pace(0.022)), monkeypatch)[-1].startswith("the report gets ")
    assert planned(replace(COSTS, pace=pace(0.022)), monkeypatch, train_seconds=20.0) == []  # it is not cut short


def test_the_report_of_a_run_that_is_given_more_may_take_more_of_it_but_not_all_that_is_gained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A report of 64 samples took the place of one of 264 after another minute, on cores that were busier."""
    slow = replace(COSTS, pace=pace(0.025))
    (first,), (later,) = (planned(slow, monkeypatch, trained=trained) for trained in (None, 30.0))
    assert first.startswith("the report gets 15 s") and later.startswith("the report gets 17 s")
    assert planned(slow, monkeypatch, trained=46.0) == []


def test_too_few_held_out_items_of_the_user_are_said_before_training(tmp_path: Path) -> None:
    shapes(tmp_path / "data" / "train", 60)
    shapes(tmp_path / "data" / "test", 12, seed=1)
    data = Dataset.open(tmp_path / "data")
    data.fit(DataBudget(10.0, 0, 0, 1, "cpu"))
    assert few_held_out(data) == [
        "A yes to Close? and Varied? needs at least 150 held-out items, usually about 300, and there are 12."
    ]
    data.close()


def test_short_documents_that_give_few_pieces_are_said_before_training(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for i in range(400):
        words = " ".join(f"word{i * j % 97}" for j in range(1, 16 + i % 5))
        (tmp_path / "data" / f"{i}.txt").write_text(f"Note {i}: {words}.")
    data = Dataset.open(tmp_path / "data")
    data.fit(DataBudget(10.0, 0, 0, 1, "cpu"))
    (sentence,) = few_held_out(data)
    data.close()
    assert sentence.startswith("A yes to Close? and Varied? usually takes 300 held-out pieces of 256 characters")
    assert "whatever the number of samples. About " in sentence


def test_where_lines_could_be_items_the_setting_that_reads_them_so_is_named(tmp_path: Path) -> None:
    """A list of 3,000 lines was read as one text of 84 held-out pieces, and more text was asked for."""
    lines = [f"-- word{i * i % 97} word{i * 7 % 89}: {i % 13}" for i in range(1500)]
    (tmp_path / "lines.log").write_text("\n".join(lines))
    data = Dataset.open(tmp_path / "lines.log")
    data.fit(DataBudget(10.0, 0, 0, 1, "cpu"))
    (sentence,) = few_held_out(data)
    data.close()
    assert sentence.endswith("more text is needed for a yes; or layout=list, if each line is an item.")


def test_of_few_long_documents_passages_from_anywhere_count(tmp_path: Path) -> None:
    """A Bible of 66 books, of which 16 were held out, was said to give 64 pieces; the report compared 323 of 2,358."""
    (tmp_path / "data").mkdir()
    for i in range(54):
        words = " ".join(f"word{i * j % 97}" for j in range(1, 4000 + i))
        (tmp_path / "data" / f"{i}.txt").write_text(f"Book {i}: {words}.")
    data = Dataset.open(tmp_path / "data")
    data.fit(DataBudget(10.0, 0, 0, 1, "cpu"))
    assert few_held_out(data) == []
    data.close()


@pytest.mark.slow
def test_a_longer_report_leaves_less_time_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = Lines()
    monkeypatch.setattr(ReportCosts, "report_seconds", lambda self, usual, most: 11.0)
    begin = time.monotonic()
    model = anew.train(
        shapes(tmp_path / "data", 60), tmp_path / "run", budget=30.0, settings={"previews": 0}, reporter=reporter
    )
    assert time.monotonic() - begin < 32.0
    plan = model.record.plan
    assert plan.evaluate_s is not None and 8.0 < plan.evaluate_s <= 11.0  # at most a fifth of the time to train
    assert any(line.startswith("the report gets ") for line in reporter.lines)


@pytest.mark.parametrize("make", [shapes, tones, clips])
def test_the_time_of_features_is_measured(make: Callable[[Path, int], Path], tmp_path: Path) -> None:
    size = DataBudget(10.0, 0, 0, 1, "cpu")
    data = Dataset.open(make(tmp_path / "data", 60), size=size)
    data.fit(size)
    seconds, cut_short = (trial_features(data, 0, most) for most in (5.0, 1e-3))
    assert 0.0 < seconds < 0.5 and cut_short >= 1e-3 / 8
    data.close()


def test_features_that_are_cut_short_tell_their_pace_nevertheless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_evaluation(modality: str) -> Callable[[object], SimpleNamespace]:
        return lambda inputs: SimpleNamespace(embedder=lambda fitted: lambda items: time.sleep(0.02 * len(items)))

    monkeypatch.setattr(report_length, "load_evaluation", slow_evaluation)
    data = Dataset.open(shapes(tmp_path / "data", 60))
    data.fit(DataBudget(10.0, 0, 0, 1, "cpu"))
    assert trial_features(data, 0, 0.4) == pytest.approx(0.02, rel=0.6)
    data.close()


def test_steps_without_a_budget_have_reports_that_take_their_time(tmp_path: Path) -> None:
    reporter = Lines()
    data = shapes(tmp_path / "data", 60)
    settings = {"width": 8, "previews": 0, "evaluate_samples": 4}
    anew.train(data, tmp_path / "run", steps=2, settings=settings, reporter=reporter)
    assert not any("Close?" in line for line in reporter.lines)
