"""What is said of the report before training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import anew
from anew.core.wording import duration
from anew.data.dataset import Dataset
from anew.data.types import DataBudget
from anew.evaluation.audit_schedule import FIRST_AUDIT
from anew.evaluation.inputs import RealItems
from anew.evaluation.prospects import AuditCosts
from anew.planning.budget import evaluation_slice, longest_training
from anew.workflows.timing import report_trials
from anew.workflows.timing.pace import Pace
from anew.workflows.timing.report_forecast import ADVISED_BUDGETS, ReportForecast
from anew.workflows.timing.report_trials import trial_audit, trial_features
from reporters import Lines
from samples import clips, names, prose, sequences, shapes, tones

COSTS = AuditCosts(RealItems(1500, 380), 1880, 2000, ((FIRST_AUDIT, 0.2),))


def pace(seconds: float) -> Pace:
    """Of samples that take so long each."""
    made = Pace()
    made.add(1, seconds)
    made.add(8, 8 * seconds)
    return made


FORECAST = ReportForecast(COSTS, n_samples=1000, min_samples=300, held_out=1200, pace=pace(0.002))


def test_a_longer_budget_is_advised_where_time_alone_is_missing() -> None:
    line = replace(FORECAST, audit=replace(COSTS, trials=((FIRST_AUDIT, 0.8),))).describe(60.0)
    assert line.startswith("Close? and Varied? can be answered; New? will probably stay open; give about ")
    assert line.endswith(
        " min, or run `anew evaluate RUN` afterwards, which has no time limit unless you give it a budget"
    )
    assert FORECAST.describe(3600.0) == "Close? and Varied? can be answered; New? can be answered"


def test_evaluate_is_named_only_if_it_is_asked_for_and_answers_more() -> None:
    slow = replace(FORECAST, audit=replace(COSTS, trials=((FIRST_AUDIT, 0.8),)))
    assert slow.gains_by_time(60.0) and not FORECAST.gains_by_time(3600.0)
    assert slow.describe(60.0, mentions_evaluate=False).endswith(" min")


def test_slow_samples_leave_everything_open() -> None:
    line = replace(FORECAST, pace=pace(0.2)).describe(60.0)
    assert line.startswith(
        "Close? and Varied? will probably stay open (they need about 300 samples, and there is time for about 27); "
        "New? will probably stay open; give about 30 min"
    )


def test_slow_features_leave_closeness_open() -> None:
    line = replace(FORECAST, feature_seconds=0.012).describe(60.0)
    assert line.startswith(
        "Close? and Varied? will probably stay open (they need about 300 samples, and there is time to measure about "
    )
    assert "there is time to measure about 1)" in replace(FORECAST, feature_seconds=2.4).describe(60.0)
    assert replace(FORECAST, feature_seconds=0.004).describe(600.0).startswith("Close? and Varied? can be answered")


def test_the_report_gets_more_time_only_if_it_answers_more() -> None:
    assert FORECAST.report_seconds(3600.0) == evaluation_slice(3600.0)  # all is answered in the usual time
    assert replace(FORECAST, held_out=30, audit=None).report_seconds(60.0) == evaluation_slice(60.0)  # time is no help
    slow = replace(FORECAST, pace=pace(0.02))  # 1,000 samples take 20 s
    assert slow.prospects(300.0) == ("likely", "likely")
    assert evaluation_slice(300.0) < slow.report_seconds(300.0) < 0.25 * 300.0
    assert replace(FORECAST, pace=pace(0.2)).report_seconds(60.0) <= 0.25 * 60.0
    # Training needs the time: a little more for the report would answer nothing
    assert replace(slow, training_seconds=lambda budget: 5.0).report_seconds(300.0) == evaluation_slice(300.0)


@pytest.mark.parametrize("seconds", [0.06, 0.1, 0.2, 0.5])
def test_the_budget_that_is_advised_gives_its_report_more_time_too(seconds: float) -> None:
    """60 s of training with half a second a sample were told to take 2 h, where 20 min were enough."""
    slow = replace(FORECAST, audit=None, pace=pace(seconds), training_seconds=lambda budget: max(1.0, budget - 25.0))
    enough = next(budget for budget in ADVISED_BUDGETS if slow.prospects(budget)[0] == "likely")
    assert f"give about {duration(enough)}," in slow.describe(60.0)
    assert f"give about {duration(enough)}," in replace(slow, training_seconds=longest_training).describe(60.0)


@pytest.mark.slow
def test_a_longer_report_leaves_less_time_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reporter, forecast = Lines(), replace(FORECAST, pace=pace(0.01))
    monkeypatch.setattr("anew.workflows.timing.report_forecast.forecast_of_job", lambda job, weights: forecast)
    monkeypatch.setattr(ReportForecast, "report_seconds", lambda self, budget: 11.0)
    begin = time.monotonic()
    model = anew.train(
        shapes(tmp_path / "data", 60), tmp_path / "run", budget=30.0, settings={"previews": 0}, reporter=reporter
    )
    assert time.monotonic() - begin < 32.0
    plan = model.record.plan
    assert plan.evaluate_s is not None and 8.0 < plan.evaluate_s <= 11.0  # at most a fifth of the time to train
    assert any(line.startswith("the report gets ") for line in reporter.lines)


@pytest.mark.parametrize(("make", "modality"), [(shapes, "image"), (tones, "audio"), (clips, "video"), (prose, "text")])
def test_the_time_of_features_is_measured(make: Callable[[Path, int], Path], modality: str, tmp_path: Path) -> None:
    size = DataBudget(10.0, 0, 0, 1, "cpu")
    data = Dataset.open(make(tmp_path / ("book.txt" if modality == "text" else "data"), 60), size=size)
    data.fit(size)
    seconds, cut_short = (trial_features(data, 0, most) for most in (5.0, 1e-3))
    assert seconds == cut_short == 0.0 if modality == "text" else 0.0 < seconds < 0.5 and cut_short >= 1e-3 / 8
    data.close()


def test_features_that_are_cut_short_tell_their_pace_nevertheless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_evaluation(modality: str) -> Callable[[object], SimpleNamespace]:
        return lambda inputs: SimpleNamespace(embedder=lambda fitted: lambda items: time.sleep(0.02 * len(items)))

    monkeypatch.setattr("anew.workflows.timing.report_trials.load_evaluation", slow_evaluation)
    data = Dataset.open(shapes(tmp_path / "data", 60))
    data.fit(DataBudget(10.0, 0, 0, 1, "cpu"))
    assert trial_features(data, 0, 0.4) == pytest.approx(0.02, rel=0.6)
    data.close()


def test_too_few_held_out_items_are_said_with_the_number_that_would_do() -> None:
    few = replace(COSTS, available=RealItems(970, 30), max_real=1000)
    line = replace(FORECAST, audit=few, held_out=30).describe(600.0)
    assert line == (
        "Close? and Varied? will probably stay open (they need about 300 held-out items, and there are 30); "
        "New? will probably stay open (with this data it needs about 67 held-out items, and there are 30)"
    )


def test_no_remedy_is_promised_where_items_are_too_few() -> None:
    """Of ten images `look` said that an evaluation without a limit would answer; it found that 10% of copies could be missed."""
    ten = replace(COSTS, available=RealItems(6, 4), max_real=10)
    line = replace(FORECAST, audit=ten, held_out=4).describe(60.0)
    assert line.endswith("New? will probably stay open (held-out items are too few to notice even 10% of copies)")


def test_each_question_that_may_stay_open_has_a_reason() -> None:
    """`look` said only that they may stay open, of 270 held-out sounds."""
    line = replace(FORECAST, held_out=270).describe(3600.0)
    assert line.startswith("Close? and Varied? may stay open (about 300 held-out items would do, and there are 270); ")
    slow = replace(FORECAST, pace=pace(0.05))
    seconds = next(seconds for seconds in (60.0, 120.0, 300.0) if slow.prospects(seconds)[1] == "perhaps")
    assert "New? may stay open (the copying test needs more time)" in slow.describe(seconds)


def test_what_is_not_known_or_may_change_is_said() -> None:
    crowded = replace(FORECAST, crowding=3.0).describe(3600.0)
    assert crowded.startswith("Close? and Varied? may stay open (other programs use the cores); ")
    unknown = replace(FORECAST, pace=None).describe(3600.0)
    assert unknown.startswith("Close? and Varied? can be answered, if 300 samples are drawn in time; ")


def test_nothing_is_promised_where_few_items_are_held_out() -> None:
    few = replace(FORECAST, held_out=600, pace=None).describe(3600.0)
    assert few.startswith(
        "Close? and Varied? can usually be answered (some data needs 1,000 held-out items or more), if 300 samples"
    )


def test_without_a_copying_test_nothing_is_said_of_newness() -> None:
    assert replace(FORECAST, audit=None).describe(60.0) == "Close? and Varied? can be answered"


@pytest.mark.parametrize(
    ("make", "name", "count"),
    [
        (shapes, "data", 240),
        (names, "names.txt", 600),
        (sequences, "a.fasta", 400),
        (tones, "data", 120),
        (clips, "data", 120),
        (prose, "book.txt", 1500),
    ],
)
def test_an_audit_of_real_items_is_timed_for_each_kind(
    make: Callable[[Path, int], Path], name: str, count: int, tmp_path: Path
) -> None:
    size = DataBudget(10.0, 0, 0, 1, "cpu")
    data = Dataset.open(str(make(tmp_path / name, count)), seed=0, size=size)
    data.fit(size)
    costs = trial_audit(data, 0, 60.0)
    assert costs is not None and costs.has_ended and costs.trials[0][1] > 0.0 and len(costs.trials) > 1
    assert costs.available.train > costs.available.held_out > 0
    in_no_time = trial_audit(data, 0, 1e-3)
    assert in_no_time is not None and not in_no_time.has_ended and in_no_time.available == costs.available
    data.close()


def test_of_many_texts_some_are_read_and_all_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial read a million short files, twice."""
    for number in range(200):
        prose(tmp_path / f"{number}.txt", 80, seed=number)
    data = Dataset.open(tmp_path)
    data.fit(DataBudget(None, 0, 0))
    whole = trial_audit(data, 0, 1e-3)
    monkeypatch.setattr(report_trials, "MAX_TEXTS", 40)
    read: list[int] = []
    text = data.text
    monkeypatch.setattr(data, "text", lambda *place: [text_read := text(*place), read.append(len(text_read))][0])
    limited = trial_audit(data, 0, 1e-3)
    assert whole is not None and limited is not None and max(read) < 60 and len(read) == 1 + len(data.held_out()[0])
    for counted, known in zip(limited.available, whole.available, strict=True):
        assert counted == pytest.approx(known, rel=0.25)
    data.close()


@pytest.mark.slow
def test_it_is_said_between_the_plan_and_the_first_step(tmp_path: Path) -> None:
    reporter = Lines()
    data = shapes(tmp_path / "data", 300)
    anew.train(data, tmp_path / "run", budget=30.0, settings={"previews": 0}, reporter=reporter)
    resumed = Lines()
    anew.resume(tmp_path / "run", budget=40.0, reporter=resumed)
    assert sum(line.startswith("forecast for the report at the present load: Close?") for line in resumed.lines) == 1
    starts = [line.split(":")[0] for line in reporter.lines]
    assert starts.index("forecast for the report at the present load") > next(
        i for i, start in enumerate(starts) if start == "model"
    )


def test_steps_without_a_budget_have_reports_that_take_their_time(tmp_path: Path) -> None:
    reporter = Lines()
    data = shapes(tmp_path / "data", 60)
    settings = {"width": 8, "previews": 0, "evaluate_samples": 4}
    anew.train(data, tmp_path / "run", steps=2, settings=settings, reporter=reporter)
    assert not any(line.startswith("forecast for the report") for line in reporter.lines)


def test_look_says_it_of_each_budget(tmp_path: Path) -> None:
    estimates = anew.look(shapes(tmp_path / "data", 240)).budgets
    assert all(estimate.report.startswith("Close? and Varied? ") for estimate in estimates)
    assert sum("anew evaluate RUN" in estimate.report for estimate in estimates) <= 1  # it is the same for all
