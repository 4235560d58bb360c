"""The loop: exact resume, micro-batches, phases, averages, non-finite losses, signals."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from anew.core.processes.world import World
from anew.core.random import StepContext
from anew.core.specs import Batch
from anew.errors import TrainingError
from anew.families.phases import Loss, Phase
from anew.planning.build import build_family
from anew.runs.events import Events, read
from anew.runs.folder import RunFolder
from anew.runs.state import Checkpoint
from anew.runs.step_record import step_record
from anew.training import validation as validation_module
from anew.training.loop import TrainingLoop
from anew.training.progress import ReplayProgress, StepProgress, TimeProgress
from anew.training.trainer import NonFinite, StepResult, Trainer
from anew.training.validation import Validation
from toys import POINT, Points, Toy, ToyConfig, TwoPhase


def exhaust(steps: Trainer) -> None:
    """Take all steps."""
    for _ in steps:
        pass


def trainer(total: int = 20, family_class: type = Toy, micro: int = 16, data: Any = None, **config: Any) -> Trainer:
    family = build_family(family_class, POINT, ToyConfig(**config), 0, torch.device("cpu"))
    return Trainer(
        family, data or Points(), StepProgress(total), seed=3, batch_size=16, micro_batch=micro, world=World()
    )


@pytest.mark.parametrize("family_class", [Toy, TwoPhase])
def test_a_resumed_run_is_the_same_run(family_class: type) -> None:
    whole = trainer(family_class=family_class)
    losses = [s.losses for s in whole]
    first = trainer(family_class=family_class)
    steps = iter(first)
    for _ in range(7):
        next(steps)
    state = first.state_dict()
    second = trainer(family_class=family_class)
    second.load_state_dict(state)
    assert [s.losses for s in second] == losses[7:]
    for name, value in whole.weights().items():
        assert torch.equal(value, second.weights()[name]), name


def test_micro_batches_change_nothing() -> None:
    losses = [s.losses["main"] for s in trainer()]
    cut = [s.losses["main"] for s in trainer(micro=5)]
    assert torch.allclose(torch.tensor(losses), torch.tensor(cut), rtol=1e-4)


def test_gradients_reach_only_the_phase_in_hand() -> None:
    run = trainer(family_class=TwoPhase)
    before = {n: p.detach().clone() for n, p in run.family.named_parameters()}
    run.phases = run.phases[:1]
    next(iter(run))
    for name, value in run.family.named_parameters():
        moved = not torch.equal(value, before[name])
        assert moved == (name == "discriminator.weight"), name  # the bias cancels in this loss


def test_a_phase_acts_within_its_span() -> None:
    logged = [set(s.losses) for s in trainer(4, TwoPhase)]
    assert logged == [{"discriminator"}] * 2 + [{"discriminator", "generator"}] * 2


class SharedLog(TwoPhase):
    """Both phases log a number of one name."""

    def phases(self) -> tuple[Phase, ...]:
        def logged(loss: Callable[[Batch, StepContext], Loss]) -> Callable[[Batch, StepContext], Loss]:
            return lambda batch, context: replace(loss(batch, context), logs={"error": torch.ones(())})

        return tuple(replace(phase, loss=logged(phase.loss), span=(0.0, 1.0)) for phase in super().phases())


def test_a_name_in_the_logs_is_of_one_phase() -> None:
    with pytest.raises(ValueError, match="two phases log 'error'"):
        next(iter(trainer(family_class=SharedLog)))


def test_logs_are_means_over_the_batch() -> None:
    run = trainer(family_class=SharedLog, micro=5)
    run.phases = run.phases[:1]
    assert next(iter(run)).logs == {"error": pytest.approx(1.0)}


def test_training_learns_and_the_rate_lands_on_zero() -> None:
    events = list(trainer(150, dropout=0.0))
    assert events[-1].losses["main"] < 0.5 * events[0].losses["main"]
    assert events[-1].lr_factor < 0.05
    assert max(e.lr_factor for e in events) == 1.0


def test_a_non_finite_loss_touches_no_weight() -> None:
    run = trainer(data=Points(poison=5))
    steps = iter(run)
    for _ in range(5):
        next(steps)
    before = run.weights()
    with pytest.raises(NonFinite, match="'main' is not finite at step 5"):
        next(steps)
    assert all(torch.equal(v, before[n]) for n, v in run.weights().items())


class Heals(Points):
    """Poisoned the first time only."""

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Any:
        batch = super().batch(step, phase, first, count, size)
        if step == 5:
            self.poison = None
        return batch


def test_going_back_lowers_the_rate_and_goes_on(tmp_path: Path) -> None:
    run = trainer(data=Heals(poison=5))
    assert TrainingLoop(run, RunFolder(tmp_path), None, checkpoint_seconds=1e9).run() == "finished"
    assert run.step == 20


def test_going_back_takes_back_what_was_measured_since(tmp_path: Path) -> None:
    """Steps that were taken back stayed in the history, and their weights could be kept as the best ones."""
    run = trainer(data=Heals(poison=5))
    validation = Validation(run, lambda: iter([Points().batch(0, "validation", 0, 12, 12)]))
    # As of a resumed training
    validation.history = [(-1, 0.0)]
    validation.best_weights = best = {name: weight + 1.0 for name, weight in run.weights().items()}
    TrainingLoop(run, RunFolder(tmp_path), None, [], validation, checkpoint_seconds=1e9).run()
    steps = [step for step, _ in validation.history]
    assert steps[0] == -1 and len(steps) > 10 and steps == sorted(set(steps))
    assert all(torch.equal(weight, best[name]) for name, weight in validation.best_weights.items())


def test_the_rate_is_lower_until_the_loss_is_overcome(tmp_path: Path) -> None:
    run = trainer(data=Heals(poison=5))
    scales: list[float] = []

    def note(result: StepResult) -> None:
        scales.append(run.lr_scale)

    TrainingLoop(run, RunFolder(tmp_path), None, [note], checkpoint_seconds=1e9).run()
    assert scales == [1.0] * 5 + [0.5] * 10 + [1.0] * 10  # five steps, back to the first, and as far beyond the fifth


def test_a_resumed_run_knows_that_its_rate_is_lower_and_until_when(tmp_path: Path) -> None:
    run = trainer(data=Heals(poison=5))

    def stop(result: StepResult) -> None:
        run.stopping = result.step == 7

    assert TrainingLoop(run, RunFolder(tmp_path), None, [stop], checkpoint_seconds=1e9).run() == "interrupted"
    resumed = trainer()
    resumed.load_state_dict(run.state_dict())
    assert resumed.num_restores == 1
    scales: list[float] = []

    def note(result: StepResult) -> None:
        scales.append(resumed.lr_scale)

    assert TrainingLoop(resumed, RunFolder(tmp_path), None, [note], checkpoint_seconds=1e9).run() == "finished"
    assert scales == [0.5] * 3 + [1.0] * 10 and resumed.num_restores == 0


class PoisonedOnce(Points):
    """Poisoned once at each of some steps."""

    def __init__(self, steps: set[int]) -> None:
        super().__init__()
        self.steps = steps

    def batch(self, step: int, phase: str, first: int, count: int, size: int) -> Any:
        self.poison = step if step in self.steps else None
        self.steps -= {step}
        return super().batch(step, phase, first, count, size)


def test_losses_that_were_overcome_do_not_count(tmp_path: Path) -> None:
    run = trainer(data=PoisonedOnce({1, 3, 7, 11, 15, 18}))
    assert TrainingLoop(run, RunFolder(tmp_path), None, checkpoint_seconds=0.0).run() == "finished"
    assert run.step == 20


def test_three_times_is_enough(tmp_path: Path) -> None:
    run = trainer(data=Points(poison=5))
    with pytest.raises(TrainingError, match="phase 'main' is not finite at step 5"):
        TrainingLoop(run, RunFolder(tmp_path), None, checkpoint_seconds=1e9).run()


@pytest.mark.usefixtures("heeded_hangup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_stops(tmp_path: Path, number: int) -> None:
    def kick(result: StepResult) -> None:
        if result.step == 6:
            os.kill(os.getpid(), number)

    run = trainer()
    assert TrainingLoop(run, RunFolder(tmp_path), None, [kick], checkpoint_seconds=1e9).run() == "interrupted"
    state, notes = RunFolder(tmp_path).latest()
    assert state is not None and not notes
    assert state["meta"]["step"] == 6
    again = trainer()
    again.load_state_dict(state)
    exhaust(again)
    straight = trainer()
    exhaust(straight)
    for name, value in straight.weights().items():
        assert torch.equal(value, again.weights()[name])


def test_what_a_listener_returns_is_a_warning_said_once(tmp_path: Path) -> None:
    events, messages = Events(tmp_path / "events.jsonl"), []
    run = trainer()

    def listener(result: StepResult) -> str | None:
        return f"all alike at {result.step}" if result.step >= 5 else None

    TrainingLoop(run, RunFolder(tmp_path), events, [listener], checkpoint_seconds=1e9, say=messages.append).run()
    events.close()
    written = [e for e in read(tmp_path / "events.jsonl") if e["event"] == "warning"]
    assert messages == ["all alike at 5"] and [(e["step"], e["text"]) for e in written] == [(5, "all alike at 5")]


def test_the_log_replays_a_run(tmp_path: Path) -> None:
    events = Events(tmp_path / "events.jsonl")
    run = trainer()
    TrainingLoop(run, RunFolder(tmp_path), events, checkpoint_seconds=1e9).run()
    events.close()
    again = trainer()
    again.progress = ReplayProgress(step_record(tmp_path / "events.jsonl").progress)
    exhaust(again)
    for name, value in run.weights().items():
        assert torch.equal(value, again.weights()[name])


def worsening(run: Trainer) -> Validation:
    """Validation whose loss is best at its second check."""
    validation = Validation(run, lambda: iter([Points().batch(10**6, "", 0, 16, 16)]))
    values = iter([1.0, 0.9] + [2.0 + i for i in range(100)])
    validation.loss = lambda: next(values)  # type: ignore[method-assign]
    return validation


def test_a_decay_that_began_early_is_replayed_once(tmp_path: Path) -> None:
    run, events = trainer(400), Events(tmp_path / "events.jsonl")
    loop = TrainingLoop(run, RunFolder(tmp_path), events, validation=worsening(run), checkpoint_seconds=1e9)
    assert loop.run() == "stopped_early"
    events.close()
    again = trainer(400)
    again.progress = ReplayProgress(step_record(tmp_path / "events.jsonl").progress)
    loop = TrainingLoop(again, RunFolder(tmp_path), None, validation=worsening(again), checkpoint_seconds=1e9)
    assert loop.run() == "stopped_early" and again.step == run.step
    for name, value in run.weights().items():
        assert torch.equal(value, again.weights()[name])


@pytest.mark.parametrize(
    ("steps", "losses"),
    [
        ([4, 9, 14, 21], [1.5988, 1.6012, 1.6054, 1.6192]),  # hardly trained, in the warm-up
        ([39, 73, 111, 146, 183, 222, 259], [1.05, 0.95, 0.922, 0.9018, 0.9048, 0.9021, 0.9046]),  # noise
        ([60, 90, 120, 150, 180, 210], [1.0, 0.9, 1.2, 1.3, 1.25, 1.1]),  # falls again
    ],
)
def test_a_loss_that_wavers_or_is_measured_too_early_is_not_rising(steps: list[int], losses: list[float]) -> None:
    validation = Validation(trainer(), lambda: iter([]))
    validation.history = list(zip(steps, losses, strict=True))
    assert not validation.is_rising()
    validation.history = [(step + 50, 1.0 + 0.1 * abs(step - 2)) for step in range(7)]
    assert validation.is_rising()


def test_a_run_that_ended_early_goes_on_from_where_its_decay_began(tmp_path: Path) -> None:
    run = trainer(400)
    loop = TrainingLoop(run, RunFolder(tmp_path), None, validation=worsening(run), checkpoint_seconds=1e9)
    assert loop.run() == "stopped_early" and run.early_decay is not None
    state, _ = RunFolder(tmp_path).decay_start()
    assert state is not None and state["meta"]["early_decay"] is None
    assert state["meta"]["step"] - 1 == round(run.early_decay * 400) < 200
    longer = trainer(800)
    longer.load_state_dict(state)
    assert TrainingLoop(longer, RunFolder(tmp_path), None, checkpoint_seconds=1e9).run() == "finished"
    assert longer.step == 800


def test_validation_that_gets_worse_begins_the_decay(tmp_path: Path) -> None:
    run = trainer(400)
    validation = Validation(run, lambda: iter([Points().batch(10**6, "", 0, 16, 16)]))
    values = iter([1.0, 0.9] + [2.0 + i for i in range(100)])
    validation.loss = lambda: next(values)  # type: ignore[method-assign]
    assert (
        TrainingLoop(run, RunFolder(tmp_path), None, validation=validation, checkpoint_seconds=1e9).run()
        == "stopped_early"
    )
    assert run.step < 300
    weights, step = validation.final_weights()
    assert step == validation.history[1][0]
    assert all(torch.equal(weights[n], validation.best_weights[n]) for n in weights)


def test_early_measurements_select_weights_but_are_no_rise(tmp_path: Path) -> None:
    """Few records are learned in fewer steps than there are before the first point of measurement."""
    run = trainer(1600)
    validation = Validation(run, lambda: iter([Points().batch(10**6, "", 0, 16, 16)]))
    early = {16: 3.0, 32: 1.0, 64: 1.4}
    validation.loss = lambda: early.get(run.step, 2.0)  # type: ignore[method-assign]
    TrainingLoop(run, RunFolder(tmp_path), None, validation=validation, checkpoint_seconds=1e9).run()
    steps = [step for step, _ in validation.history]
    assert steps[0] == 32 and 100 <= steps[1] <= 101
    weights, step = validation.final_weights()
    assert step == 32
    assert all(torch.equal(weights[n], validation.best_weights[n]) for n in weights)


def test_a_validation_loss_that_is_not_finite_selects_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation_module, "POINTS", 4)
    run = trainer(40)
    validation = Validation(run, lambda: iter([Points().batch(10**6, "", 0, 16, 16)]))
    values = iter([math.nan, 1.0, math.inf, math.nan])
    validation.loss = lambda: next(values)  # type: ignore[method-assign]
    folder = RunFolder(tmp_path)
    TrainingLoop(run, folder, None, validation=validation, checkpoint_seconds=0.0).run()
    assert [loss for _, loss in validation.history] == [1.0]
    checkpoint, _ = folder.latest()
    assert checkpoint is not None and len(checkpoint["meta"]["validation"]) == 1
    weights, step = validation.final_weights()  # the loss of the last weights is not finite
    assert step == validation.history[0][0]
    assert all(torch.equal(weights[n], validation.best_weights[n]) for n in validation.best_weights)


def test_decay_start_is_kept(tmp_path: Path) -> None:
    run = trainer(40)
    TrainingLoop(run, RunFolder(tmp_path), None, checkpoint_seconds=1e9).run()
    state, notes = RunFolder(tmp_path).decay_start()
    assert state is not None and not notes
    assert state["meta"]["step"] == 20


@pytest.mark.parametrize("killed_at", [7, 19, 26, 39])
def test_a_resumed_run_measures_and_keeps_what_an_uninterrupted_one_does(
    killed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points of measurement and the start of the decay lie elsewhere than the step that it goes on from."""
    monkeypatch.setattr(validation_module, "POINTS", 4)

    def train(run: Trainer, folder: Path, checkpoint: Checkpoint | None) -> Validation:
        validation = Validation(run, lambda: iter([Points().batch(10**6, "", 0, 16, 16)]))
        if checkpoint is not None:
            run.load_state_dict(checkpoint)
            validation.load_state_dict(checkpoint)
        events = Events(folder / "events.jsonl")
        TrainingLoop(run, RunFolder(folder), events, [stop], validation, checkpoint_seconds=1e9).run()
        events.close()
        return validation

    def stop(result: StepResult) -> None:
        killed.stopping = result.step == killed_at  # its state is saved then

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    killed, whole, resumed = trainer(40), trainer(40), trainer(40)
    expected = train(whole, tmp_path / "whole", None)
    train(killed, tmp_path / "killed", None)
    measured = train(resumed, tmp_path / "killed", RunFolder(tmp_path / "killed").latest()[0])
    assert measured.history == expected.history
    assert all(torch.equal(value, resumed.weights()[name]) for name, value in whole.weights().items())
    state, _ = RunFolder(tmp_path / "killed").decay_start()
    assert state is not None and state["meta"]["step"] == 20


def test_measuring_takes_a_tenth_of_a_training_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow measurement: without a limit there were 16 of them, which took more than half of the time."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    run, num_measured = trainer(), 0
    validation = Validation(run, lambda: iter([]))

    def loss() -> float:
        nonlocal num_measured
        num_measured, now[0] = num_measured + 1, now[0] + 2.0
        return 1.0 / num_measured

    def step(result: StepResult) -> None:
        now[0] += 1.0

    validation.loss = loss  # type: ignore[method-assign]
    run.progress, events = TimeProgress(60.0), Events(tmp_path / "events.jsonl")
    TrainingLoop(run, RunFolder(tmp_path), events, [step], validation, checkpoint_seconds=1e9).run()
    events.close()
    assert 3 <= num_measured <= 4 and run.step > 40
    assert step_record(tmp_path / "events.jsonl").validated == {step for step, _ in validation.history}


def test_a_replay_measures_after_the_steps_of_the_log(tmp_path: Path) -> None:
    run = trainer(40)
    validation = Validation(run, lambda: iter([Points().batch(10**6, "", 0, 16, 16)]), replayed_steps={3, 17})
    TrainingLoop(run, RunFolder(tmp_path), None, validation=validation, checkpoint_seconds=1e9).run()
    assert [step for step, _ in validation.history] == [3, 17]
