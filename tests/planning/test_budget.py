"""A budget's parts, and the largest model that it affords."""

from __future__ import annotations

import dataclasses
import re
import time
from dataclasses import replace

import pytest

from anew.core.processes.world import World
from anew.core.reporter import SilentReporter
from anew.errors import BudgetError
from anew.planning.budget import (
    MIN_REST,
    MIN_TRAINING_GROWTH,
    calibration_slice,
    check_gain,
    evaluation_slice,
    is_short_of_time,
    largest_affordable,
    saving_slice,
    seconds_to_read,
    time_to_train,
    training_seconds,
)
from anew.planning.context import RunContext
from anew.planning.train_config import TrainConfig
from anew.runs.record import Candidate, Request


def context(elapsed: float = 0.0) -> RunContext:
    return RunContext(SilentReporter(), time.monotonic() - elapsed, World())


def test_training_gets_what_the_other_parts_leave() -> None:
    seconds = time_to_train(600.0, context(elapsed=10.0))
    others = evaluation_slice(600.0) + saving_slice(600.0) + calibration_slice(600.0)
    assert seconds == pytest.approx(590.0 - others, abs=0.5)


def test_a_longer_report_leaves_less_time_to_train() -> None:
    usual, longer = context(), replace(context(), report_extra=4.0)
    assert time_to_train(60.0, usual) - time_to_train(60.0, longer) == pytest.approx(4.0, abs=0.1)


def test_too_small_a_budget_names_one_that_would_do() -> None:
    with pytest.raises(BudgetError, match="a budget of 5 s leaves no time to train") as refusal:
        time_to_train(5.0, context(elapsed=2.0))
    needed = float(re.findall(r"at least (\d+)s", str(refusal.value))[0])
    assert time_to_train(needed, context(elapsed=2.0)) >= 1.0
    assert time_to_train(5.0, context(elapsed=4.0), minimum=1.0) == 1.0


def test_time_that_is_kept_for_others_is_part_of_what_would_do() -> None:
    """ "Give at least 21s" was followed by "give at least 22s"."""
    busy = replace(context(elapsed=2.0), reserved=30.0, report_extra=5.0)
    with pytest.raises(BudgetError) as refusal:
        time_to_train(20.0, busy)
    assert time_to_train(float(re.findall(r"at least (\d+)s", str(refusal.value))[0]), busy) >= 1.0
    with pytest.raises(BudgetError) as refusal:
        check_gain(60.0, busy, spent=40.0, trained=87.0)
    check_gain(float(re.findall(r"at least (\d+)s", str(refusal.value))[0]), busy, spent=40.0, trained=87.0)


def test_reading_may_take_what_report_and_training_leave() -> None:
    seconds = seconds_to_read(Request(data="x", budget=60.0), TrainConfig(), context(elapsed=4.0))
    assert seconds is not None and time_to_train(60.0, context(elapsed=4.0 + seconds - 0.1)) >= 1.0
    with pytest.raises(BudgetError):
        time_to_train(60.0, context(elapsed=4.0 + seconds + 0.1))
    for request, config in (
        (Request(data="x", steps=3), TrainConfig()),
        (Request(data="x", budget=60.0), TrainConfig(train_seconds=7.0)),
    ):
        assert seconds_to_read(request, config, context()) is None


def test_train_seconds_go_before_the_budget_and_steps_need_none() -> None:
    timed = TrainConfig(train_seconds=7.0)
    assert training_seconds(Request(data="x", budget=600.0), timed, context()) == 7.0
    assert training_seconds(Request(data="x", steps=3), TrainConfig(), context()) is None


def test_the_largest_model_that_can_still_learn_is_taken() -> None:
    small = Candidate(model_size=0, parameters=1, batch=8, step_s=0.1, examples=100.0, target_examples=50.0)
    large = dataclasses.replace(small, model_size=1, target_examples=100.0)
    too_large = dataclasses.replace(small, model_size=2, target_examples=101.0)
    assert largest_affordable([small, large, too_large]) is large
    assert largest_affordable([too_large]) is too_large


def test_more_time_that_would_end_before_the_present_weights_is_refused_with_what_would_do() -> None:
    with pytest.raises(BudgetError, match=r"too short to improve this run.*47 s of training before its end") as refusal:
        check_gain(30.0, context(), spent=40.0, trained=87.0)
    needed = float(re.search(r"at least (\d+)s", str(refusal.value))[1])  # type: ignore[index]
    check_gain(needed, context(), spent=40.0, trained=87.0)
    assert 40.0 + time_to_train(needed, context()) >= MIN_TRAINING_GROWTH * 87.0 - 0.1


def test_a_budget_that_other_programs_use_up_is_said_to_be() -> None:
    busy = dataclasses.replace(context(70.0), slowdown=12.0)
    with pytest.raises(BudgetError, match=r"starting and reading took 70.* work takes 12 times as long"):
        time_to_train(60.0, busy)


def test_a_refusal_on_busy_cores_says_what_the_least_would_take() -> None:
    """It said that the report needs 30 s, with 45 s left."""
    busy = dataclasses.replace(context(76.0), slowdown=15.0)
    expected = r"took 76\.0 s and a single step and a short report take 45\.0 s \(other programs use the cores: work takes 15 times"
    with pytest.raises(BudgetError, match=expected) as refusal:
        time_to_train(120.0, busy)
    needed = float(re.findall(r"at least (\d+)s", str(refusal.value))[0])
    assert 121.0 < needed <= 131.0
    assert time_to_train(needed, busy) >= 1.0


def test_busy_cores_leave_one_step_and_a_short_report_where_they_leave_that_much() -> None:
    delayed = dataclasses.replace(context(85.0), slowdown=4.0)
    with pytest.raises(BudgetError):
        time_to_train(120.0, context(105.0))
    seconds = time_to_train(120.0, delayed)
    assert 1.0 <= seconds < 15.0 and is_short_of_time(120.0, seconds, delayed)
    assert (
        not is_short_of_time(120.0, 40.0, delayed)
        and not is_short_of_time(120.0, 5.0, context())
        and not is_short_of_time(None, None, delayed)
    )
    with pytest.raises(BudgetError, match="work takes 4 times as long"):
        time_to_train(120.0, dataclasses.replace(context(120.0 - 4.0 * MIN_REST + 0.5), slowdown=4.0))


def test_on_busy_cores_the_report_gets_more_time_up_to_a_quarter() -> None:
    assert evaluation_slice(90.0, 1.5) == 19.5
    assert evaluation_slice(90.0, 20.0) == 22.5
    assert evaluation_slice(15.0, 20.0) == 6.5
    assert saving_slice(60.0, 2.0) == 2.0 and saving_slice(60.0, 20.0) == 5.0
    assert calibration_slice(120.0, 2.0) == pytest.approx(6.8) and calibration_slice(120.0, 20.0) == 10.0
    busy = dataclasses.replace(context(), slowdown=1.5)
    assert time_to_train(90.0, busy) == pytest.approx(time_to_train(90.0, context()) - 6.5 - 0.6 - 1.4, abs=0.3)


def test_what_preparing_took_is_shared_by_training_and_report() -> None:
    report, others = evaluation_slice(60.0), saving_slice(60.0) + calibration_slice(60.0)
    unhurried = time_to_train(60.0, context(elapsed=20.0), minimum=1.0)
    assert unhurried == pytest.approx(40.0 - report - others, abs=0.1)
    hurried = time_to_train(60.0, context(elapsed=50.0), minimum=1.0)
    assert hurried == pytest.approx((10.0 - others) / 2, abs=0.1) and hurried > 3.0
    assert time_to_train(60.0, context(elapsed=59.9), minimum=1.0) == 1.0
