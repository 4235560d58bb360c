"""All threads, or one where the cores are shared."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_info

from anew.core.machine import schedule
from anew.core.machine import threads as threads_module
from anew.core.machine.threads import (
    SHARED_CORES,
    SlowdownMeter,
    ThreadTuner,
    choose_thread_count,
    map_in_threads,
    measure_slowdown,
    one_thread,
    stretched,
)


class Meter:
    """What a tuner reads of other programs, in place of a `SlowdownMeter`."""

    slowdown = 1.0

    def read(self) -> float:
        return self.slowdown


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two threads on cores that nobody else uses."""
    monkeypatch.setattr(threads_module, "available_threads", lambda: 2)
    monkeypatch.setattr(threads_module, "SlowdownMeter", Meter)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def run(tuner: ThreadTuner, steps: int, seconds: dict[int, float]) -> list[int]:
    """Threads of each step, where a step takes seconds[threads]."""
    counts = []
    for _ in range(steps):
        counts.append(torch.get_num_threads())
        tuner.record_step(seconds[counts[-1]])
    return counts


def test_one_thread_while_the_cores_are_shared_and_all_when_they_are_free() -> None:
    messages: list[str] = []
    tuner = ThreadTuner(messages.append, 2)
    assert set(run(tuner, 20, {2: 0.1, 1: 0.15})) == {2}
    busy = run(tuner, 200, {2: 3.0, 1: 0.3})
    assert busy.count(2) < 8
    assert busy[-1] == 1
    assert set(run(tuner, 1200, {2: 0.1, 1: 0.15})[-100:]) == {2}
    assert len(messages) == 2


def test_programs_that_run_for_a_second_cost_a_few_seconds_and_no_word() -> None:
    messages: list[str] = []
    tuner = ThreadTuner(messages.append, 2)
    run(tuner, 20, {2: 0.1, 1: 0.2})
    assert run(tuner, 5, {2: 0.4, 1: 0.3})[-1] == 1
    assert run(tuner, 30, {2: 0.1, 1: 0.2}).count(1) < 17
    assert torch.get_num_threads() == 2 and not messages


def test_steps_that_are_slow_by_themselves_stay_with_all_threads() -> None:
    messages: list[str] = []
    tuner = ThreadTuner(messages.append, 2)
    run(tuner, 20, {2: 0.1, 1: 0.15})
    assert run(tuner, 300, {2: 0.5, 1: 0.8}).count(1) < 20
    assert not messages


def test_one_thread_has_nothing_to_choose() -> None:
    torch.set_num_threads(1)
    assert set(run(ThreadTuner(lambda text: None, 1), 50, {1: 1.0})) == {1}


def test_the_plan_is_measured_with_what_is_faster() -> None:
    assert choose_thread_count(1.0, lambda: 0.9) == 1.0
    assert torch.get_num_threads() == 2
    assert choose_thread_count(1.0, lambda: 0.1) == 0.1
    assert torch.get_num_threads() == 1
    # From one thread on, all are tried
    assert choose_thread_count(1.0, lambda: 0.9) == 1.0 and torch.get_num_threads() == 1
    assert choose_thread_count(1.0, lambda: 0.1) == 0.1 and torch.get_num_threads() == 2


def test_all_threads_are_not_tried_while_the_one_thread_waits_for_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meter, "slowdown", 3.0)
    torch.set_num_threads(1)
    messages: list[str] = []
    tuner = ThreadTuner(messages.append, 2)
    assert set(run(tuner, 300, {1: 0.1, 2: 4.0})) == {1} and messages == [SHARED_CORES]
    monkeypatch.setattr(Meter, "slowdown", 1.1)
    assert run(tuner, 100, {1: 0.1, 2: 0.07})[-1] == 2 and len(messages) == 2


def test_slowdown_is_at_least_one() -> None:
    assert measure_slowdown() >= 1.0


def test_a_meter_counts_turns_of_others_and_no_waiting_for_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "SCHEDULE", tmp_path / "schedstat")
    monkeypatch.setattr(threads_module, "measure_slowdown", lambda: 7.0)
    assert SlowdownMeter().read() == 7.0  # not Linux
    assert SlowdownMeter().read_at_once() == 1.0
    (tmp_path / "schedstat").write_text("5000000000 9000000000 12\n")
    meter = SlowdownMeter()
    (tmp_path / "schedstat").write_text("5100000000 9400000000 13\n")
    assert meter.read() == 7.0 and meter.read_at_once() == pytest.approx(5.0)  # too short for a measurement
    (tmp_path / "schedstat").write_text("7000000000 13000000000 90\n")
    assert meter.read() == 3.0  # 2 s on a core, 4 s in the queue


def test_what_takes_longer_on_busy_cores_is_kept_within_limits() -> None:
    assert [stretched(2.0, slowdown, 5.0) for slowdown in (1.0, 2.0, 9.0)] == [2.0, 4.0, 5.0]
    assert stretched(2.0, 3.0, most=1.0) == 2.0  # no less than on idle cores


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_few_ahead_and_the_threads_come_back(workers: int) -> None:
    numbers_read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(50):
            numbers_read.append(number)
            yield number

    threads = torch.get_num_threads()
    results = map_in_threads(lambda number: number * number, numbers(), workers)
    assert next(results) == 0 and len(numbers_read) <= workers + 1
    assert list(results) == [number * number for number in range(1, 50)]
    assert torch.get_num_threads() == threads
    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(lambda number: 1 // number, [1, 0], workers))
    assert torch.get_num_threads() == threads


def test_what_waits_for_a_thread_is_not_begun_once_somebody_stopped() -> None:
    started: list[int] = []

    def work(number: int) -> int:
        started.append(number)
        time.sleep(0.05 if number else 0.0)
        return number

    results = map_in_threads(work, range(50), 2)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert len(started) <= 4


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_uses_of_one_thread_may_end_in_any_order() -> None:
    gc.collect()  # a dropped generator of an earlier test may not have ended its use yet
    torch.set_num_threads(2)
    before = blas_threads()

    def worker() -> Iterator[int]:
        with one_thread():
            yield torch.get_num_threads()

    first, second = worker(), worker()
    assert next(first) == next(second) == 1 and set(blas_threads()) <= {1}
    first.close()
    assert torch.get_num_threads() == 1 and set(blas_threads()) <= {1}
    second.close()
    assert torch.get_num_threads() == 2 and blas_threads() == before
